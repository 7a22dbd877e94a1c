"""What ``session.auth = CaveAuth()`` does after a 401, and which bodies it sends again."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from urllib3 import HTTPResponse

from cave_auth_adapter import CaveAuth, TokenStore
from cave_auth_adapter.headers import discard

from ..support.sessions import stubbed
from ..support.stub import (
    BEARER,
    CAVE,
    FOREIGN,
    OTHER_CAVE,
    OTHER_TOKEN,
    TOKEN,
    Answer,
    holds,
    redirect,
)


def _pieces() -> Iterator[bytes]:
    yield b"bo"
    yield b"dy"


class Unseekable(io.RawIOBase):
    """A stream that can be read only once."""

    def __init__(self) -> None:
        self._rest = b"body"

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        rest, self._rest = self._rest, b""
        return rest

    def __iter__(self) -> Iterator[bytes]:
        yield self.read()


class TestRefusals:
    def test_after_a_refusal_a_new_token_in_the_store_is_tried_once(
        self, session: requests.Session, secrets: Path
    ) -> None:
        stub = stubbed(session, Answer(), Answer(401), Answer())
        session.get(CAVE)
        (secrets / "cave-secret.json").write_text(json.dumps({"token": OTHER_TOKEN}))
        response = session.get(CAVE)
        assert response.status_code == 200
        assert stub.sent[1].headers["Authorization"] == BEARER
        assert stub.sent[2].headers["Authorization"] == f"Bearer {OTHER_TOKEN}"
        assert response.history == []
        assert not holds(OTHER_TOKEN, response)

    def test_the_same_token_is_not_sent_twice(
        self, session: requests.Session, caplog: pytest.LogCaptureFixture
    ) -> None:
        stub = stubbed(session, Answer(401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}))
        answers = [session.get(CAVE).status_code for _ in range(3)]
        assert answers == [401] * 3
        assert len(stub.sent) == 3
        (warning,) = caplog.messages
        assert "global.daf-apis.com" in warning
        assert "cave-secret.json" in warning
        assert TOKEN not in warning

    def test_a_refusal_of_a_foreign_host_is_ignored(
        self, session: requests.Session, caplog: pytest.LogCaptureFixture
    ) -> None:
        stubbed(session, Answer(401))
        assert session.get(FOREIGN).status_code == 401
        assert caplog.messages == []

    def test_a_repeated_request_has_an_elapsed_time(
        self, session: requests.Session, store: TokenStore
    ) -> None:
        stubbed(session, redirect(CAVE), Answer(401), Answer())
        response = session.get(OTHER_CAVE)
        assert response.elapsed.total_seconds() > 0


class TestBodies:
    """The hop to another CAVE host is unsigned at first; status 307 keeps the body."""

    @pytest.mark.parametrize("make", [lambda: b"body", lambda: "body", lambda: io.BytesIO(b"body")])
    def test_a_body_that_can_be_replayed_is_sent_again(
        self, session: requests.Session, make: Callable[[], Any]
    ) -> None:
        stub = stubbed(session, redirect(CAVE, 307), Answer(401), Answer())
        assert session.post(OTHER_CAVE, data=make()).ok
        assert [sent.body for sent in stub.sent] == [b"body"] * 3

    def test_a_file_is_sent_again_from_its_original_position(
        self, session: requests.Session
    ) -> None:
        file = io.BytesIO(b"not this; body")
        file.seek(10)
        stub = stubbed(session, redirect(CAVE, 307), Answer(401), Answer())
        assert session.post(OTHER_CAVE, data=file).ok
        assert [sent.body for sent in stub.sent] == [b"body"] * 3

    @pytest.mark.parametrize("make", [_pieces, Unseekable])
    def test_a_consumed_body_is_not_sent_again(
        self, store: TokenStore, secrets: Path, make: Callable[[], Any]
    ) -> None:
        store.save(TOKEN)
        session = requests.Session()
        session.auth = CaveAuth()
        stub = stubbed(session, Answer(), Answer(401), Answer())
        session.get(CAVE)
        (secrets / "cave-secret.json").write_text(json.dumps({"token": OTHER_TOKEN}))
        assert session.post(CAVE, data=make()).status_code == 401
        assert [sent.body for sent in stub.sent] == [b"", b"body"]

    def test_a_closed_file_is_not_sent_again(self, session: requests.Session) -> None:
        class ClosedWhenRead(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                content = super().read(size)
                self.close()
                return content

        (Path.home() / ".cloudvolume/secrets/cave-secret.json").unlink()
        stub = stubbed(session, Answer(401), Answer())
        file = ClosedWhenRead(b"body")
        prepared = session.prepare_request(requests.Request("POST", CAVE, data=file))
        TokenStore().save(TOKEN)
        try:
            answer = session.send(prepared).status_code
        except ValueError as error:
            pytest.fail(f"an error that plain requests would not have had: {error}")
        assert answer == 401
        assert len(stub.sent) == 1


class Endless(io.BytesIO):
    def read(self, *_: Any) -> bytes:
        pytest.fail("reading it takes for ever")


def test_a_refused_response_is_closed_unread() -> None:
    response, body = requests.Response(), Endless()
    response.raw = HTTPResponse(body, preload_content=False)
    discard(response)
    assert body.closed


@pytest.mark.parametrize("raw", [io.BytesIO(b"{}"), None])
def test_a_refused_response_without_urllib3_is_discarded(raw: Any) -> None:
    """Adapters for files and tests build responses without urllib3."""

    class Adapter(requests.adapters.BaseAdapter):
        answers = iter([401, 200])

        def send(self, request: Any, **kwargs: Any) -> requests.Response:
            response: Any = requests.Response()
            response.status_code, response.url = next(self.answers), request.url
            response.request, response.connection, response.raw = request, self, raw
            return response

        def close(self) -> None:
            pass

    session = requests.Session()
    session.auth = CaveAuth()
    session.mount("https://", Adapter())
    prepared = session.prepare_request(requests.Request("GET", CAVE))
    TokenStore().save(TOKEN)
    request = session.send(prepared, stream=True).request
    assert request.url == f"{CAVE}/"
