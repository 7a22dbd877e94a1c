"""API keys that a login makes: how they are verified, replaced and revoked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..diagnose.status import key_in_use, signed_with
from ..errors import CaveAuthError, LoginFailed
from ..saving import DeploymentFiles
from ..service import AuthServer, User
from ..service.keynames import key_name
from ..store import TokenStore
from ..tokens import DEFAULT_KEY, Source, Token


@contextlib.contextmanager
def new_key(visitor: AuthServer, user: User) -> Iterator[tuple[Token, str]]:
    """A new, verified API key and its name; if the block fails, it is revoked."""
    name, made = key_name(), ""
    try:
        made = visitor.create_key(name)
        token = Token(made, Source("login"))
        if signed_with(token, visitor.server_address).me()["id"] != user["id"]:
            raise visitor.unexpected("an API key of another account")
        yield token, name
    except BaseException:  # Ctrl-C as well
        # By its unique name, too: its value may not have arrived.
        with contextlib.suppress(CaveAuthError):
            for key in visitor.api_keys():
                if key.token == made or key.description == name:
                    visitor.revoke_key(key.id)
        raise


class Rotation(NamedTuple):
    """A new key in place of an old one, which still works.

    :ivar server: the auth service, asked with the new key.
    :ivar name: the name of the new key.
    :ivar old_id: the id of the old key at the server.
    :ivar paths: the files that hold the new key.
    :ivar left: the files that still hold the old one: another server's, or not writable.
    """

    server: AuthServer
    name: str
    old_id: int
    paths: list[Path]
    left: list[Path]

    def end_old(self) -> None:
        """Revoke the old key, for everything that uses it."""
        self.server.revoke_key(self.old_id)


def rotate(server: AuthServer, user: User, old: Token) -> Rotation:
    """Replace an old key by a new one, in each file of its deployment.

    :param server: the auth service, asked with the old key.
    :raises LoginFailed: if it is not an API key, or not from a secret file.
    """
    home = server.server_address.partition("://")[2]
    if old.source.kind != "file":
        raise LoginFailed(
            f"The token is from {old.source}, which this command can't change. Make a new key and "
            f"put it there: cave-auth keys create --server {home}"
        )
    key = key_in_use(server, old)
    if key is None:
        raise LoginFailed(
            "The token is a login token, not an API key. To get a key, log in again: "
            f"cave-auth login {home} --overwrite"
        )
    is_in_use = TokenStore().load(home) == old.value
    files = DeploymentFiles(home, DEFAULT_KEY if is_in_use else old.source.key or DEFAULT_KEY)
    with new_key(server, user) as (token, name):
        paths = files.save(token.value, replaced=old.value, same_account=True)
    fresh = signed_with(token, server.server_address)
    return Rotation(fresh, name, key.id, paths, TokenStore().holding(old.value))
