"""Text that does nothing to a terminal, and that any stream can write."""

from __future__ import annotations

import os
from typing import Any

_SHOWN = 300  # characters of a server's word that are shown


def printable(word: object, limit: int | None = _SHOWN) -> str:
    """A text on one line, with nothing in it that a terminal obeys or shows in another order.

    :param limit: how many characters are shown at most; None: all.

    >>> printable("Eve\\x1b]0;your title\\x07")
    'Eve�]0;your title�'
    """
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(word))
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"


def writable(text: str, stream: Any) -> str:
    """A text as a stream can write it: what its encoding lacks becomes a question mark.

    >>> import io
    >>> writable("Łukasz …", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    '?ukasz ...'
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.replace("…", "...").encode(encoding, "replace").decode(encoding)
    return text


def is_rewritable(stream: Any) -> bool:
    """Whether a stream is a terminal that can write a line again, and in colour."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
