"""Make text safe to print: no control characters, only what the stream can encode and show."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from typing import Any

_SHOWN = 300  # characters of a server's text that are shown
_LATIN = r"LATIN (CAPITAL|SMALL) LETTER ([A-Z]|AE|OE)(?: WITH .*)?$"
_SIGNS = dict(zip("‘’“”–—ß", ["'", "'", '"', '"', "-", "-", "ss"], strict=True))  # noqa: RUF001


def printable(word: object, limit: int | None = _SHOWN) -> str:
    """A text on one line, without control characters or changes of writing direction.

    :param limit: the most characters to show; None: all.

    >>> printable("Eve\\x1b]0;your title\\x07")
    'Eve�]0;your title�'
    """
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(word))
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"


def writable(text: str, stream: Any) -> str:
    """A text that a stream can encode.

    A letter or sign that its encoding lacks becomes a plain one, or a question mark.

    >>> import io
    >>> writable("Łukasz Černý …", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    'Lukasz Cerný ...'
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_as_encoded(character, encoding) for character in text)
    return text


def _as_encoded(character: str, encoding: str) -> str:
    for form in (character, _plain(character)):
        with contextlib.suppress(UnicodeEncodeError):
            form.encode(encoding)
            return form
    return "?"


def _plain(character: str) -> str:
    """A letter without its marks, or the ASCII form of a sign, as Unicode's data has them."""
    import unicodedata  # a large table, which few consoles need

    if character in _SIGNS:
        return _SIGNS[character]
    letter = re.match(_LATIN, unicodedata.name(character, ""))  # "Ł" has no decomposition
    if letter:
        return letter[2] if letter[1] == "CAPITAL" else letter[2].lower()
    decomposed = unicodedata.normalize("NFKD", character)
    return "".join(part for part in decomposed if not unicodedata.combining(part))


def is_rewritable(stream: Any) -> bool:
    """Whether a stream is a terminal that can rewrite a line and show colours."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def one_line(texts: Sequence[str], stream: Any) -> str:
    """The first of some texts that fits in one line of a terminal; else the last, cut.

    A line that is wrapped can't be rewritten.
    """
    try:
        columns = os.get_terminal_size(stream.fileno()).columns or 80  # 0: unknown
    except (AttributeError, OSError, ValueError):  # no terminal
        columns = 80
    room = columns - 1  # some terminals wrap a line that fills them
    return next((text for text in texts if len(text) <= room), texts[-1][:room])
