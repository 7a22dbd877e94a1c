"""The keyring of the operating system, for people who want no secret on disk: the extra [keyring].

It is asked only where the variable ``CAVE_AUTH_KEYRING`` is set: a keyring may be locked, ask for a
password, or wait for a desktop that a batch job does not have. https://keyring.readthedocs.io
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from ..errors import CaveAuthError

SERVICE = "cave-auth-adapter"
ANY_SERVER = "any server"  # the name of the entry that corresponds to cave-secret.json


def find(servers: Iterable[str]) -> tuple[str, str] | None:
    """The first of some servers, or of :data:`ANY_SERVER`, that has a token, and the token.

    :raises CaveAuthError: if the keyring is to be asked and can't be.
    """
    if not os.environ.get("CAVE_AUTH_KEYRING"):
        return None
    for server in (*servers, ANY_SERVER):
        token = _call("get_password", server)
        if token:
            return server, str(token)
    return None


def save(token: str, server: str | None = None) -> None:
    """Save a token, for one server or for any.

    :param server: ``host`` or ``host:port``.
    :raises CaveAuthError: if the keyring can't be written.
    """
    _call("set_password", server or ANY_SERVER, token)


def delete(server: str | None = None) -> None:
    """Delete the token of a server, or the one for any; harmless if there is none.

    :raises CaveAuthError: if the keyring can't be written.
    """
    if _call("get_password", server or ANY_SERVER) is not None:
        _call("delete_password", server or ANY_SERVER)


def _call(function: str, *arguments: str) -> Any:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ModuleNotFoundError:
        raise CaveAuthError(
            "CAVE_AUTH_KEYRING is set, and the keyring library is not there: "
            "pip install 'cave-auth-adapter[keyring]'"
        ) from None
    try:
        return getattr(keyring, function)(SERVICE, *arguments)
    except KeyringError as error:
        raise CaveAuthError(
            f"The keyring can't be used: {error}. Unlock it, or unset CAVE_AUTH_KEYRING and save "
            "the token in a file."
        ) from error
