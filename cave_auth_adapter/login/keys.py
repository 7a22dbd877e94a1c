"""API keys that a login makes: how they are verified, how they are ended."""

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
from ..tokens import Source, Token


@contextlib.contextmanager
def new_key(visitor: AuthServer, user: User) -> Iterator[tuple[Token, str]]:
    """A new API key, verified, and its name; it is revoked again if the block fails."""
    name, made = key_name(), ""
    try:
        made = visitor.create_key(name)
        token = Token(made, Source("login"))
        if signed_with(token, visitor.server_address).me()["id"] != user["id"]:
            raise visitor.unexpected("an API key of another account")
        yield token, name
    except BaseException:  # Ctrl-C as well
        # By its name too, which no other has: its value may not have arrived.
        with contextlib.suppress(CaveAuthError):
            for key in visitor.api_keys():
                if key.token == made or key.description == name:
                    visitor.revoke_key(key.id)
        raise


class Rotation(NamedTuple):
    """A new key in place of an old one, which still works.

    :ivar server: the auth service, asked with the new key.
    :ivar name: of the new key.
    :ivar old_id: of the old key, at the server.
    :ivar paths: the files that hold the new key.
    :ivar left: the files that hold the old one still, as they are another server's, or can't be
        written.
    """

    server: AuthServer
    name: str
    old_id: int
    paths: list[Path]
    left: list[Path]

    def end_old(self) -> None:
        """End the old key, for all who use it."""
        self.server.revoke_key(self.old_id)


def rotate(server: AuthServer, user: User, old: Token) -> Rotation:
    """Put a new key in the place of an old one, in each file of its deployment.

    :param server: the auth service, asked with the old key.
    :raises LoginFailed: if it is no API key, or does not come from a secret file.
    """
    home = server.server_address.partition("://")[2]
    if old.source.kind != "file":
        raise LoginFailed(
            f"The token is from {old.source}, where no new one can be put. Put a new key there: "
            f"cave-auth keys create --server {home}"
        )
    key = key_in_use(server, old)
    if key is None:
        raise LoginFailed(
            "The token is a login token, which no key can follow. Log in again: "
            f"cave-auth login {home} --overwrite"
        )
    files = DeploymentFiles(home)
    with new_key(server, user) as (token, name):
        paths = files.save(token.value, replaced=old.value, same_account=True)
    fresh = signed_with(token, server.server_address)
    return Rotation(fresh, name, key.id, paths, TokenStore().holding(old.value))
