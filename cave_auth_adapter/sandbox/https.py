"""HTTP and HTTPS servers on this computer: cheroot, made fit for hundreds of test clients."""

from __future__ import annotations

import io
import logging
import ssl
from typing import TYPE_CHECKING, Any

from cheroot import wsgi
from cheroot.makefile import MakeFile
from cheroot.server import HeaderReader, HTTPConnection, HTTPRequest

if TYPE_CHECKING:
    from socket import socket

THREADS = 32


class Server(wsgi.Server):
    """Serve a WSGI application on a loopback port; 0 is one that the kernel chooses.

    `prepare()` binds the port, `serve()` then answers. The WSGI environment has one key more,
    "sandbox.headers": the list of (name, value) as received, which WSGI itself folds.
    """

    # cheroot closes all but 10 idle connections; clients with many threads keep one for each.
    keep_alive_conn_limit: Any = None

    def __init__(
        self, name: str, host: str, port: int = 0, context: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(
            (host, port), None, numthreads=THREADS, request_queue_size=1024, timeout=60
        )
        self.name = name
        self.host = host
        self.public_name: str | None = None
        self.gateway = _Gateway
        self.ConnectionClass = _Connection
        self.ssl_adapter = _TLS(context) if context else None
        self.accepted = 0

    @property
    def address(self) -> str:
        """The URL of the server, without a slash at its end."""
        authority = self.public_name or f"{self.host}:{self.bind_addr[1]}"
        return f"{'https' if self.ssl_adapter else 'http'}://{authority}"

    def process_conn(self, conn: Any) -> None:
        """Hand a connection to a worker, a new one only when its client has said something."""
        if conn.last_used is None:
            self.accepted += 1
            self.put_conn(conn)
        else:
            super().process_conn(conn)

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        """Report what is wrong with us, not that a client went away."""
        if level >= logging.ERROR:
            super().error_log(msg, level, traceback)


class _Connection(HTTPConnection):
    def communicate(self) -> bool:
        try:
            return bool(super().communicate())  # type: ignore[no-untyped-call]
        except OSError:
            return False  # the client broke off, say because it does not trust our certificate


class _Request(HTTPRequest):
    received: list[tuple[str, str]]

    def header_reader(self, rfile: Any, inheaders: dict[bytes, bytes]) -> Any:
        lines = []
        while line := rfile.readline():
            lines.append(line)
            if line == b"\r\n":
                break
        pairs = (line.decode("latin-1").partition(":") for line in lines[:-1])
        self.received = [(name, value.strip()) for name, _, value in pairs]
        return HeaderReader()(io.BytesIO(b"".join(lines)), inheaders)


_Connection.RequestHandlerClass = _Request


class _Gateway(wsgi.Gateway_10):
    def get_environ(self) -> Any:
        environ = super().get_environ()  # type: ignore[no-untyped-call]
        return {**environ, "sandbox.headers": self.req.received}

    def respond(self) -> None:
        super().respond()
        # cheroot reads a body that the application left, but not one sent in chunks: the next
        # request on the connection would begin in its middle.
        while self.req.chunked_read and self.req.rfile.read(65536):
            pass


class _TLS:
    """TLS for cheroot, with the handshake in the worker thread.

    cheroot's own adapter shakes hands in the one thread that accepts, where a client that
    connects and says nothing stalls everybody. Here OpenSSL does it at the first read.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context

    def bind(self, sock: socket) -> socket:
        return sock

    def wrap(self, sock: socket) -> tuple[ssl.SSLSocket, dict[str, str]]:
        wrapped = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return wrapped, {"wsgi.url_scheme": "https", "HTTPS": "on"}

    def makefile(self, sock: socket, mode: str = "r", bufsize: int = -1) -> Any:
        return MakeFile(sock, mode, bufsize)
