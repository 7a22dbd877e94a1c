"""Hostile and broken answers, from a stub server, through each way to sign."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import BaseAdapter

from cave_auth_adapter import CaveAdapter, CaveAuth, explain, install, mount
from cave_auth_adapter.hook import Hook
from cave_auth_adapter.refusals.answers import redirect_target

from ..support.hostile import CAVE, HOSTS, Server, Through
from ..support.stub import TOKEN


class Keeping(requests.Session):
    """A session that keeps its header wherever it is sent."""

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        pass


class CutOff(io.BytesIO):
    def read(self, *_: Any) -> bytes:
        raise urllib3.exceptions.ProtocolError("cut off")


LOCATIONS = [
    f"{start}evil.example{end}"
    for start in (
        *("//", "///", "////", "/////", "https://", "https:///", "https:////", "https:/", "https:"),
        *("\\\\", "/\\", "\\/", "/\t/", "\t//", " //", "https:\\\\", "hTTps://", "//user@"),
        *(
            "https://cave.example.org@",
            "https://cave.example.org\\@",
            "https://cave.example.org:443@",
        ),
    )
    for end in ("/x", ":443/x", "#@cave.example.org/", "?@cave.example.org/")
]


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("location", LOCATIONS)
def test_an_odd_location_does_not_leak_the_token(
    through: Through, location: str, status: int
) -> None:
    server = Server(status=status, headers={"location": location})
    session = through(server, Keeping())
    with contextlib.suppress(requests.RequestException, ValueError):  # as without us
        session.get(f"{CAVE}/x")

    (_, asked), *hops = server.arrived
    assert TOKEN in repr(asked)
    for url, headers in hops:
        if not url.startswith(f"{CAVE}/"):
            assert TOKEN not in repr(headers), url


@pytest.mark.parametrize("location", ["y", "/y", "?y", f"{CAVE}/y", "//cave.example.org/y", "/a:b"])
def test_a_plain_location_is_resolved(location: str) -> None:
    response = requests.Response()
    response.status_code, response.url = 302, f"{CAVE}/x"
    response.headers["location"] = location
    target = redirect_target(response)
    assert target is not None
    assert target.startswith(f"{CAVE}/")


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_truncated_body_raises_as_without_us(through: Through, status: int) -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        through(Server(status=status, body=CutOff())).get(f"{CAVE}/x")


def test_a_token_echoed_by_the_server_is_not_shown(
    through: Through, caplog: pytest.LogCaptureFixture
) -> None:
    said = {"error": "missing_tos", "data": {"tos_name": TOKEN, "tos_form_url": f"x/{TOKEN}"}}
    body = json.dumps(said).encode()
    response = through(Server(status=403, body=body)).get(f"{CAVE}/x")

    assert logging.getLogger("cave_auth_adapter").name in {r.name for r in caplog.records}
    assert TOKEN not in caplog.text
    assert TOKEN not in (explain(response) or "")
    assert "<token>" in (explain(response) or "")


def test_only_the_start_of_a_challenge_is_parsed() -> None:
    """A pattern over the whole header took seconds, and requests accepts a hundred such headers."""
    response = requests.Response()
    response.status_code, response.url = 401, CAVE
    response.headers["WWW-Authenticate"] = "Bearer " * 8000 + 'error="invalid_token"'
    assert explain(response) is None


@pytest.mark.parametrize("status", [200, 401])
def test_a_minimal_response_is_accepted(status: int) -> None:
    class Bare(BaseAdapter):
        def send(self, request: Any, **_: Any) -> requests.Response:
            response = requests.Response()
            response.status_code, response.url, response._content = status, request.url, b""
            response.raw = io.BytesIO()
            return response

        def close(self) -> None:
            pass

    session = requests.Session()
    session.mount("https://", Bare())
    session.auth = CaveAuth(TOKEN, hosts=HOSTS)
    prepared = session.prepare_request(requests.Request("GET", f"{CAVE}/x"))
    answer = session.adapters["https://"].send(prepared)
    assert Hook(session.auth, prepared)(answer).status_code == status
    answer.request = prepared
    assert Hook(session.auth, prepared)(answer).status_code == status


@pytest.mark.parametrize("host", [CAVE, "https://elsewhere.example.org"])
def test_a_redirect_to_a_login_page_is_a_refusal(
    through: Through, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    page = {"Location": f"{host}/sticky_auth/api/v1/authorize"}
    server = Server(status=302, headers=page)
    assert through(server).get(f"{CAVE}/x", allow_redirects=False).status_code == 302

    assert len(server.arrived) == 1
    (message,) = caplog.messages
    assert "refuses the token from token= in code" in message


@pytest.mark.parametrize("url", [f"{CAVE}/x", "https://elsewhere.example.org/x"])
def test_a_response_without_a_status_is_returned(through: Through, url: str) -> None:
    assert through(Server(status=None)).get(url).status_code is None


@pytest.mark.parametrize("give", [CaveAdapter, install, lambda a: mount(requests.Session(), a)])
@pytest.mark.parametrize("wrong", [TOKEN, CaveAuth, 5])
def test_a_wrong_auth_argument_is_refused_and_not_shown(
    give: Callable[..., Any], wrong: Any
) -> None:
    with pytest.raises(TypeError, match=r"use CaveAuth\(\) or CaveAuth\(token\)") as caught:
        give(wrong)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("wrong", ["x", requests.adapters.HTTPAdapter, 5])
def test_a_wrong_adapter_argument_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="wrapped must be an adapter"):
        CaveAdapter(wrapped=wrong)
