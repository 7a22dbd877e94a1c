"""Find what looks like a token, and mask it in messages."""

from __future__ import annotations

import re
from string import hexdigits

# The auth service makes tokens of 32 hexadecimal digits (secrets.token_hex(16)). Labels of host
# names and parts of longer hashes don't count. Patterns of messages and errors are strings all over
# this package, so that `re` compiles them when they are needed, and not when we are imported.
_TOKEN = r"(?i)(?<![0-9a-z])(?<![0-9a-z]\.)[0-9a-f]{32}(?!\.?[0-9a-z])"

_DIGITS = frozenset(hexdigits)
_WRONG_PLACE = " (<token> replaces what looks like a token. Tokens don't belong there.)"


def is_like_token(text: object) -> bool:
    """Whether a text looks like a CAVE token.

    >>> is_like_token("0123456789abcdef0123456789abcdef"), is_like_token("global.daf-apis.com")
    (True, False)
    """
    return isinstance(text, str) and len(word := text.strip()) == 32 and _DIGITS.issuperset(word)


def masked(text: str) -> str:
    """A text with ``<token>`` in place of each part that looks like a token."""
    return re.sub(_TOKEN, "<token>", text)


def without_token(message: str) -> str:
    """Mask tokens in a message. If there were any, a note at its end explains ``<token>``.

    >>> without_token("'0123456789ABCDEF0123456789abcdef' is no file.")
    "'<token>' is no file. (<token> replaces what looks like a token. ...)"
    """
    hidden = masked(message)
    return message if hidden == message else hidden + _WRONG_PLACE
