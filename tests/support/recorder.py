"""A server on this machine that keeps every byte of every request it receives."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import Any, NamedTuple


class Received(NamedTuple):
    connection: int
    data: bytes


class Recorder:
    """Answers 200 except to the paths below.

    ``/to/<status>/<number>/...``: a redirect to what is left of the path at the server of that
    number in ``servers``. ``/cookie/...``: an answer that sets one.

    :param context: to speak TLS with.
    """

    def __init__(self, context: ssl.SSLContext | None = None):
        self.servers = [self]
        self._context = context
        self._received: list[Received] = []
        self._connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)

    def clear(self) -> None:
        self._received.clear()

    def requests(self) -> list[bytes]:
        return [each.data for each in self._received]

    def requests_by_connection(self) -> list[Received]:
        """Every request since ``clear()``, with its connection; these are counted from 0."""
        numbers: dict[int, int] = {}
        received = list(self._received)
        return [Received(numbers.setdefault(n, len(numbers)), data) for n, data in received]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections += 1
                arguments = connection, self._connections
                threading.Thread(target=self._serve, args=arguments, daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                while data := _read_request(stream):
                    self._received.append(Received(number, data))
                    connection.sendall(self._answer(data))

    def _answer(self, data: bytes) -> bytes:
        method, path, _ = data.split(b"\r\n")[0].decode("latin-1").split(" ", 2)
        status, extra = "200 OK", ""
        if path.startswith("/to/"):
            _, _, code, number, rest = path.partition("?")[0].split("/", 4)
            status = f"{code} Redirected"
            extra = f"Location: {self.servers[int(number)].url}/{rest}\r\n"
        elif path.startswith("/cookie/"):
            extra = "Set-Cookie: from_server=1; Path=/\r\n"
        body = "" if method == "HEAD" else "ok"
        return f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n{extra}\r\n{body}".encode("latin-1")


def _read_request(stream: Any) -> bytes:
    """One complete request, or None if the connection ended."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if not (line := stream.readline()):
            return b""
        head += line
    fields = [line.partition(b":") for line in head.lower().split(b"\r\n")]
    values = {name: value.strip() for name, _, value in fields}
    if values.get(b"transfer-encoding") == b"chunked":
        return head + _read_chunks(stream)
    return head + stream.read(int(values.get(b"content-length", 0)))


def _read_chunks(stream: Any) -> bytes:
    data = b""
    while True:
        line = stream.readline()
        size = int(line, 16)
        data += line + stream.read(size + 2)
        if not size:
            return data
