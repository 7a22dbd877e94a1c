"""Several accounts at one server: each token under a name, and one of them in use.

A name is a key of the server's secret file, as CAVEclient's ``token_key``. The account in use is
the one under ``token``, where all tools look.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..diagnose.status import signed_with
from ..errors import CaveAuthError, LoginFailed
from ..saving import NO_NAMES, DeploymentFiles, named, saved_name
from ..store import TokenStore
from ..store.content import read_secrets
from ..tokens import DEFAULT_KEY, Source, Token, composed
from ..words import printable

_LONGEST = 60  # characters of a name


def account_name(typed: str, server: str) -> str:
    """The name of an account at a server: as it is saved there, or as a new one is saved.

    :raises LoginFailed: if it can't be a name.
    :raises TokenFileError: if the server's file can't be read.
    """
    return saved_name(typed, named(server)) or _checked(composed(typed))


def _checked(name: str) -> str:
    is_plain = name == printable(name, _LONGEST) == name.strip()
    if not name or not is_plain or name.startswith("-") or name in NO_NAMES:
        raise LoginFailed(
            f"{printable(name, _LONGEST)!r} can't be the name of an account. A name has 1 to "
            f"{_LONGEST} printable characters, and begins with no space or hyphen. "
            f"{DEFAULT_KEY!r} means the account in use."
        )
    return name


def name_in_variable(server: str) -> str | None:
    """The account that the variable ``CAVE_AUTH_ACCOUNT`` selects for this process; None if none.

    :raises LoginFailed: if it can't be one.
    """
    name = os.environ.get("CAVE_AUTH_ACCOUNT")
    return account_name(name, server) if name and name != DEFAULT_KEY else None


def switch(server: str, name: str) -> list[Path]:
    """Use the named account in all tools; give the account in use a name if it has none.

    :param server: an auth server.
    :return: the files that hold its token now.
    :raises LoginFailed: if there is no such name.
    :raises TokenFileError: if a file can't be read or written.
    """
    names, files = named(server), DeploymentFiles(server)
    saved = saved_name(name, names)
    if saved is None:
        there = ", ".join(printable(each, _LONGEST) for each in names) or "none"
        raise LoginFailed(
            f"There is no account named {printable(name, _LONGEST)!r} for {server} (saved: "
            f"{there}). Log in: cave-auth login {server} --as NAME"
        )
    present = files.in_use
    if present is not None and present not in names.values():
        TokenStore().save(present, server, _free_name(server, present))
    return files.switch(names[saved], present)


def _free_name(server: str, token: str) -> str:
    """A name for a token that has none: that of its account, if the server tells."""
    path = TokenStore().path_for(server)
    taken = {*(read_secrets(path) or {}), *NO_NAMES}
    try:
        user = signed_with(Token(token, Source("file", path, DEFAULT_KEY)), server).me()
        name = printable(user.get("email") or user.get("name") or "", _LONGEST - 5)
    except CaveAuthError:
        name = ""
    name = name.strip().lstrip("-") or "previous"
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name} {number}"
    return found
