"""Several accounts at one server: each token has a name, and one of them is in use.

The name is a key in the server's secret file, as with CAVEclient's ``token_key``. The account in
use is the one under the key ``token``, which all tools read.
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
# Keys that name no account; the last two are in the file that the token page offers to download.
_NO_NAMES = DEFAULT_KEY, "description", "middle_auth_url"


def check_name(name: str) -> str:
    """Return the name of an account.

    :raises LoginFailed: if it can't be one.
    """
    if not name.strip() or name != printable(name, _LONGEST) or name in _NO_NAMES:
        raise LoginFailed(
            f"The name of an account has 1 to {_LONGEST} printable characters. It can't be "
            f"{DEFAULT_KEY!r}, which means the account in use."
        )
    return name


def named(server: str) -> dict[str, str]:
    """The names in a server's secret file -> their tokens.

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
    """Use the named account in all tools; give the account in use a name if it has none.

    :param server: an auth server.
    :return: the files that hold its token now.
    :raises LoginFailed: if there is no such name.
    :raises TokenFileError: if a file can't be read or written.
    """
    store, names = TokenStore(), named(server)
    if name not in names:
        there = ", ".join(printable(each, _LONGEST) for each in names) or "none"
        raise LoginFailed(
            f"There is no account named {printable(name, _LONGEST)!r} for {server} (saved: "
            f"{there}). Log in: cave-auth login {server} --as NAME"
        )
    present = store.load(server)
    if present is not None and present not in names.values():
        store.save(present, server, _free_name(server, present, names))
    return DeploymentFiles(server).save(names[name], replaced=present)


def _free_name(server: str, token: str, taken: dict[str, str]) -> str:
    """A name for a token that has none: that of its account, if the server tells."""
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
