"""Several accounts at one server: each token under a name, and one of them in use.

A name is a key of the server's secret file, as CAVEclient's ``token_key`` has it. The account in
use is the one under ``token``, where all tools look.
"""

from __future__ import annotations

from pathlib import Path

from ..diagnose.status import signed_with
from ..errors import CaveAuthError, InvalidToken, LoginFailed
from ..saving import DeploymentFiles
from ..store import TokenStore, read_secrets
from ..tokens import DEFAULT_KEY, Source, Token, check_token
from ..words import printable

_LONGEST = 60  # characters of a name
# Keys that name no account; the last two are in the file that the token page lets people download.
_NO_NAMES = DEFAULT_KEY, "description", "middle_auth_url"


def check_name(name: str) -> str:
    """Return the name of an account.

    :raises LoginFailed: if it can't be one.
    """
    if not name.strip() or name != printable(name, _LONGEST) or name in _NO_NAMES:
        raise LoginFailed(
            f"The name of an account has 1 to {_LONGEST} printable characters. It is not "
            f"{DEFAULT_KEY!r}, which stands for the account in use."
        )
    return name


def named(server: str) -> dict[str, str]:
    """The names in a server's secret file, and the token of each.

    :raises TokenFileError: if the file can't be read.
    """
    found = {}
    for name, value in (read_secrets(TokenStore().path_for(server)) or {}).items():
        try:
            found[name] = check_token(value, name)
        except InvalidToken:
            continue
    return {name: token for name, token in found.items() if name not in _NO_NAMES}


def switch(server: str, name: str) -> list[Path]:
    """Put the token of a name where all tools look; the present one gets a name first.

    :param server: an auth server.
    :return: the files in which it is now.
    :raises LoginFailed: if there is no such name.
    :raises TokenFileError: if a file can't be read or written.
    """
    store, names = TokenStore(), named(server)
    if name not in names:
        there = ", ".join(printable(each, _LONGEST) for each in names) or "none"
        raise LoginFailed(
            f"There is no account named {printable(name, _LONGEST)!r} for {server} (there are: "
            f"{there}). Log in: cave-auth login {server} --as NAME"
        )
    present = store.load(server)
    if present is not None and present not in names.values():
        store.save(present, server, _free_name(server, present, names))
    return DeploymentFiles(server).save(names[name], replaced=present)


def _free_name(server: str, token: str, taken: dict[str, str]) -> str:
    """A name for a token that has none: its account's, as the server tells it."""
    source = Source("file", TokenStore().path_for(server), DEFAULT_KEY)
    try:
        user = signed_with(Token(token, source), server).me()
        name = printable(user.get("email") or user.get("name") or "previous", _LONGEST - 5)
    except CaveAuthError:
        name = "previous"
    number, found = 1, name
    while found in taken or found == DEFAULT_KEY:
        number += 1
        found = f"{name} {number}"
    return found
