"""Read a response's body within limits of size and time."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import ssl
import time
import zlib
from typing import Any, NamedTuple

from requests import Response
from urllib3 import HTTPResponse
from urllib3.util.wait import wait_for_read

PEEKED = 1 << 16  # bytes of a body that are read at most, as sent and as decoded
_PEEK_SECONDS = 5.0


class TooLong(Exception):
    """A body that does not end within the limits."""


def peek(response: Response) -> bytes:
    """The start of a body, decoded. A later read of the response still gets all of it."""
    content = getattr(response, "_content", False)  # no public attribute tells what was read
    if content or content is None:
        return bytes(content or b"")[:PEEKED]
    raw = response.raw
    if getattr(response, "_content_consumed", False) or not hasattr(raw, "read"):
        return b""
    start, failure = take(raw, PEEKED, time.monotonic() + _PEEK_SECONDS)
    response.raw = _put_back(start, raw, failure)
    return decoded(start, _header(raw, "Content-Encoding"), PEEKED)


def take(raw: Any, limit: int, deadline: float) -> tuple[bytes, Exception | None]:
    """Up to ``limit`` bytes of a body as it was sent, and the error that stopped the reading.

    :param raw: ``response.raw``.
    :param deadline: on the clock of :func:`time.monotonic`. It holds even if the request has no
        timeout, and the server sends nothing more.
    :return: the error is None if the body ended, and :class:`TooLong` if a limit was reached.
    """
    taken = bytearray()
    try:
        while True:
            if len(taken) >= limit or time.monotonic() > deadline:
                return bytes(taken), TooLong()
            piece = _read_in_time(raw, limit - len(taken), deadline)
            if piece is None:
                return bytes(taken), TooLong()
            if not piece:
                return bytes(taken), None
            taken += piece
    except Exception as error:  # raised again when the caller reads on
        return bytes(taken), error


class _Stream(NamedTuple):
    """The socket of an answer, and the buffer before it."""

    answer: http.client.HTTPResponse
    buffer: io.BufferedReader
    sock: socket.socket

    def is_enough(self, peeked: bytes) -> bool:
        """Whether a read of what is in the buffer does not wait for more."""
        left = getattr(self.answer, "chunk_left", None)  # 0: the end of the line before a size
        if not self.answer.chunked or left:
            return bool(peeked)
        return b"\n" in peeked[0 if left is None else 2 :]

    def arrives(self, deadline: float) -> bool:
        """Wait until there is something to read, or the end; False if neither comes in time."""
        was_ready = False
        while True:
            try:
                if self.is_enough(self.buffer.peek(1)) or was_ready:
                    return True
            except ssl.SSLWantReadError:  # there is only a part of a TLS record
                pass
            if not wait_for_read(self.sock, timeout=max(0.0, deadline - time.monotonic())):
                return False
            was_ready = True


def _stream_of(raw: Any) -> _Stream | None:
    """What a body is read from; None if that is not a socket, or nothing is left."""
    answer = getattr(raw, "_fp", None)  # no public attribute leads to the socket
    if isinstance(answer, _Again):
        return answer.unread()
    if not isinstance(answer, http.client.HTTPResponse) or answer.length == 0:
        return None
    buffer: Any = answer.fp
    sock = getattr(getattr(buffer, "raw", None), "_sock", None)
    if isinstance(buffer, io.BufferedReader) and isinstance(sock, socket.socket):
        return _Stream(answer, buffer, sock)
    return None


def _read_in_time(raw: Any, limit: int, deadline: float) -> bytes | None:
    """The bytes that have arrived; None if nothing arrives before the deadline.

    After a timeout a socket can't be read any more. So wait first, in a way that changes nothing.
    """
    stream = _stream_of(raw)
    timeout, left = stream and stream.sock.gettimeout(), deadline - time.monotonic()
    if stream is None or (timeout is not None and timeout <= left):
        return _next_bytes(raw, limit)
    sock = stream.sock
    try:
        sock.settimeout(0.0)
        if not stream.arrives(deadline):
            return None
        sock.settimeout(max(0.1, deadline - time.monotonic()))
        return _next_bytes(raw, limit)
    finally:
        with contextlib.suppress(OSError):
            sock.settimeout(timeout)


def _next_bytes(raw: Any, limit: int) -> bytes:
    """The bytes that have arrived. ``read(n)`` would wait for n bytes, however slowly they come."""
    if not isinstance(raw, HTTPResponse):
        return bytes(raw.read(limit))
    if hasattr(raw, "read1"):  # since urllib3 2.1
        return bytes(raw.read1(limit, decode_content=False))
    return bytes(raw.read(1, decode_content=False))


def decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """The start of a body without its content coding (RFC 9110, section 8.4.1).

    :return: at most ``limit`` bytes; none if the coding is broken, or one that we don't ask for.
    """
    if encoding in ("", "identity"):
        return body[:limit]
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return b""
    for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):  # some servers send bare deflate
        try:
            return zlib.decompressobj(window).decompress(body, limit)
        except zlib.error:
            continue
    return b""


def _put_back(start: bytes, rest: Any, failure: Exception | None) -> Any:
    """A body that begins with what was read already, and goes on with the rest."""
    body = _Again(start, rest, failure)
    if not isinstance(rest, HTTPResponse):
        return body
    return HTTPResponse(
        body,
        rest.headers,
        rest.status,
        version=rest.version,
        reason=rest.reason,
        preload_content=False,
        decode_content=rest.decode_content,
        # requests reads cookies from it (cookies.py, extract_cookies_to_jar).
        original_response=getattr(rest, "_original_response", None),
    )


class _Again(io.RawIOBase):
    """A stream of bytes that were read already, then of the rest."""

    def __init__(self, start: bytes, rest: Any, failure: Exception | None):
        self._start = io.BytesIO(start)
        self._rest = rest
        self._failure = failure

    def read(self, size: int | None = -1) -> bytes:
        if piece := self._start.read(size):
            return piece
        if self._failure is not None and not isinstance(self._failure, TooLong):
            raise self._failure
        if isinstance(self._rest, HTTPResponse):
            return bytes(self._rest.read(size if size != -1 else None, decode_content=False))
        return bytes(self._rest.read(size))

    read1 = read

    def unread(self) -> _Stream | None:  # not "stream", which requests would call
        is_read = self._start.tell() == len(self._start.getvalue())
        return _stream_of(self._rest) if is_read else None

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._rest.close()
        super().close()


def _header(raw: Any, name: str) -> str:
    headers = getattr(raw, "headers", None)
    return str(headers.get(name, "") if headers else "").strip().lower()
