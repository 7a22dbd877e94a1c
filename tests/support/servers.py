"""Small servers for what the sandbox does not do: connections that end early, a proxy."""

from __future__ import annotations

import contextlib
import enum
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple

import trustme


class Authority(NamedTuple):
    """The authority that signs the tiny servers' certificates."""

    ca: trustme.CA
    certificate: trustme.LeafCert  # for localhost
    bundle: Path


class Seen(NamedTuple):
    """A request as a tiny server received it."""

    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Do(enum.Enum):
    """What a tiny server does with a request."""

    ANSWER = "answer, and wait for the next request"
    ANSWER_AND_CLOSE = "answer as if the connection stayed, and close it after 0.05 s"
    CLOSE = "close the connection instead of an answer"
    RESET = "reset the connection instead of an answer"


# The request, and how many came on its connection before it -> what to do, or the answer itself
Plan = Callable[[Seen, int], "Do | bytes"]


def answer_always(seen: Seen, before: int) -> Do:
    return Do.ANSWER


class TinyServer:
    """An HTTPS server on localhost that follows a plan."""

    def __init__(
        self,
        authority: Authority,
        plan: Plan = answer_always,
        *,
        status: str = "200 OK",
        headers: tuple[str, ...] = (),
        client_certificates: bool = False,
        port: int = 0,
    ) -> None:
        self.authority = authority
        self.plan = plan
        self.requests: list[Seen] = []
        self.connections = 0
        self.closed = threading.Semaphore(0)  # one for each connection that we closed
        self._status = status
        self._headers = headers
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.certificate.configure_cert(self._context)
        if client_certificates:
            authority.ca.configure_trust(self._context)
            self._context.verify_mode = ssl.CERT_OPTIONAL
        self._listener = socket.create_server(("localhost", port))
        self.host = f"localhost:{self._listener.getsockname()[1]}"
        self.url = f"https://{self.host}"
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                arguments = connection, self.connections
                threading.Thread(target=self._serve, args=arguments, daemon=True).start()

    def _serve(self, plain: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            connection = self._context.wrap_socket(plain, server_side=True)
            self._open.add(connection)
            self._talk(connection, number)
            connection.close()
            self._open.discard(connection)
            self.closed.release()

    def _talk(self, connection: ssl.SSLSocket, number: int) -> None:
        stream = connection.makefile("rb")
        before = 0
        while seen := _read(stream, number):
            self.requests.append(seen)
            action = self.plan(seen, before)
            before += 1
            if action is Do.RESET:  # a linger time of zero: no orderly end
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            if action in (Do.RESET, Do.CLOSE):
                break
            connection.sendall(action if isinstance(action, bytes) else self._answer(seen))
            if action is Do.ANSWER_AND_CLOSE:
                time.sleep(0.05)
                break
        stream.close()

    def _answer(self, seen: Seen) -> bytes:
        body = f"{seen.method} {seen.path} ".encode() + seen.body
        usual = f"Date: {formatdate(usegmt=True)}", f"Content-Length: {len(body)}"
        head = "\r\n".join([f"HTTP/1.1 {self._status}", *usual, *self._headers, "", ""])
        return head.encode() + (b"" if seen.method == "HEAD" else body)


def _read(stream: Any, number: int) -> Seen | None:
    first = stream.readline()
    if not first:
        return None
    method, path, _ = first.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while (line := stream.readline().decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))
    if headers.get("transfer-encoding") == "chunked":
        while size := int(stream.readline(), 16):
            body += stream.read(size)
            stream.readline()
        stream.readline()
    return Seen(number, method, path, headers, body)


class ConnectProxy:
    """An HTTP proxy that supports CONNECT only, and records the addresses.

    :param ports: ``host:port`` -> the port on this machine to which it connects instead.
    """

    def __init__(self, ports: dict[str, int] | None = None) -> None:
        self._ports = ports or {}
        self.targets: list[str] = []

    def __enter__(self) -> ConnectProxy:
        self._listener = socket.create_server(("localhost", 0))
        self.url = f"http://localhost:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            target = head.split(b" ", 2)[1].decode()
            self.targets.append(target)
            if target in self._ports:
                target = f"localhost:{self._ports[target]}"
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=10) as server:
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = threading.Thread(target=pump, args=(server, client), daemon=True)
                back.start()
                pump(client, server)
                back.join(timeout=10)


def pump(source: socket.socket, target: socket.socket) -> None:
    """Copy the bytes of one side of a tunnel to the other until it ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
