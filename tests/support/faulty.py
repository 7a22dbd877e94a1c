"""A server on localhost that breaks each of its answers in a chosen way."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from .servers import Authority, Seen, _read

BODY = b"0123456789abcdef" * 64
CLOSE, RESET, STALL, KEEP = "close", "reset", "stall", "keep"


class Fault(NamedTuple):
    """What a server sends in place of a good answer, and how it continues."""

    sent: bytes
    then: str = CLOSE  # CLOSE, RESET, STALL (until the server ends) or KEEP (the connection)


def answer(status: str, *headers: str, body: bytes = BODY, length: int | None = None) -> bytes:
    """An answer; its Content-Length is that of the body unless one is given."""
    length = len(body) if length is None else length
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {length}", *headers, "", ""])
    return head.encode() + body


def _chunked(*pieces: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(pieces)


GOOD = Fault(answer("200 OK", body=b"good"), KEEP)
REFUSAL = Fault(answer("401 Unauthorized", body=b'{"error": "invalid_token"}'), KEEP)
_CHUNK = b"400\r\n" + BODY + b"\r\n"
_CUT = answer("200 OK", length=2 * len(BODY))
_CUT_REFUSAL = answer("401 Unauthorized", length=2 * len(BODY))

#: Faults of an answer.
FAULTS = {
    # nothing comes
    "closes before the answer": Fault(b""),
    "resets before the answer": Fault(b"", RESET),
    "stalls before the answer": Fault(b"", STALL),
    # the head is broken
    "closes within the status line": Fault(b"HTTP/1."),
    "closes within the headers": Fault(b"HTTP/1.1 200 OK\r\nContent-Len"),
    "resets within the headers": Fault(b"HTTP/1.1 200 OK\r\nContent-Len", RESET),
    "stalls within the headers": Fault(b"HTTP/1.1 200 OK\r\nContent-Len", STALL),
    "does not speak HTTP": Fault(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "has a status that is no number": Fault(b"HTTP/1.1 abc OK\r\n\r\n"),
    "has a status out of range": Fault(answer("99999 OK")),
    "sends binary rubbish": Fault(bytes(range(256)) * 8),
    "has a status line without end": Fault(b"HTTP/1.1 200 " + b"x" * 70_000),
    "has a huge header": Fault(answer("200 OK", "X: " + "x" * 70_000)),
    "has too many headers": Fault(answer("200 OK", *(f"X-{n}: 1" for n in range(200)))),
    "has a header without a colon": Fault(answer("200 OK", "no colon here"), KEEP),
    "has two lengths": Fault(answer("200 OK", "Content-Length: 5")),
    "has a length that is no number": Fault(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nbody"),
    "has a negative length": Fault(answer("200 OK", length=-5)),
    "goes on with 100 and closes": Fault(b"HTTP/1.1 100 Continue\r\n\r\n"),
    # the body is broken
    "closes within the body": Fault(_CUT),
    "resets within the body": Fault(_CUT, RESET),
    "stalls within the body": Fault(_CUT, STALL),
    "closes within a chunk": Fault(_chunked(_CHUNK, b"400\r\n", BODY[:100])),
    "closes between chunks": Fault(_chunked(_CHUNK)),
    "resets between chunks": Fault(_chunked(_CHUNK), RESET),
    "stalls between chunks": Fault(_chunked(_CHUNK), STALL),
    "has a chunk size that is no number": Fault(_chunked(_CHUNK, b"zz\r\n", BODY)),
    "is not the gzip it says": Fault(answer("200 OK", "Content-Encoding: gzip"), KEEP),
    "cuts gzip off": Fault(
        answer("200 OK", "Content-Encoding: gzip", body=gzip.compress(BODY)[:-12]), KEEP
    ),
    "has an encoding that nobody knows": Fault(answer("200 OK", "Content-Encoding: rot13"), KEEP),
    # it leads astray
    "redirects to itself": Fault(answer("302 Found", "Location: /"), KEEP),
    "redirects to no URL": Fault(answer("302 Found", "Location: https://["), KEEP),
    "redirects to no host": Fault(answer("302 Found", "Location: https:///"), KEEP),
    "redirects to another scheme": Fault(
        answer("302 Found", "Location: gopher://localhost/"), KEEP
    ),
    "redirects, and closes within the body": Fault(
        answer("302 Found", "Location: https://[", length=2 * len(BODY))
    ),
    # it refuses, and breaks off
    "closes within a refusal": Fault(_CUT_REFUSAL),
    "resets within a refusal": Fault(_CUT_REFUSAL, RESET),
    "stalls within a refusal": Fault(_CUT_REFUSAL, STALL),
    "closes within a 403": Fault(answer("403 Forbidden", length=2 * len(BODY))),
    "refuses with broken gzip": Fault(answer("401 Unauthorized", "Content-Encoding: gzip"), KEEP),
    "is broken itself": Fault(answer("500 Internal Server Error", length=2 * len(BODY))),
}

#: Faults before there is a connection to talk over.
HANDSHAKES = {
    "closes before the handshake": Fault(b""),
    "resets before the handshake": Fault(b"", RESET),
    "stalls before the handshake": Fault(b"", STALL),
    "speaks HTTP in place of TLS": Fault(answer("400 Bad Request")),
}

Plan = Callable[[Seen], Fault]


class FaultyServer:
    """Answers each request by a plan.

    :param handshake: what happens in place of the TLS handshake, if anything.
    """

    def __init__(
        self, authority: Authority, plan: Plan, *, handshake: Fault | None = None, port: int = 0
    ) -> None:
        self.plan = plan
        self.handshake = handshake
        self.requests: list[Seen] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.certificate.configure_cert(self._context)
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("localhost", port))
        self.host = f"localhost:{self._listener.getsockname()[1]}"
        self.url = f"https://{self.host}/"
        self._start(self._accept)

    def close(self) -> None:
        """Stop the server and its stalled connections."""
        self._ended.set()
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            for number in itertools.count():
                self._start(self._serve, self._listener.accept()[0], number)

    def _serve(self, plain: socket.socket, number: int) -> None:
        connection = plain
        self._open.add(plain)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.settimeout(10)
        with contextlib.suppress(OSError, ValueError):
            if self.handshake is not None:
                plain.recv(65536)  # unread bytes would turn each close into a reset
                self._give(plain, self.handshake)
            else:
                connection = self._context.wrap_socket(plain, server_side=True)
                self._open.add(connection)
                self._talk(connection, number)
        connection.close()
        self._open -= {plain, connection}

    def _talk(self, connection: ssl.SSLSocket, number: int) -> None:
        with connection.makefile("rb") as stream:
            while seen := _read(stream, number):
                self.requests.append(seen)
                fault = self.plan(seen)
                self._give(connection, fault)
                if fault.then != KEEP:
                    break

    def _give(self, connection: socket.socket, fault: Fault) -> None:
        connection.sendall(fault.sent)
        if fault.then == STALL:
            _wait_for_end(connection)
        elif fault.then == RESET:  # a linger time of zero: no orderly end
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def _wait_for_end(connection: socket.socket) -> None:
    """Send nothing more until the client or the server ends."""
    connection.settimeout(10)
    while connection.recv(4096):
        pass
