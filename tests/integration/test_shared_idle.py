"""Idle connections: how long and how many are kept, and what follows if a server is gone."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from cave_auth_adapter import CaveAuth, install, uninstall

from ..support.servers import Authority, Do, Seen
from ..support.sharing import TOKEN, trust, used
from .conftest import MakeServer

# --- how long, and how many ----------------------------------------------------------------------


def test_connections_idle_for_30_seconds_are_closed_by_the_next_request(
    serve: MakeServer, clock: Callable[[float], None]
) -> None:
    first, second = serve(), serve()
    trust(first, second)
    requests.get(f"{first.url}/x")
    clock(29)
    requests.get(f"{second.url}/x")
    assert not first.closed.acquire(timeout=0.1)
    clock(1.1)
    requests.get(f"{second.url}/x")

    assert first.closed.acquire(timeout=10)
    assert used(second) == [1, 1]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_an_unsafe_request_uses_only_connections_idle_for_less_than_a_second(
    serve: MakeServer, clock: Callable[[float], None], method: str
) -> None:
    server = serve()
    trust(server)
    requests.get(f"{server.url}/x")
    clock(0.5)
    requests.request(method, f"{server.url}/x", data=b"body")
    clock(1)
    requests.request(method, f"{server.url}/x", data=b"body")

    assert used(server) == [1, 1, 2]


def test_a_body_that_cannot_be_replayed_gets_a_new_connection(serve: MakeServer) -> None:
    server = serve()
    trust(server)
    requests.get(f"{server.url}/x")
    body: Iterator[bytes] = iter([b"a", b"b"])
    requests.post(f"{server.url}/x", data=body)

    assert used(server) == [1, 2]


def test_48_threads_and_6_hosts_need_fewer_than_256_descriptors(
    serve: MakeServer, python: Any
) -> None:
    pytest.importorskip("resource")
    together = threading.Barrier(48)  # so that each thread has a connection of its own

    def plan(seen: Seen, before: int) -> Do:
        together.wait(60)
        return Do.ANSWER

    servers = [serve(plan) for _ in range(6)]
    ran = python(
        """
        import resource, sys
        from concurrent.futures import ThreadPoolExecutor
        import requests
        from cave_auth_adapter import CaveAuth, install
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        urls = sys.argv[1:]
        install(CaveAuth("0123456789abcdef0123456789abcdef", hosts=[u[8:] for u in urls]))
        def work(number):
            return [requests.get(url + "/x").status_code for url in urls]
        with ThreadPoolExecutor(48) as executor:
            print(set(sum(executor.map(work, range(48)), [])))
        """,
        *[server.url for server in servers],
    )
    assert (ran.stdout, ran.stderr) == ("{200}\n", "")


def test_no_socket_is_left_open_at_the_end_of_a_program(serve: MakeServer, python: Any) -> None:
    server = serve()
    code = f"""
        import requests
        from cave_auth_adapter import CaveAuth, install
        install(CaveAuth("0123456789abcdef", hosts=["{server.host}"]))
        requests.get("{server.url}/x", stream=True).raw.release_conn()
        assert requests.get("{server.url}/x").ok
    """
    ran = python(code, PYTHONWARNINGS="always::ResourceWarning")
    assert ran.stderr == ""


# --- errors are those of requests ----------------------------------------------------------------


class Deaf:
    """Answers on the first connection and closes it, then accepts connections in silence."""

    def __init__(self, authority: Authority):
        self._listener = socket.create_server(("localhost", 0))
        self.host = f"localhost:{self._listener.getsockname()[1]}"
        self.url = f"https://{self.host}"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.certificate.configure_cert(self._context)
        self.go = threading.Event()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        plain, _ = self._listener.accept()
        with self._context.wrap_socket(plain, server_side=True) as first:
            first.recv(65536)
            first.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            first.recv(65536)  # the second request, which gets no answer
        while not self.go.is_set():
            self._open.append(self._listener.accept()[0])

    def close(self) -> None:
        self.go.set()
        with socket.create_connection(self._listener.getsockname()):
            pass
        for each in (*self._open, self._listener):
            each.close()


@pytest.fixture
def deaf(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deaf]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    server = Deaf(authority)
    yield server
    server.close()


@pytest.mark.parametrize("how", ["aged", "closed under the request"])
def test_a_handshake_that_times_out_raises_the_error_of_requests(
    deaf: Deaf, clock: Callable[[float], None], how: str
) -> None:
    """The connect time-out applies, not the longer read time-out."""
    install(CaveAuth(TOKEN, hosts=[deaf.host]))
    assert requests.get(deaf.url).ok
    if how == "aged":
        clock(600)
    errors = []
    for plain in (False, True):
        if plain:
            uninstall()
        start = time.monotonic()
        with pytest.raises(requests.RequestException) as caught:
            requests.get(deaf.url, timeout=(0.5, 60))
        assert time.monotonic() - start < 20
        errors.append((type(caught.value), str(caught.value)))

    assert errors[0] == errors[1]


def test_a_server_that_is_gone_raises_the_error_of_requests(serve: MakeServer) -> None:
    server = serve()
    server.close()
    trust(server)
    errors = []
    for plain in (False, True):
        if plain:
            uninstall()
        with pytest.raises(requests.ConnectionError) as caught:
            requests.get(f"{server.url}/x")
        errors.append(re.sub(r"0x\w+", "0x…", str(caught.value)))

    assert errors[0] == errors[1]


def test_closing_the_pool_in_an_error_affects_no_one_else(serve: MakeServer, deaf: Deaf) -> None:
    install(CaveAuth(TOKEN, hosts=[deaf.host]))
    assert requests.get(deaf.url).ok
    with pytest.raises(requests.Timeout) as caught:
        requests.get(deaf.url, timeout=(0.3, 60))
    caught.value.args[0].pool.close()

    with pytest.raises(requests.Timeout):
        requests.get(deaf.url, timeout=(0.3, 60))
