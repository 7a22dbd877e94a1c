"""What looks like a token, wherever somebody put it by mistake."""

from __future__ import annotations

import re

# The auth service makes tokens of 32 hexadecimal digits (secrets.token_hex(16)). The first label of
# a longer host name, a path of a longer hash, and the like are none.
_TOKEN = re.compile(r"(?<![0-9a-z])(?<![0-9a-z]\.)[0-9a-f]{32}(?!\.?[0-9a-z])", re.IGNORECASE)

_WRONG_PLACE = " (<token> stands for what looks like a token, in a place where none belongs.)"


def is_like_token(text: object) -> bool:
    """Whether a text is, by its looks, a token of CAVE.

    >>> is_like_token("0123456789abcdef0123456789abcdef"), is_like_token("global.daf-apis.com")
    (True, False)
    """
    return isinstance(text, str) and _TOKEN.fullmatch(text.strip()) is not None


def masked(text: str) -> str:
    """A text with ``<token>`` for each part that looks like a token."""
    return _TOKEN.sub("<token>", text)


def without_token(message: str) -> str:
    """A message in which nothing looks like a token; if something did, it says so at its end.

    >>> without_token("'0123456789ABCDEF0123456789abcdef' is no file.")
    "'<token>' is no file. (<token> stands for what looks like a token, ...)"
    """
    hidden = masked(message)
    return message if hidden == message else hidden + _WRONG_PLACE
