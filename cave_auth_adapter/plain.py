"""Text that does nothing to a terminal."""

from __future__ import annotations

_SHOWN = 300  # characters of a server's word that are shown


def printable(word: object, limit: int | None = _SHOWN) -> str:
    """A text on one line, with nothing in it that a terminal obeys or shows in another order.

    :param limit: how many characters are shown at most; None: all.

    >>> printable("Eve\\x1b]0;your title\\x07")
    'Eve�]0;your title�'
    """
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(word))
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"
