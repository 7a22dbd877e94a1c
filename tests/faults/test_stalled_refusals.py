"""The body of a refusal that stops to arrive, while the request has no timeout."""

from __future__ import annotations

import contextlib
import time

import pytest
import requests

from cave_auth_adapter import CaveAuth, TermsNotAccepted, explain
from cave_auth_adapter.refusals import bodies

from ..support.faulty import GOOD, KEEP, STALL, Fault
from ..support.stub import TOKEN
from .conftest import Serve

HEAD = b"HTTP/1.1 403 Forbidden\r\n"
BODY = b'{"error": "missing_tos", "data": {"tos_name": "T"}}'
CHUNK = b"%x\r\n%s\r\n" % (len(BODY), BODY)
SLOW = 5.0  # seconds; the server stalls for 10

STALLED = {
    "nothing": HEAD + b"Content-Length: 99\r\n\r\n",
    "a part": HEAD + b"Content-Length: 99\r\n\r\n" + BODY,
    "a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK,
    "a part of a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK[:9],
    "a part of a size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK + b"1",
    "no length": HEAD + b"Connection: close\r\n\r\n" + BODY,
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_PEEK_SECONDS", 0.3)


@pytest.mark.parametrize("raise_errors", [False, True])
@pytest.mark.parametrize("sent", STALLED.values(), ids=STALLED)
def test_a_stalled_body_is_given_up(serve: Serve, sent: bytes, raise_errors: bool) -> None:
    server = serve(lambda seen: Fault(sent, STALL))
    start = time.monotonic()
    with requests.Session() as session:
        session.auth = CaveAuth(TOKEN, hosts=[server.host], raise_errors=raise_errors)
        with contextlib.suppress(TermsNotAccepted):
            explain(session.get(server.url, stream=True))
        assert time.monotonic() - start < SLOW


@pytest.mark.parametrize("ends", [True, False])
def test_the_caller_still_reads_what_comes_later(serve: Serve, ends: bool) -> None:
    """It can also be explained twice."""
    late = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK + (b"0\r\n\r\n" if ends else b"")
    server = serve(lambda seen: Fault(late, KEEP if ends else STALL))
    with requests.Session() as session:
        response = session.get(server.url, stream=True)
        first = explain(response)
        assert first == explain(response)
        assert "terms" in (first or "") or not ends
        assert next(response.iter_content(len(BODY))) == BODY


def test_an_answer_that_has_arrived_costs_no_wait(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_PEEK_SECONDS", 30.0)
    complete = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    server = serve(lambda seen: Fault(complete, KEEP) if seen.path == "/" else GOOD)
    start = time.monotonic()
    with requests.Session() as session:
        response = session.get(server.url, stream=True)
        assert "terms" in (explain(response) or "")
        assert response.content == BODY
        assert session.get(f"{server.url}x").content == b"good"  # over the same connection
    assert time.monotonic() - start < SLOW
