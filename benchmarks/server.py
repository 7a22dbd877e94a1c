"""A light HTTPS server in a process of its own, so that the client is what is measured.

It answers every request with the same few bytes and keeps the connection. A thread reads from each
connection and does nothing else: an answer costs it some ten microseconds.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import certifi
import trustme

_BODY = b'{"datastacks": ["minnie65_public"]}'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(_BODY),
    _BODY,
)


class Server(NamedTuple):
    url: str
    bundle: str  #: certifi's certificates and that of the server, in one file


@contextlib.contextmanager
def running(directory: Path, delay: float = 0.0) -> Iterator[Server]:
    """A server for the length of a `with` block.

    :param delay: seconds between a packet's arrival and its delivery, each way: half a round trip.
    """
    authority = trustme.CA()
    bundle, certificate = directory / "bundle.pem", directory / "server.pem"
    bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    command = [sys.executable, "-m", __name__, str(certificate), str(delay)]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            yield Server(f"https://localhost:{int(process.stdout.readline())}", str(bundle))
        finally:
            process.kill()


def main(certificate: str, delay: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("localhost", 0), backlog=256)
    entrance, port = listener, listener.getsockname()[1]
    if float(delay):
        entrance = socket.create_server(("localhost", 0), backlog=256)
        _start(_accept, entrance, lambda client: _relay(client, port, float(delay)))
    print(entrance.getsockname()[1], flush=True)
    _accept(listener, lambda client: _serve(client, context))


def _accept(listener: socket.socket, serve) -> None:
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _start(serve, client)


def _serve(plain: socket.socket, context: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
        received = b""
        while data := connection.recv(65536):
            received += data
            while b"\r\n\r\n" in received:  # only requests without a body come here
                received = received.partition(b"\r\n\r\n")[2]
                connection.sendall(_ANSWER)


def _relay(client: socket.socket, port: int, delay: float) -> None:
    """Pass bytes on as a network would whose round trip takes twice the delay."""
    time.sleep(2 * delay)  # the handshake of TCP, which the kernel has done without us
    with (
        contextlib.suppress(OSError),
        client,
        socket.create_connection(("localhost", port)) as server,
    ):
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=_pump, args=(client, server, delay), daemon=True)
        back.start()
        _pump(server, client, delay)
        back.join(timeout=10)


def _pump(source: socket.socket, target: socket.socket, delay: float) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 20):
            time.sleep(delay)
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def _start(target, *arguments: object) -> None:
    threading.Thread(target=target, args=arguments, daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
