"""Whose token is in ``cave-secret.json``?

That file is the tutorial's place for a token. It does not say which deployment its token is of, and
nobody's token is shown to another deployment's server in order to find out. The files of single
servers beside it tell:

* The *owners* are the deployments whose own file holds the same token. If there are any, the file
  serves them.
* If there are none, but the default deployment has an own file, it most likely holds that one's
  older key, and serves the default deployment alone.
* Either way it also serves each host that ``CAVE_AUTH_HOSTS`` or ``hosts=`` names, if that is of no
  known deployment and has no file of its own.
* Else nobody knows whose it is, and it serves every trusted host, as in CAVEclient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..errors import TokenFileError
from ..origins import DEFAULT_DEPLOYMENT, HostSpec, Origin, auth_server_of, deployment_of
from ..tokens import DEFAULT_KEY, Source, Token
from . import TokenStore


class Ownership(NamedTuple):
    """The deployments whose token ``cave-secret.json`` holds.

    :ivar owners: the auth servers of the deployments whose own file holds the same token.
    :ivar deployments: the deployments that the file serves; None: nobody knows whose it is.
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
        """Whether the token may follow one of a host's own file that the host refused.

        A refusal is the server's word, which must not lead to another deployment's token.
        """
        return self.deployments is not None and deployment_of(origin) in self.deployments


def ownership(token: Token, own: Mapping[str, Token | None]) -> Ownership:
    """Whose token it is that ``cave-secret.json`` holds.

    :param token: the token in ``cave-secret.json``.
    :param own: each server that has a file of its own -> the token in it; None where the file can't
        be read, so that nobody knows whether it is the same.
    """
    deployment = {server: deployment_of(HostSpec.parse(server).origin) for server in own}
    owners = frozenset(deployment[server] for server in own if own[server] == token)
    deployments: frozenset[str] | None = owners
    if not owners:
        is_narrowed = DEFAULT_DEPLOYMENT in deployment.values() or None in own.values()
        deployments = frozenset({DEFAULT_DEPLOYMENT}) if is_narrowed else None
    return Ownership(owners, deployments, frozenset(own))


def ownership_of_default_file(
    store: TokenStore | None = None, key: str = DEFAULT_KEY
) -> Ownership | None:
    """Whose token ``cave-secret.json`` holds at the moment; None if it holds none.

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
    own: dict[str, Token | None] = {}
    for server in store.own_files():
        try:
            if found := _load(store, server, key):
                own[server] = found
        except TokenFileError:
            own[server] = None
    return ownership(token, own)


def _load(store: TokenStore, server: str | None, key: str) -> Token | None:
    value = store.load(server, key)
    return Token(value, Source("file", store.path_for(server), key)) if value else None
