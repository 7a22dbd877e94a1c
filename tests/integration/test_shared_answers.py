"""A connection is used again only after a complete answer; tiny servers send others, too."""

from __future__ import annotations

import pytest
import requests

from ..support.servers import Do
from ..support.sharing import trust, used
from .conftest import MakeServer

# --- nothing unread ------------------------------------------------------------------------------

SMUGGLED = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"


def padded(head: str, start: bytes = b"", end: bytes = b"", size: int = 8192) -> bytes:
    """An answer of exactly the size that is read at once, and behind it another one."""
    whole = head.encode() + b"\r\n\r\n" + start
    return whole + b"x" * (size - len(whole) - len(end)) + end + SMUGGLED


CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
TOO_LONG = {
    "HEAD": padded("HTTP/1.1 200 OK\r\nContent-Length: 20000"),
    "204": padded("HTTP/1.1 204 No Content"),
    "304": padded("HTTP/1.1 304 Not Modified"),
    "Content-Length": padded("HTTP/1.1 200 OK\r\nContent-Length: 8150"),
    "Content-Length: 0": padded("HTTP/1.1 200 OK\r\nContent-Length: 0"),
    "a last chunk": padded(CHUNKED, b"1fc4\r\n", b"\r\n0\r\n\r\n"),
    "little": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n",
    "both lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nok\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("kind", TOO_LONG)
def test_bytes_after_an_answer_are_not_taken_for_the_next_one(serve: MakeServer, kind: str) -> None:
    """The bytes stay in the TLS layer, which urllib3 does not check before it uses a connection."""
    server = serve(lambda seen, before: TOO_LONG[kind] if seen.path == "/long" else Do.ANSWER)
    trust(server)
    method = "HEAD" if kind == "HEAD" else "GET"
    requests.request(method, f"{server.url}/long")

    assert requests.get(f"{server.url}/whoami").text == "GET /whoami "
    assert used(server) == [1, 2]


WITHOUT_BODY = {
    "HEAD": b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("kind", WITHOUT_BODY)
def test_after_an_answer_without_a_body_the_connection_ends(serve: MakeServer, kind: str) -> None:
    """Some servers send a body anyway, and it may still be on its way."""
    server = serve(lambda seen, before: WITHOUT_BODY[kind] if seen.path == "/a" else Do.ANSWER)
    trust(server)
    requests.request("HEAD" if kind == "HEAD" else "GET", f"{server.url}/a")

    assert requests.get(f"{server.url}/next").text == "GET /next "
    assert used(server) == [1, 2]


def test_a_session_reuses_its_connection_after_head(serve: MakeServer) -> None:
    server = serve(lambda seen, before: WITHOUT_BODY["HEAD"])
    trust(server)
    with requests.Session() as session:
        for _ in range(3):
            assert session.head(f"{server.url}/a").ok

    assert used(server) == [1, 1, 1]


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("GET", WITHOUT_BODY["304"]),
        ("DELETE", WITHOUT_BODY["204"]),
        ("POST", b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"),
    ],
)
def test_a_session_whose_answers_end_shared_connections_keeps_its_own(
    serve: MakeServer, method: str, answer: bytes
) -> None:
    server = serve(lambda seen, before: answer)
    trust(server)
    body = b"body" if method == "POST" else None
    with requests.Session() as session:
        for _ in range(4):
            session.request(method, f"{server.url}/a", data=body)

    assert used(server) == [1, 2, 2, 2]


@pytest.mark.parametrize("stream", [True, False])
def test_a_connection_is_reused_after_a_complete_answer(serve: MakeServer, stream: bool) -> None:
    chunked = CHUNKED.encode() + b"\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"
    answers = {"/chunked": chunked, "/empty": empty, "/missing": missing}
    server = serve(lambda seen, before: answers.get(seen.path, Do.ANSWER))
    trust(server)
    for path in ("/chunked", "/empty", "/missing", "/usual"):
        with requests.get(server.url + path, stream=stream) as answer:
            assert answer.content is not None

    assert used(server) == [1, 1, 1, 1]


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_refusal_during_the_body_ends_the_connection(serve: MakeServer, method: str) -> None:
    """The server may still answer what it reads of the body."""
    early = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
    server = serve(lambda seen, before: early if seen.path == "/early" else Do.ANSWER)
    trust(server)
    assert requests.request(method, f"{server.url}/early", data=b"body").status_code == 413
    assert requests.get(f"{server.url}/next").text == "GET /next "

    assert used(server) == [1, 2]


LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000


def test_an_answer_can_be_read_after_its_connection_was_returned(serve: MakeServer) -> None:
    server = serve(lambda seen, before: LONG if seen.path == "/long" else Do.ANSWER)
    trust(server)
    answer = requests.get(f"{server.url}/long", stream=True)
    start = answer.raw.read(10)
    answer.raw.release_conn()

    assert requests.get(f"{server.url}/next").text == "GET /next "
    assert start + answer.raw.read() == b"x" * 100_000
    assert used(server) == [1, 2]


@pytest.mark.parametrize("end", ["close", "drop", "with"])
def test_a_half_read_answer_leaves_no_connection(serve: MakeServer, end: str) -> None:
    server = serve(lambda seen, before: LONG if seen.path == "/long" else Do.ANSWER)
    trust(server)
    answer = requests.get(f"{server.url}/long", stream=True)
    answer.raw.read(10)
    if end == "close":
        answer.close()
    elif end == "with":
        with answer:
            pass
    del answer

    assert requests.get(f"{server.url}/next").text == "GET /next "
    assert used(server) == [1, 2]


def test_a_half_received_answer_leaves_no_connection(serve: MakeServer) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b"x" * 10
    server = serve(lambda seen, before: half if seen.path == "/half" else Do.ANSWER)
    trust(server)
    answer = requests.get(f"{server.url}/half", stream=True)
    assert answer.raw.read(10) == b"x" * 10
    answer.raw._fp.close()  # the reader, and not its connection
    answer.raw.release_conn()

    assert requests.get(f"{server.url}/next").text == "GET /next "
    assert used(server) == [1, 2]
