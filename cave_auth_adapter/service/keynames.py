"""The names of the API keys that this package makes, so that it can recognise them."""

from __future__ import annotations

import re
import secrets
import socket
import time

from ..words import printable

_HOST = 60  # characters of the computer's name; the service allows 120 for the description


def key_name() -> str:
    """A unique description for a new key: where and when it was made.

    >>> key_name()
    'cave-auth on ..., 20... (...)'
    """
    return f"{_made_here()}{time.strftime('%Y-%m-%d %H:%M')} ({secrets.token_hex(3)})"


def was_made_here(description: str | None) -> bool:
    """Whether a key's name was made by :func:`key_name` on this computer.

    >>> was_made_here(key_name()), was_made_here("nightly job")
    (True, False)
    """
    form = rf"{re.escape(_made_here())}\d{{4}}-\d\d-\d\d \d\d:\d\d \([0-9a-f]{{6}}\)"
    return re.fullmatch(form, description or "") is not None


def _made_here() -> str:
    return f"cave-auth on {printable(socket.gethostname(), _HOST)}, "
