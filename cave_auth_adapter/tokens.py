"""Tokens: their value, their source, and the check that a string can be one."""

from __future__ import annotations

import os
import re
from typing import Literal, NamedTuple

from .errors import InvalidToken

DEFAULT_KEY = "token"
#: Seconds before a login token expires at which the user is warned.
LAST_DAY = 86400.0
_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*\Z", re.ASCII)  # RFC 6750, section 2.1
_COPY_AGAIN = "Copy it again, without quotes, spaces or line breaks."


#: The kinds of sources of tokens. Those that end in "=" are given in code, those in capitals are
#: variables; "file" is a file in the directory of secret files; "login" has not been saved yet.
Kind = Literal[
    "token=",
    "token_file=",
    "source=",
    "CAVE_TOKEN",
    "CAVE_TOKEN_FILE",
    "CAVE_TOKEN_COMMAND",
    "file",
    "keyring",
    "login",
]

#: The kinds of sources that are files.
FILES: frozenset[Kind] = frozenset({"token_file=", "CAVE_TOKEN_FILE", "file"})


class Source(NamedTuple):
    """Where a token came from. ``str`` describes it.

    :ivar kind: the kind of source; compare this, not the description.
    :ivar path: the file, for the kinds in :data:`FILES`.
    :ivar key: the key in the file, the entry of the keyring, or the name of a function.

    >>> str(Source("CAVE_TOKEN")), str(Source("file", "/etc/cave-secret.json", "token"))
    ('the variable CAVE_TOKEN', "the file /etc/cave-secret.json, key 'token'")
    """

    kind: Kind
    path: str | os.PathLike[str] | None = None
    key: str | None = None

    def __str__(self) -> str:
        if self.kind in FILES:
            return f"the file {self.path}, key {self.key!r}"
        if self.kind == "keyring":
            return f"the keyring, entry {self.key!r}"
        if self.kind == "source=":
            return f"the token source {self.key}"
        return _IN_WORDS[self.kind]


_IN_WORDS: dict[Kind, str] = {
    "token=": "token= in code",
    "CAVE_TOKEN": "the variable CAVE_TOKEN",
    "CAVE_TOKEN_COMMAND": "the command in the variable CAVE_TOKEN_COMMAND",
    "login": "the login",
}


class Hidden(str):
    """A string whose ``repr`` does not show it: a traceback can show the local variables.

    >>> Hidden("0123456789abcdef")
    <16 characters>
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} characters>"


class Token:
    """A token and where it came from. Only :attr:`value` shows it; ``repr`` does not."""

    __slots__ = ("source", "value")

    def __init__(self, value: str, source: Source):
        self.value = value
        self.source = source

    def __repr__(self) -> str:
        return f"<token from {self.source}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


def check_token(token: object, origin: str) -> str:
    """Return a token if it can be sent as a bearer token.

    :param token: the value to check.
    :param origin: where it came from, for the message: ``"the variable CAVE_TOKEN"``.
    :raises InvalidToken: (also a :class:`ValueError`) if it can't be sent. The message does not
        show it.

    >>> check_token("0123456789abcdef", "this example")
    '0123456789abcdef'
    """
    if isinstance(token, str) and _B64TOKEN.match(token):
        return token
    problem, token = _problem_of(token), None  # a traceback can show the local variables
    raise InvalidToken(f"{origin} {problem}. {_COPY_AGAIN}")


def _problem_of(token: object) -> str:
    if not isinstance(token, str):
        return f"is not a string but {type(token).__name__}"
    if not token:
        return "is empty"
    for name, characters in (
        ("the HTML of a page", "<>"),
        ("a line break", "\r\n"),
        ("white space", " \t\v\f\xa0"),
        ("quotes", "\"'`“”‘’"),  # noqa: RUF001 - the quotes that word processors make
    ):
        if any(character in token for character in characters):
            return f"has {name} in it"
    return "has characters in it that no bearer token has (RFC 6750)"


def composed(key: str) -> str:
    """A key of a secret file in Unicode's form NFC: each letter with its mark is one character.

    macOS may paste them as two, which is another string that looks the same.
    """
    if key.isascii():
        return key
    import unicodedata  # a large table, which few keys need

    return unicodedata.normalize("NFC", key)


def spellings(key: str) -> tuple[str, ...]:
    """A key of a secret file, and what looks the same: its forms NFC and NFD in Unicode."""
    if key.isascii():
        return (key,)
    import unicodedata

    return tuple(dict.fromkeys([key, composed(key), unicodedata.normalize("NFD", key)]))
