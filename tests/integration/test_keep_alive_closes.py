"""A server that closes a kept connection: tiny servers do it at every moment."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from cave_auth_adapter.keepalive import connections

from ..support.servers import Do, Seen
from ..support.sharing import shares, trust
from .conftest import MakeServer

# Servers that close


def close_after_first(seen: Seen, before: int) -> Do:
    return Do.ANSWER_AND_CLOSE


def at_the_second(action: Do) -> Callable[[Seen, int], Do]:
    """As a server at which an idle time-out ends while the request is on its way."""
    return lambda seen, before: action if before else Do.ANSWER


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"])
def test_a_server_may_close_idle_connections(serve: MakeServer, method: str) -> None:
    server = serve(close_after_first)
    trust(server)
    for number in range(3):
        assert requests.request(method, f"{server.url}/{number}", data=b"body").ok
        assert server.closed.acquire(timeout=10)
        time.sleep(0.02)  # until its data has arrived

    assert [seen.path for seen in server.requests] == ["/0", "/1", "/2"]


@pytest.mark.parametrize("action", [Do.CLOSE, Do.RESET])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_server_may_close_during_a_safe_request(
    serve: MakeServer, method: str, action: Do
) -> None:
    server = serve(at_the_second(action))
    trust(server)
    for number in range(3):
        assert requests.get(f"{server.url}/{number}").ok
        assert requests.request(method, f"{server.url}/x{number}").ok


@shares
@pytest.mark.parametrize("error", [BrokenPipeError, ConnectionResetError])
def test_a_server_may_close_while_a_body_is_sent(
    serve: MakeServer, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    """Of a long body, not all has left when the close arrives, and sending the rest fails."""
    server = serve(at_the_second(Do.CLOSE))
    trust(server)
    assert requests.get(f"{server.url}/0", data=b"body").ok
    [kept] = connections.idle
    kept.sock = BrokenSocket(kept.sock, error)

    assert requests.get(f"{server.url}/1", data=b"body").text == "GET /1 body"


class BrokenSocket:
    """A socket whose peer has closed it after we last looked."""

    def __init__(self, kept: Any, error: type[OSError]):
        self._socket, self._error = kept, error

    def sendall(self, *_: Any) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        raise self._error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


@pytest.mark.parametrize("action", [Do.CLOSE, Do.RESET])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_an_unsafe_request_is_never_sent_twice(serve: MakeServer, method: str, action: Do) -> None:
    server = serve(at_the_second(action))
    trust(server)
    for number in range(4):
        try:
            requests.request(method, f"{server.url}/{number}", data=b"body")
        except requests.ConnectionError:
            continue

    paths = [seen.path for seen in server.requests]
    assert len(set(paths)) == len(paths)


@shares
@pytest.mark.parametrize("action", [Do.CLOSE, Do.RESET])
@pytest.mark.parametrize("installed", [True, False])
def test_a_post_on_a_closed_connection_fails_as_without_us(
    serve: MakeServer, action: Do, installed: bool
) -> None:
    """It may have been carried out, so nobody may send it twice (RFC 9110, section 9.2.2)."""
    server = serve(at_the_second(action))
    if installed:
        trust(server)
    with requests.Session() as session:
        post = requests.post if installed else session.post
        assert post(f"{server.url}/1", data=b"body").status_code == 200
        with pytest.raises(requests.ConnectionError):
            post(f"{server.url}/2", data=b"body")

    assert [seen.path for seen in server.requests] == ["/1", "/2"]


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_body_that_streams_succeeds_where_it_does_without_us(
    serve: MakeServer, method: str
) -> None:
    server = serve(at_the_second(Do.CLOSE))
    trust(server)

    for _ in range(3):
        body: Iterator[bytes] = iter([b"a", b"b"])
        answer = requests.request(method, f"{server.url}/x", data=body)
        assert answer.text == f"{method} /x ab"


def test_a_file_as_body_succeeds_where_it_does_without_us(
    serve: MakeServer, tmp_path: Path
) -> None:
    server = serve(at_the_second(Do.CLOSE))
    trust(server)
    (tmp_path / "body").write_bytes(b"body")

    for _ in range(3):
        with (tmp_path / "body").open("rb") as file:
            assert requests.put(f"{server.url}/x", data=file).text == "PUT /x body"


def test_a_get_after_a_post_on_a_new_connection_is_repeatable(
    serve: MakeServer, clock: Callable[[float], None]
) -> None:
    server = serve(at_the_second(Do.CLOSE))
    trust(server)
    requests.post(f"{server.url}/0")
    clock(5)
    requests.post(f"{server.url}/1")

    assert requests.get(f"{server.url}/2").ok


def test_a_get_after_a_get_that_was_repeated_is_repeatable(serve: MakeServer) -> None:
    server = serve(at_the_second(Do.CLOSE))
    trust(server)

    assert [requests.get(f"{server.url}/{n}").text for n in range(6)] == [
        f"GET /{n} " for n in range(6)
    ]


def test_a_get_uses_no_connection_idle_for_minutes(
    serve: MakeServer, clock: Callable[[float], None]
) -> None:
    """A firewall forgets it without a word: a request on it waits for ever, a new one does not."""
    server = serve()
    trust(server)
    requests.get(f"{server.url}/x")
    clock(600)
    requests.get(f"{server.url}/x")

    assert [seen.connection for seen in server.requests] == [1, 2]


def test_a_server_that_never_answers_fails_as_without_us(serve: MakeServer) -> None:
    server = serve(lambda seen, before: Do.CLOSE)
    trust(server)

    with pytest.raises(requests.ConnectionError):
        requests.get(f"{server.url}/x")
    assert len(server.requests) == 1


def test_a_server_restarted_on_the_same_port_is_found(serve: MakeServer) -> None:
    server = serve()
    trust(server)
    assert requests.get(f"{server.url}/x").ok
    server.close()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{server.url}/x")

    serve(port=int(server.host.rpartition(":")[2]))
    assert requests.get(f"{server.url}/x").ok
