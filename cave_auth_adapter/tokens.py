"""What a token is: where it came from, and which texts can be one."""

from __future__ import annotations

import re

from .errors import InvalidToken

DEFAULT_KEY = "token"
_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*\Z", re.ASCII)  # RFC 6750, section 2.1
_COPY_AGAIN = "Copy it again, without quotes, spaces or line breaks."


class Token:
    """A token and where it came from. Only :attr:`value` shows it; ``repr`` does not."""

    __slots__ = ("source", "value")

    def __init__(self, value: str, source: str):
        self.value = value
        self.source = source

    def __repr__(self) -> str:
        return f"<token from {self.source}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


def check_token(token: object, origin: str) -> str:
    """Return a token that can be sent as a bearer token.

    :param token: what should be one.
    :param origin: where it came from, for the message: ``"the variable CAVE_TOKEN"``.
    :raises InvalidToken: (also a :class:`ValueError`) if it can't be one; the message never
        holds the token itself.

    >>> check_token("0123456789abcdef", "this example")
    '0123456789abcdef'
    """
    if not isinstance(token, str):
        raise InvalidToken(f"{origin} is not a string but {type(token).__name__}. {_COPY_AGAIN}")
    if not token:
        raise InvalidToken(f"{origin} is empty. {_COPY_AGAIN}")
    if not _B64TOKEN.match(token):
        raise InvalidToken(f"{origin} {_describe_bad_characters(token)}. {_COPY_AGAIN}")
    return token


def _describe_bad_characters(token: str) -> str:
    for name, characters in (
        ("the HTML of a page", "<>"),
        ("a line break", "\r\n"),
        ("white space", " \t\v\f\xa0"),
        ("quotes", "\"'`“”‘’"),  # noqa: RUF001 - the quotes that word processors make
    ):
        if any(character in token for character in characters):
            return f"has {name} in it"
    return "has characters in it that no bearer token has (RFC 6750)"
