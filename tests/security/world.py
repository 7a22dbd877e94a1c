"""The whole internet on this machine: every name resolves to a server that records what it hears.

The resolver is replaced, and nothing else: names, TLS, proxies and connections are those of the
real libraries. Each host and port has a listener of its own, so what a server heard is known by
where the client wanted to go, not by what the client says.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import selectors
import socket
import ssl
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ..support.certificates import Authority
from ..support.servers import pump

LOOPBACK = "127.0.0.1"
_TLS_HANDSHAKE = b"\x16"  # the first byte of a TLS connection (RFC 8446, section 5.1)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Answer(NamedTuple):
    """What a server answers, with `location` as on the wire; without a status it hangs up."""

    status: int | None = 200
    location: str | None = None
    challenge: str | None = None

    def on_the_wire(self) -> bytes:
        body = b'{"type": "answer"}'
        lines = [f"HTTP/1.1 {self.status} Answer", "Content-Type: application/json"]
        if self.location is not None:
            lines.append(f"Location: {self.location}")
        if self.challenge is not None:
            lines.append(f"WWW-Authenticate: {self.challenge}")
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body


class Arrival(NamedTuple):
    """A request that a server received: where, and every byte of it."""

    origin: str
    data: bytes


class Heard(NamedTuple):
    """Received bytes, whether they are a request or not."""

    origin: str
    connection: int
    data: bytes


Gate = Callable[[str, bytes], "Answer | None"]  # origin and request


class World:
    """Servers for all names. They follow a script, one line per request, and then answer 200."""

    def __init__(self, directory: Path) -> None:
        self._authority = Authority(directory)
        self._listeners: dict[tuple[str, int], _Listener] = {}
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._script: deque[Answer] = deque()
        self._gate: Gate | None = None
        self._arrivals: list[Arrival] = []
        self._heard: list[Heard] = []
        self._open: set[socket.socket] = set()
        self._wake, woken = socket.socketpair()
        self._selector.register(woken, selectors.EVENT_READ)
        threading.Thread(target=self._accept, daemon=True).start()

    @contextlib.contextmanager
    def instead_of_the_internet(self) -> Iterator[World]:
        """Within it, every name leads to our servers, and no connection leaves the machine."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", self.getaddrinfo)
            patch.setenv("REQUESTS_CA_BUNDLE", str(self.bundle))
            patch.setattr(_guard, "up", True)
            yield self

    def getaddrinfo(
        self, host: Any, port: Any, *_: Any, **__: Any
    ) -> list[tuple[Any, Any, int, str, tuple[str, int]]]:
        if not host:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        name = host if isinstance(host, bytes) else host.encode("idna")  # as the real one does
        address = self.listener(name.decode(), int(port)).address
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)]

    def listener(self, host: str, port: int) -> _Listener:
        with self._lock:
            key = host.lower(), port
            if key not in self._listeners:
                listener = self._listeners[key] = _Listener(self._authority, *key)
                self._selector.register(listener.socket, selectors.EVENT_READ, listener)
                self._wake.send(b"!")  # select() does not notice what is registered under it
            return self._listeners[key]

    def play(self, script: list[Answer], gate: Gate | None = None) -> None:
        """Forget what was received, and answer the next requests by a script.

        :param gate: what it answers instead, if it does, is no line of the script.
        """
        self._script, self._gate = deque(script), gate
        self._arrivals, self._heard = [], []

    @property
    def bundle(self) -> Path:
        """The certificate to trust."""
        return self._authority.bundle

    @property
    def arrivals(self) -> list[Arrival]:
        return list(self._arrivals)

    @property
    def heard(self) -> dict[tuple[str, int], bytes]:
        """All bytes of each connection, in the order in which they came."""
        heard: dict[tuple[str, int], bytes] = {}
        for origin, connection, data in list(self._heard):
            heard[origin, connection] = heard.get((origin, connection), b"") + data
        return heard

    def close(self) -> None:
        self._wake.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with self._selector:
            while True:
                for key, _ in self._selector.select():
                    if key.data is None:
                        if not key.fileobj.recv(4096):
                            return self._end(key.fileobj)
                        continue
                    arguments = key.data.socket.accept()[0], key.data
                    threading.Thread(target=self._serve, args=arguments, daemon=True).start()

    def _end(self, woken: Any) -> None:
        woken.close()
        for listener in self._listeners.values():
            listener.socket.close()

    def _serve(self, plain: socket.socket, listener: _Listener) -> None:
        self._open.add(plain)
        connection = plain
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or each waits for an ACK
        with contextlib.suppress(OSError):  # a client that hangs up has sent what it sent
            if plain.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE:
                connection = listener.context().wrap_socket(plain, server_side=True)
                self._open.add(connection)
            self._talk(connection, listener)
        connection.close()
        self._open -= {plain, connection}

    def _talk(self, connection: socket.socket, listener: _Listener) -> None:
        scheme = "https" if isinstance(connection, ssl.SSLSocket) else "http"
        origin, buffer = f"{scheme}://{listener.host}:{listener.port}", b""
        while data := connection.recv(65536):
            self._heard.append(Heard(origin, id(connection), data))
            buffer += data
            while size := _size_of_request(buffer):
                request, buffer = buffer[:size], buffer[size:]
                if request.startswith(b"CONNECT "):
                    return self._tunnel(connection, request, origin)
                self._arrivals.append(Arrival(origin, request))
                answer = self._answer(origin, request)
                if answer.status is None:
                    return
                connection.sendall(answer.on_the_wire())

    def _answer(self, origin: str, request: bytes) -> Answer:
        refusal = self._gate(origin, request) if self._gate else None
        if refusal is not None:
            return refusal
        return self._script.popleft() if self._script else Answer()

    def _tunnel(self, client: socket.socket, request: bytes, origin: str) -> None:
        """Act as a proxy (RFC 9110, section 9.3.6) that records all traffic."""
        host, _, port = request.split(b" ", 2)[1].decode().rpartition(":")
        address = self.listener(host.strip("[]"), int(port)).address
        with socket.socket() as server:  # create_connection() uses the resolver, which we replaced
            server.connect(address)
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            threading.Thread(target=pump, args=(server, client), daemon=True).start()
            with contextlib.suppress(OSError):
                while data := client.recv(65536):
                    self._heard.append(Heard(origin, id(client), data))
                    server.sendall(data)
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)


class _Listener:
    """The real address of a host and port, and its certificate."""

    def __init__(self, authority: Authority, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.socket = socket.create_server((LOOPBACK, 0))
        self.address: tuple[str, int] = self.socket.getsockname()
        self._authority = authority
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = self._authority.context(self.host)
        return self._context


class _Guard:
    """Refuses every connection that would leave the machine; an audit hook can't be removed."""

    up = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.up or event != "socket.connect" or not isinstance(arguments[1], tuple):
            return
        if not ipaddress.ip_address(arguments[1][0]).is_loopback:
            raise AssertionError(f"a connection to {arguments[1]} would leave this machine")


_guard = _Guard()
sys.addaudithook(_guard)


def _size_of_request(buffer: bytes) -> int:
    """The size of the request at the start of a buffer; 0 while it is not complete."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return 0
    length = _LENGTH.search(buffer[: end + 2])
    size = end + 4 + (int(length[1]) if length else 0)
    return size if len(buffer) >= size else 0
