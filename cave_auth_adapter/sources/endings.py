"""When a login token ends: noted by the login that saved it, and known to programs at no cost.

An API key lasts; a login token lives for 7 days, and nothing in it tells. A login that keeps one
notes its end in a file beside the secret files, under a fingerprint. Without such a file nothing is
read, and no server is ever asked.
"""

from __future__ import annotations

import contextlib
import time
from datetime import datetime, timezone
from pathlib import Path

from ..errors import TokenFileError
from ..store import TokenStore, change, read_secrets

#: The file of ends: fingerprint -> ISO 8601.
ENDS_FILE = "cave-login-tokens.json"


def note_end(token: str, seconds: float) -> None:
    """Note that a token ends in so many seconds; forget the tokens that have ended.

    :raises TokenFileError: if the file can't be written.
    """
    moment = datetime.fromtimestamp(time.time() + seconds, timezone.utc)
    ends = moment.isoformat(timespec="seconds")
    change(
        TokenStore().directory / ENDS_FILE,
        lambda noted: {
            **{name: None for name, text in noted.items() if _timestamp(text) < time.time()},
            _fingerprint(token): ends,
        },
    )


def end_of(token: str, directory: Path) -> float:
    """When a token ends, in seconds since 1970; infinity if no end is known."""
    with contextlib.suppress(TokenFileError):
        noted = read_secrets(directory / ENDS_FILE) or {}
        if text := noted.get(_fingerprint(token)):
            return _timestamp(text)
    return float("inf")


def _timestamp(text: object) -> float:
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else float("inf")
    return float("inf")


def _fingerprint(token: str) -> str:
    """What names a token and does not tell it: it has 128 random bits, so no guess leads back."""
    import hashlib  # only here: most processes have no use for it

    return hashlib.sha256(token.encode()).hexdigest()[:16]
