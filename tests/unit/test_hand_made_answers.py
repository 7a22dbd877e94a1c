"""Adapters for tests return hand-made answers and mocks: whatever plain requests accepts, we do."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from ..support.doors import DOORS, session_through
from ..support.stub import CAVE, Answer, StubAdapter

pytestmark = pytest.mark.usefixtures("saved")


class Returning(BaseAdapter):
    """Returns a hand-made answer."""

    def __init__(self, answer: Any):
        self.answer = answer

    def send(self, request: requests.PreparedRequest, **_: Any) -> Any:
        return self.answer

    def close(self) -> None:
        pass


def response(**fields: Any) -> requests.Response:
    made = requests.Response()
    made._content = b""
    vars(made).update({"url": CAVE, **fields})
    return made


def session_with(door: str, adapter: BaseAdapter) -> requests.Session:
    session = requests.Session()
    session.mount("https://", adapter)
    return session_through(door, session=session)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "answer",
    [
        response(status_code="200"),
        response(status_code=200.0),
        response(status_code=400, _content="text"),
        response(status_code=403, _content="text"),
        response(status_code=403, _content=None),
        response(status_code=401, raw=object()),
        mock.MagicMock(status_code=200, history=[], is_redirect=False),
        mock.MagicMock(status_code=401, history=[], is_redirect=False),
        mock.Mock(status_code=401, history=[], is_redirect=False, raw=None, headers={}),
    ],
    ids=lambda answer: f"{type(answer).__name__} {answer.status_code}",
)
def test_an_odd_answer_is_returned_as_it_is(door: str, answer: Any) -> None:
    session = session_with(door, Returning(answer))
    assert session.get(CAVE, allow_redirects=False) is answer


@pytest.mark.parametrize("door", DOORS)
def test_a_send_that_is_mocked_answers(door: str) -> None:
    fields = {"history": [], "is_redirect": False, "headers": {}, "raw": None, "url": CAVE}
    with mock.patch.object(HTTPAdapter, "send") as send:
        send.return_value = mock.Mock(status_code=200, **fields)
        answer = session_through(door).get(CAVE, allow_redirects=False)
    assert answer is send.return_value


@pytest.mark.parametrize("door", ["mount", "install"])
def test_a_request_made_without_headers_is_signed(door: str) -> None:
    stub = StubAdapter(Answer())
    request = requests.PreparedRequest()
    request.prepare_method("GET")
    request.prepare_url(CAVE, {})
    assert request.headers is None
    assert session_with(door, stub).send(request, allow_redirects=False).ok
    assert "Authorization" in stub.sent[0].headers


class Changing(StubAdapter):
    """Changes requests, as adapters of API gateways and recorders do."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        request.url = f"{CAVE}/changed"
        request.method = "PUT"
        request.prepare_body(b"changed", None)
        request.headers["X-Trace"] = "1"
        request.headers.pop("Accept", None)
        return super().send(request, **kwargs)


@pytest.mark.parametrize("door", DOORS)
def test_the_callers_request_shows_what_an_adapter_changed(door: str) -> None:
    session = session_with(door, Changing())
    request = session.get(f"{CAVE}/asked").request
    assert (request.method, request.url, request.body) == ("PUT", f"{CAVE}/changed", b"changed")
    assert request.headers["X-Trace"] == "1"
    assert not {"Accept", "Authorization", "Cookie"} & {*request.headers}
