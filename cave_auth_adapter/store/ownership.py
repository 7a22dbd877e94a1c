"""Decide which deployment the token in ``cave-secret.json`` belongs to.

The CAVE tutorial saves a token in that file, which doesn't say which deployment it belongs to. We
can't ask the servers: that would show the token to other deployments. So we compare it with the
files of single servers:

* The *owners* are the deployments whose own file holds the same token, under any key. If there are
  owners, the file serves only them.
* If there are none, but the default deployment has a file of its own, ``cave-secret.json`` most
  likely holds its older key, and serves only the default deployment.
* In both cases it also serves hosts that ``CAVE_AUTH_HOSTS`` or ``hosts=`` names, if they belong to
  no known deployment and have no file of their own.
* Otherwise its deployment is unknown, and it serves every trusted host, as with CAVEclient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ..errors import TokenFileError
from ..origins import DEFAULT_DEPLOYMENT, HostSpec, Origin, auth_server_of, deployment_of
from ..tokens import DEFAULT_KEY, Source, Token
from . import TokenStore
from .content import Held, held, read_secrets, token_of


class Ownership(NamedTuple):
    """The deployments that the token in ``cave-secret.json`` belongs to.

    :ivar owners: the auth servers of the deployments whose own file holds the same token.
    :ivar deployments: the deployments that the file serves; None: unknown, so all.
    :ivar servers: the servers that have a file of their own.
    """

    owners: frozenset[str]
    deployments: frozenset[str] | None
    servers: frozenset[str]

    def serves(self, origin: Origin, *, is_named: bool) -> bool:
        """Whether a trusted host gets the token.

        :param is_named: whether the caller named the host, by ``CAVE_AUTH_HOSTS`` or ``hosts=``.
        """
        if self.deployments is None or deployment_of(origin) in self.deployments:
            return True
        return is_named and auth_server_of(origin) is None and origin.server not in self.servers

    def may_replace_a_refused_one(self, origin: Origin) -> bool:
        """Whether a host may get the token after it has refused the one in its own file.

        A server must not get another deployment's token by refusing its own.
        """
        return self.deployments is not None and deployment_of(origin) in self.deployments


def ownership(token: Token, own: Mapping[str, Held | None]) -> Ownership:
    """Decide whose token ``cave-secret.json`` holds.

    :param token: the token in ``cave-secret.json``.
    :param own: each server that has a file of its own -> its content, with a token under any key;
        None if the file can't be read.
    """
    deployment = {server: deployment_of(HostSpec.parse(server).origin) for server in own}
    holders = (server for server, content in own.items() if token in (content or {}).values())
    owners = frozenset(deployment[server] for server in holders)
    deployments: frozenset[str] | None = owners
    if not owners:
        is_narrowed = DEFAULT_DEPLOYMENT in deployment.values() or None in own.values()
        deployments = frozenset({DEFAULT_DEPLOYMENT}) if is_narrowed else None
    return Ownership(owners, deployments, frozenset(own))


def ownership_of_default_file(
    store: TokenStore | None = None, key: str = DEFAULT_KEY
) -> Ownership | None:
    """Decide whose token ``cave-secret.json`` holds now; None if it holds none.

    :param store: the directory of secret files; None: the usual one.
    :param key: the key in the files.
    :raises TokenFileError: if ``cave-secret.json`` or the directory can't be read.

    >>> import tempfile
    >>> store = TokenStore(tempfile.mkdtemp())
    >>> _ = store.save("0123456789abcdef")
    >>> ownership_of_default_file(store).deployments is None
    True
    >>> _ = store.save("0123456789abcdef", "proofreading.zetta.ai")
    >>> sorted(ownership_of_default_file(store).owners)
    ['proofreading.zetta.ai']
    """
    store = TokenStore() if store is None else store
    token = _load(store, None, key)
    if token is None:
        return None
    return ownership(token, contents_of(store.own_files(), key, _read))


def contents_of(
    own_files: Mapping[str, Path], key: str, read: Callable[[Path], Held]
) -> dict[str, Held | None]:
    """The content of each server's own file; None if it is broken. Empty ones are left out.

    :param key: the key whose value must be a token, if there is one.
    :param read: reads a file.
    """
    found: dict[str, Held | None] = {}
    for server, path in own_files.items():
        try:
            content = read(path)
            token_of(content, key, path)
        except TokenFileError:
            found[server] = None
        else:
            if any(content.values()):
                found[server] = content
    return found


def _read(path: Path) -> Held:
    return held(read_secrets(path) or {}, path)


def _load(store: TokenStore, server: str | None, key: str) -> Token | None:
    value = store.load(server, key)
    return Token(value, Source("file", store.path_for(server), key)) if value else None
