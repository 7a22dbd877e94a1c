"""Read tokens from the operating system's keyring, for users who want no secret on the disk.

It needs the extra [keyring], and is used only if the variable ``CAVE_AUTH_KEYRING`` is set. A
keyring may be locked, ask for a password, or wait for a desktop that a batch job does not have.
https://keyring.readthedocs.io
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from ..errors import CaveAuthError
from ..runtime import warn_once
from ..shells import unset
from ..tokens import Source, Token, check_token

VARIABLE = "CAVE_AUTH_KEYRING"
SERVICE = "cave-auth-adapter"
ANY_SERVER = "any server"  # the name of the entry that corresponds to cave-secret.json


def find(servers: Iterable[str]) -> Token | None:
    """The token of the first server with an entry, or that of :data:`ANY_SERVER`.

    None if there is none, or if the keyring is not used or can't be read; one warning says why.
    """
    if not os.environ.get(VARIABLE):
        return None
    try:
        for server in (*servers, ANY_SERVER):
            if value := _call("get_password", server):
                source = Source("keyring", key=server)
                return Token(check_token(value, str(source)), source)
    except CaveAuthError as error:
        warn_once(str(error), "keyring")
    return None


def save(token: str, server: str | None = None) -> None:
    """Save a token, for one server or for any.

    :param server: ``host`` or ``host:port``.
    :raises CaveAuthError: if the keyring can't be written.
    """
    _call("set_password", server or ANY_SERVER, token)


def has(server: str | None = None) -> bool:
    """Whether there is an entry for a server, or for any.

    :param server: ``host`` or ``host:port``.
    :raises CaveAuthError: if the keyring can't be read.
    """
    return _call("get_password", server or ANY_SERVER) is not None


def delete(server: str | None = None) -> None:
    """Delete the token of a server, or the one for any; harmless if there is none.

    :param server: ``host`` or ``host:port``.
    :raises CaveAuthError: if the keyring can't be written.
    """
    if has(server):
        _call("delete_password", server or ANY_SERVER)


def _call(function: str, *arguments: str) -> Any:
    try:
        import keyring
    except ModuleNotFoundError:
        raise CaveAuthError(
            "CAVE_AUTH_KEYRING is set, but the keyring library is not installed: "
            'pip install "cave-auth-adapter[keyring]"'
        ) from None
    except Exception as error:  # a backend may fail to import
        raise _failed(error) from error
    try:
        return getattr(keyring, function)(SERVICE, *arguments)
    except Exception as error:  # backends raise errors of their own, for example of D-Bus
        raise _failed(error) from error


def _failed(error: Exception) -> CaveAuthError:
    return CaveAuthError(
        f"The keyring can't be used: {type(error).__name__}: {error}. Unlock it, or "
        f"{unset('CAVE_AUTH_KEYRING')} and save the token in a file."
    )
