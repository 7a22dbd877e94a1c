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
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import certifi
import trustme
import urllib3

from .relay import free_ports, relaying

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

    :param delay: seconds from one side to the other: half a round trip.
    """
    authority = trustme.CA()
    bundle, certificate = directory / "bundle.pem", directory / "server.pem"
    bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    command = [sys.executable, "-m", __name__, str(certificate)]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with contextlib.ExitStack() as stack:
                if delay:
                    [entrance] = free_ports(1)
                    stack.enter_context(relaying(delay, {entrance: port}))
                    port = entrance
                yield Server(f"https://localhost:{port}", str(bundle))
        finally:
            process.kill()


def bare_pool(url: str, bundle: str) -> urllib3.HTTPSConnectionPool:
    """One connection of urllib3, with nothing around it."""
    host, port = url.removeprefix("https://").split(":")
    return urllib3.HTTPSConnectionPool(host, int(port), maxsize=1, ca_certs=bundle)


def main(certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("localhost", 0), backlog=256)
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_serve, args=(client, context), daemon=True).start()


def _serve(plain: socket.socket, context: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
        received = b""
        while data := connection.recv(65536):
            received += data
            while b"\r\n\r\n" in received:  # only requests without a body come here
                received = received.partition(b"\r\n\r\n")[2]
                connection.sendall(_ANSWER)


if __name__ == "__main__":
    main(*sys.argv[1:])
