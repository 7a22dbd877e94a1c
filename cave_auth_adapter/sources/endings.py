"""Note when a login token expires, so that programs can warn without asking a server.

An API key does not expire; a login token expires after 7 days, but does not say so. A login that
saves one notes its end in a file beside the secret files, under a fingerprint. Without such a file,
nothing is read.
"""

from __future__ import annotations

import contextlib
import time
from datetime import datetime, timezone
from pathlib import Path

from ..errors import TokenFileError
from ..store import TokenStore
from ..store.content import change, read_secrets

#: The file of these times: fingerprint -> ISO 8601.
ENDS_FILE = "cave-login-tokens.json"


def note_end(token: str, seconds: float) -> None:
    """Note that a token expires in so many seconds; delete the notes of expired tokens.

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
    """When a token expires, in seconds since 1970; infinity if that is unknown."""
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
    """A fingerprint of a token, which can't be inverted: a token has 128 random bits."""
    import hashlib  # rarely needed

    return hashlib.sha256(token.encode()).hexdigest()[:16]
