"""API keys that a login makes: their names, how they are verified, how they are ended."""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from collections.abc import Iterator

from ..diagnose.status import signed_with
from ..errors import CaveAuthError
from ..service import AuthServer, User
from ..tokens import Source, Token
from ..words import printable

_HOST = 60  # characters of the computer's name; the service takes 120 for the whole description


def key_name() -> str:
    """A description for a new key: where and when it was made, and what no other key has."""
    host = printable(socket.gethostname(), _HOST)
    return f"cave-auth on {host}, {time.strftime('%Y-%m-%d %H:%M')} ({secrets.token_hex(3)})"


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
