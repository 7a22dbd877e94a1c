"""Finds a token in bytes, however it is written."""

from __future__ import annotations

import base64
import functools
import quopri
import re
import zlib
from collections.abc import Iterable, Iterator
from urllib.parse import unquote_to_bytes

_ESCAPE = re.compile(rb"\\(?:u00|x)([0-9a-f]{2})")  # JSON's and Python's
_COMPRESSED = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")  # RFC 1952; RFC 1950


def found(token: str, *texts: object) -> bool:
    """Whether a token, or half of it, is in the texts, in any of the usual encodings.

    :param texts: bytes, or objects whose ``repr`` is looked at.
    """
    needles = _needles(token)
    for text in texts:
        data = text if isinstance(text, bytes) else repr(text).encode("utf-8", "replace")
        for view in _views(data):
            if any(needle in view for needle in needles):
                return True
    return False


def any_found(tokens: Iterable[str], *texts: object) -> bool:
    """Whether any of several tokens is in what is given."""
    return any(found(token, *texts) for token in tokens)


@functools.cache
def _needles(token: str) -> tuple[bytes, ...]:
    """Each half of a token in each encoding, in lower case as all views are."""
    middle = len(token) // 2
    halves = [token[:middle].encode(), token[middle:].encode()]
    needles: list[bytes] = []
    for half in halves:
        for variant in {half, half.upper(), half.swapcase()}:
            for text in (variant, variant[::-1]):
                needles += [text, text.hex().encode(), *_in_base64(text)]
                needles.append(base64.b32encode(text)[: len(text) * 8 // 5])
    return tuple({needle.lower() for needle in needles})


def _in_base64(text: bytes) -> Iterator[bytes]:
    """Base64 at all three alignments, without the characters that depend on what is around.

    The needles are compared without regard to case; at this length that finds nothing by chance.
    """
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + text)
        start, odd = (0, 2, 3)[before], (before + len(text)) % 3
        yield encoded[start : len(encoded) - (0, 4, 4)[odd]]


def _views(data: bytes) -> Iterator[bytes]:
    """The bytes as they are, and as they read when each encoding is undone."""
    unpacked = [data, *_decompressed(data)]
    for each in unpacked:
        lower = each.lower()
        yield lower
        if b"\0" in lower:  # UTF-16 and UTF-32, either byte order
            yield lower.replace(b"\0", b"")
        if b"%" in lower:
            yield unquote_to_bytes(unquote_to_bytes(lower)).lower()
        if b"=" in lower:
            yield quopri.decodestring(each).lower()
        if b"\\" in lower:
            yield _ESCAPE.sub(_unescaped, lower).replace(b"\0", b"")
        if b"-" in lower or b"_" in lower:  # base64url
            yield lower.replace(b"-", b"+").replace(b"_", b"/")


def _unescaped(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex(match[1].decode())


def _decompressed(data: bytes) -> Iterator[bytes]:
    """What is compressed in the bytes, wherever it starts."""
    for match in _COMPRESSED.finditer(data):
        rest = data[match.start() :]
        try:
            yield zlib.decompressobj(47).decompress(rest)  # 47: gzip or zlib, as it starts
        except zlib.error:
            continue
