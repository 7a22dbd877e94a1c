"""Find the token in a pasted text: an address, a secret file, a header, or the token alone."""

from __future__ import annotations

import json
import re
from typing import Any

from ..errors import InvalidToken
from ..tokens import DEFAULT_KEY, check_token
from .callback import token_in_query

_MARKS = re.compile(r"\x1b\[20[01]~")  # bracketed paste: a terminal puts these around a paste
_HEADER = re.compile(r"(?:authorization:\s*)?bearer\s+", re.IGNORECASE)


def token_in_paste(pasted: str, target: str = "", what: str = "What you pasted") -> str:
    """The token in a pasted text.

    :param pasted: the address of the login's last page, with any scheme or none; the content of a
        secret file or of the token page's download; ``Bearer …``; or a token. The same text twice
        counts once: people paste again where nothing is shown.
    :param target: the address of this login's last page; empty if there is none.
    :param what: what the text is, for messages.
    :raises InvalidToken: if there is no token in it; the message does not show the text.

    >>> token_in_paste("Authorization: Bearer 0123456789abcdef")
    '0123456789abcdef'
    >>> token_in_paste('{"token": "0123456789abcdef"}')
    '0123456789abcdef'
    """
    text = _MARKS.sub("", pasted).strip()
    if not text:
        raise InvalidToken("Nothing was pasted.")
    if any(ord(character) < 32 and character not in "\r\n\t" for character in text):
        raise InvalidToken(
            f"{what} has a control character in it. Copy it again. In a terminal, paste with a "
            "right click or Shift-Insert."
        )
    if text.startswith("{"):
        return _in_file(text, what)
    if "://" in text or text.startswith("127.0.0.1"):
        return _in_address(text, target)
    return check_token(_once(_HEADER.sub("", text, count=1)), what)


def _in_file(text: str, what: str) -> str:
    """The token in a secret file: under the usual key, or under the only one."""
    try:
        secrets: Any = json.loads(text)
    except (ValueError, RecursionError):
        secrets = None
    if not isinstance(secrets, dict):
        # Not chained: a JSONDecodeError carries the whole document.
        raise InvalidToken(f"{what} is not a complete secret file. Copy it again.") from None
    token = secrets.get(DEFAULT_KEY)
    if token is None and len(secrets) == 1:
        (token,) = secrets.values()
    return check_token(token, f"{what}: the value of {DEFAULT_KEY!r}")


def _in_address(text: str, target: str) -> str:
    authority_and_path = target.partition("://")[2]
    if not authority_and_path or authority_and_path not in text:
        raise InvalidToken(
            "What you pasted is not the address of this login's last page. Log in at the address "
            "above, then copy the address that begins with http://127.0.0.1."
        )
    before, *queries = re.split(rf"(?:https?://)?{re.escape(authority_and_path)}", text)
    found = {token_in_query(query.strip().partition("#")[0].removeprefix("?")) for query in queries}
    token = found.pop() if len(found) == 1 and not before.strip() else None
    if token is None:
        raise InvalidToken("The address that you pasted has no token in it. Copy all of it.")
    return token


def _once(text: str) -> str:
    """Half of a text that was pasted twice."""
    half = len(text) // 2
    return text[:half] if half >= 32 and text[:half] == text[half:] else text
