"""Hostile servers on loopback that never end or send too much: each call ends in time."""

from __future__ import annotations

import gzip
import json
import os
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from cave_auth_adapter import CaveAuth, PermissionMissing, explain, mount
from cave_auth_adapter.refusals.bodies import take
from cave_auth_adapter.service import AuthServer, InfoServer, ServerUnreachable, UnexpectedAnswer

from ..support.answering import Answer, StubServer

TOKEN = "0123456789abcdef0123456789abcdef"
KEY = {"id": 1, "user_id": 7, "token": "fedcba9876543210fedcba9876543210"}
TIMES = dict.fromkeys(("created", "updated", "last_used"), "Tue, 25 Nov 2025 10:00:00 GMT")
TERMS = {"id": 3, "name": "Terms of Fish", "text": "Be kind."}
MISSING = {"tos_id": 3, "tos_name": "Terms of Fish", "dataset_id": 1, "dataset_name": "fish"}
USER = {"id": 7, "name": "A User", "email": "user@lab.example"}

Respond = Callable[[socket.socket], None]


def drip(connection: socket.socket, start: bytes, piece: bytes) -> None:
    connection.sendall(start)
    while True:
        time.sleep(0.05)
        connection.sendall(piece)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ENDLESS: dict[str, Respond] = {
    "a body in drops": lambda c: drip(c, HEAD + b"Content-Length: 99999\r\n\r\n", b" "),
    "chunks in drops": lambda c: drip(
        c, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"
    ),
    "a header in drops": lambda c: drip(c, HEAD + b"X: ", b"x"),
    "a refusal in drops": lambda c: drip(c, HEAD.replace(b"200", b"403") + b"\r\n", b" "),
    "silence": lambda c: time.sleep(3),
}


@pytest.fixture
def raw_server() -> Iterator[Callable[[Respond], str]]:
    """A server on loopback that handles each connection with a given function."""
    listeners = []

    def serve(respond: Respond) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def accept() -> None:
            try:
                connection, _ = listener.accept()
                connection.recv(65536)
                respond(connection)
            except OSError:  # the client has gone, or the test is over
                pass

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield serve
    for listener in listeners:
        listener.close()


@pytest.fixture
def plain_server() -> Iterator[StubServer]:
    stub = StubServer(None)
    yield stub
    stub.close()


def server_for(address: str, timeout: float = 10) -> AuthServer:
    return AuthServer(address, CaveAuth(TOKEN, hosts=[address]), timeout)


@pytest.mark.parametrize("what", ENDLESS)
def test_an_endless_answer_is_given_up_in_time(
    raw_server: Callable[[Respond], str], what: str
) -> None:
    start = time.monotonic()
    with pytest.raises(ServerUnreachable, match=r"did not answer within 0\.3 seconds"):
        server_for(raw_server(ENDLESS[what]), timeout=0.3).me()
    assert time.monotonic() - start < 2.5


def test_endless_headers_are_an_error(raw_server: Callable[[Respond], str]) -> None:
    address = raw_server(lambda c: c.sendall(HEAD + b"X: x\r\n" * 100_000))
    with pytest.raises(ServerUnreachable):
        server_for(address, timeout=5).me()


@pytest.mark.parametrize(
    ("coding", "pack"), [("", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_at_most_one_mebibyte_is_read(
    plain_server: StubServer, coding: str, pack: Callable[[bytes], bytes]
) -> None:
    headers = (("Content-Encoding", coding),) if coding else ()
    said = json.dumps(USER).encode()
    for size, fits in ((1 << 20, True), ((1 << 20) + 1, False), (1 << 24, False)):
        body = said + b" " * (size - len(said))
        plain_server.answer = Answer(body=pack(body), headers=headers)
        if fits:
            assert server_for(plain_server.address).me()["id"] == 7
        else:
            with pytest.raises(UnexpectedAnswer, match="more than 1 MiB"):
                server_for(plain_server.address).me()


def test_an_unexpected_content_coding_is_an_error(plain_server: StubServer) -> None:
    plain_server.answer = Answer(headers=(("Content-Encoding", "br"),))
    with pytest.raises(UnexpectedAnswer, match="not JSON"):
        server_for(plain_server.address).me()
    ((_, _, headers),) = plain_server.requests
    assert headers["Accept-Encoding"] == "gzip, deflate"


def test_too_long_a_body_is_cut_at_the_limit() -> None:
    class Body:
        def read(self, size: int) -> bytes:
            return b" " * size

    body, failure = take(Body(), 1000, time.monotonic() + 10)
    assert (len(body), type(failure).__name__) == (1000, "TooLong")


@pytest.mark.parametrize(
    ("content", "call"),
    [
        ({**USER, "name": TOKEN, "pi": {TOKEN: [TOKEN]}}, lambda server: server.me()),
        ({**USER, "groups": [TOKEN.upper()]}, lambda server: server.permissions()),
        ([{**KEY, "description": f"named {TOKEN}"}], lambda server: server.api_keys()),
        ([{**KEY, "description": KEY["token"]}], lambda server: repr(server.api_keys())),
        ([{"id": 1, "name": f"%3{TOKEN}"}], lambda server: server.usernames([1])),
        ([{**TERMS, "text": TOKEN}], lambda server: server.terms()),
        ([{**MISSING, "tos_name": TOKEN}], lambda server: server.missing_terms()),
    ],
)
def test_an_echoed_token_is_removed(
    plain_server: StubServer, content: Any, call: Callable[[AuthServer], Any]
) -> None:
    plain_server.answer = Answer(body=json.dumps(content).encode())
    seen = repr(call(server_for(plain_server.address))).lower()
    assert TOKEN not in seen
    assert str(KEY["token"]) not in seen
    assert "<token>" in seen


def test_the_token_of_a_listed_key_is_kept(plain_server: StubServer) -> None:
    plain_server.answer = Answer(body=json.dumps([{**KEY, **TIMES}]).encode())
    (key,) = server_for(plain_server.address).api_keys()
    assert (key.token, key.created, key.user_id) == (KEY["token"], TIMES["created"], 7)


@pytest.mark.parametrize(
    ("content", "call", "path", "result"),
    [
        ([TERMS], lambda s: s.terms(), "GET /auth/api/v1/tos", [TERMS]),
        ([MISSING], lambda s: s.missing_terms(), "GET /auth/api/v1/user/missing", [MISSING]),
        (USER, lambda s: s.permissions(fresh=True), "GET /auth/api/v1/my_permissions", USER),
        ("fish", lambda s: s.dataset_of("pcg", "a/b"),
         "GET /auth/api/v1/service/pcg/table/a%2Fb/dataset", "fish"),
        (True, lambda s: s.has_public("t"), "GET /auth/api/v1/table/t/has_public", True),
        (False, lambda s: s.is_public_root("t", 5),
         "GET /auth/api/v1/table/t/root/5/is_public", False),
        ("<html>", lambda s: s.accept_terms(3),
         "POST /sticky_auth/api/v1/tos/3/accept?client=ng", None),
    ],
)  # fmt: skip
def test_the_other_calls_return_their_results(
    plain_server: StubServer, content: Any, call: Any, path: str, result: Any
) -> None:
    body = content if content == "<html>" else json.dumps(content)
    plain_server.answer = Answer(body=body.encode())
    assert call(server_for(plain_server.address)) == result
    ((method, asked, _),) = plain_server.requests
    assert f"{method} {asked}" == path


def test_a_table_without_a_dataset_is_none(plain_server: StubServer) -> None:
    plain_server.answer = Answer(404, b"No dataset for given service and table names", "text/plain")
    assert server_for(plain_server.address).dataset_of("pcg", "t") is None


def test_no_request_is_made_for_an_empty_list_of_users(plain_server: StubServer) -> None:
    """Without an id, the real service lists every user there is."""
    server = server_for(plain_server.address)
    assert (server.users([]), server.usernames(iter(()))) == ([], {})
    assert plain_server.requests == []


def test_too_long_a_description_is_not_sent(plain_server: StubServer) -> None:
    with pytest.raises(ValueError, match="at most 120 characters"):
        server_for(plain_server.address).create_key("x" * 121)
    assert plain_server.requests == []


def test_answers_of_the_info_service_are_checked(plain_server: StubServer) -> None:
    info = InfoServer(plain_server.address, CaveAuth(TOKEN, hosts=[plain_server.address]))
    plain_server.answer = Answer(body=b'["fish", "fly"]')
    assert info.datastacks() == ["fish", "fly"]
    plain_server.answer = Answer(body=b'{"local_server": "https://data.example"}')
    assert info.local_server("fish") == "https://data.example"
    plain_server.answer = Answer(body=b'{"local_server": 5}')
    assert info.local_server("fish") is None
    for odd in (b"[5]", b"5", b"null"):
        plain_server.answer = Answer(body=odd)
        with pytest.raises(UnexpectedAnswer):
            info.datastacks()
    plain_server.answer = Answer(403, b'{"error": "missing_permission"}')
    with pytest.raises(PermissionMissing):
        info.datastack("fish")


def test_a_captive_portal_is_named(plain_server: StubServer) -> None:
    plain_server.answer = Answer(body=b"<html>Welcome to the hotel", content_type="text/html")
    with pytest.raises(UnexpectedAnswer, match="login page of its own, as in hotels"):
        server_for(plain_server.address).me()


@pytest.mark.parametrize("raise_errors", [False, True])
def test_an_answer_is_complete_after_a_look_at_its_start(
    plain_server: StubServer, raise_errors: bool
) -> None:
    body = os.urandom(200_000)
    plain_server.answer = Answer(403, body, headers=(("Set-Cookie", "seen=1"),))
    auth = CaveAuth(TOKEN, hosts=[plain_server.address], raise_errors=raise_errors)
    session = mount(requests.Session(), auth)
    response = session.get(plain_server.address, stream=True)
    assert explain(response) is None
    assert session.cookies["seen"] == "1"
    assert response.raw.headers["Content-Length"] == "200000"
    assert b"".join(response.iter_content(999)) == body
    assert session.get(plain_server.address).content == body  # the connection is free again
