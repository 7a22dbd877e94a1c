"""With ``session.auth = CaveAuth()``, no response and no error holds the token."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import responses

from cave_auth_adapter import CaveAuth, TokenRefused

from ..support.sessions import stubbed
from ..support.stub import CAVE, FOREIGN, OTHER_CAVE, TOKEN, Answer, StubAdapter, holds, redirect


class TestTraces:
    @pytest.mark.parametrize("given", [TOKEN, None])
    @pytest.mark.parametrize("url", [f"{CAVE}/", f"{FOREIGN}/"])
    def test_a_response_holds_no_token(
        self, session: requests.Session, web: responses.RequestsMock, given: str | None, url: str
    ) -> None:
        session.auth = CaveAuth(given)
        web.get(url, json={"a": 1})
        response = session.get(url, cookies={"mine": "1"})
        assert not holds(TOKEN, response, response.request, vars(response.request))
        assert response.request.headers["Cookie"] == "mine=1"
        assert "Authorization" not in response.request.headers

    def test_the_history_of_a_response_holds_no_token(
        self, session: requests.Session, web: responses.RequestsMock
    ) -> None:
        session.auth = CaveAuth(TOKEN)
        web.get(f"{CAVE}/a", status=302, headers={"Location": f"{CAVE}/b"})
        web.get(f"{CAVE}/b", status=302, headers={"Location": f"{OTHER_CAVE}/c"})
        web.get(f"{OTHER_CAVE}/c", status=302, headers={"Location": f"{FOREIGN}/d"})
        web.get(f"{FOREIGN}/d")
        response = session.get(f"{CAVE}/a")
        assert [hop.url[-1] for hop in response.history] == ["a", "b", "c"]
        assert not holds(TOKEN, response, *response.history)

    def test_the_callers_hooks_are_kept(
        self, session: requests.Session, web: responses.RequestsMock
    ) -> None:
        seen: list[requests.Response] = []
        web.get(f"{CAVE}/")
        session.hooks["response"].append(lambda response, **_: seen.append(response))
        response = session.get(CAVE)
        assert seen == [response]
        assert len(session.hooks["response"]) == 1
        assert response.request.hooks["response"] == session.hooks["response"]
        assert not holds(TOKEN, seen[0].headers, dict(seen[0].request.headers))

    def test_a_repeated_request_is_not_in_the_history(
        self, session: requests.Session, web: responses.RequestsMock
    ) -> None:
        web.get(f"{OTHER_CAVE}/", status=302, headers={"Location": f"{CAVE}/"})
        web.get(f"{CAVE}/", status=401)
        web.get(f"{CAVE}/")
        response = session.get(OTHER_CAVE)
        assert response.ok
        assert [hop.url for hop in response.history] == [f"{OTHER_CAVE}/"]

    def test_an_error_in_the_repeated_request_holds_no_token(
        self, session: requests.Session
    ) -> None:
        """The caller's prepared request may hold it; the one that we prepare must not."""
        stub = stubbed(session, redirect(CAVE), Answer(401), requests.ConnectionError("gone"))
        failing = stub.send

        def send(request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
            try:
                return failing(request, **kwargs)
            except requests.ConnectionError as error:
                error.request = request
                raise

        stub.send = send
        with pytest.raises(requests.ConnectionError) as caught:
            session.get(OTHER_CAVE)
        assert TOKEN not in repr(caught.value.request.headers)


def test_a_raised_refusal_holds_no_token() -> None:
    session = requests.Session()
    session.mount("https://", StubAdapter(Answer(401)))
    session.auth = CaveAuth(TOKEN, raise_errors=True)

    with pytest.raises(TokenRefused) as caught:
        session.get(f"{CAVE}/x")

    assert caught.value.request is caught.value.response.request
    assert not holds(TOKEN, caught.value, caught.value.response, caught.value.request)
    assert not holds(TOKEN, dict(caught.value.request.headers))
