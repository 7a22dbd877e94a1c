"""The second way in, ``session.mount(prefix, CaveAdapter())``, over a stub instead of a network."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from requests.adapters import HTTPAdapter

from cave_auth_adapter import CaveAdapter, CaveAuth, TokenFileError, TokenStore

from ..support.adapters import around, session_with
from ..support.stub import (
    BEARER,
    CAVE,
    COOKIE,
    FOREIGN,
    LOGIN,
    OTHER_CAVE,
    OTHER_TOKEN,
    THIRD_CAVE,
    TOKEN,
    Answer,
    StubAdapter,
    Write,
    holds,
    redirect,
)

pytestmark = pytest.mark.usefixtures("saved")


class TestSigning:
    def test_an_adapter_that_sends_by_itself_signs(self, web: responses.RequestsMock) -> None:
        web.get(f"{CAVE}/")
        session_with(CaveAdapter()).get(CAVE, cookies={"mine": "1"})
        headers = web.calls[0].request.headers
        assert headers["Authorization"] == BEARER
        assert headers["Cookie"] == f"mine=1; {COOKIE}"

    def test_an_adapter_that_wraps_another_signs(self) -> None:
        stub = StubAdapter()
        around(stub).get(CAVE, cookies={"mine": "1"})
        assert stub.sent[0].headers["Authorization"] == BEARER
        assert stub.sent[0].headers["Cookie"] == f"mine=1; {COOKIE}"

    @pytest.mark.parametrize(
        "url", [f"{CAVE}.evil.example/", f"{CAVE}:8443/", f"{CAVE}-evil.example/", FOREIGN]
    )
    def test_mounting_on_a_prefix_does_not_trust_it(self, url: str) -> None:
        stub = StubAdapter()
        adapter = CaveAdapter(wrapped=stub)
        session = session_with(adapter, CAVE)
        session.mount(FOREIGN, adapter)
        session.get(url)
        assert stub.sent[0].is_bare

    def test_a_request_to_another_host_is_unchanged(self) -> None:
        stub, plain = StubAdapter(), StubAdapter()
        around(stub).post(FOREIGN, data="body", cookies={"mine": "1"})
        session_with(plain).post(FOREIGN, data="body", cookies={"mine": "1"})
        assert stub.sent == plain.sent

    def test_without_a_token_the_request_asks_for_json(self, secrets: Path) -> None:
        (secrets / "cave-secret.json").unlink()
        stub = StubAdapter()
        response = around(stub).get(CAVE)
        assert stub.sent[0].headers["X-Requested-With"] == "cave-auth-adapter"
        assert "X-Requested-With" not in response.request.headers

    def test_each_hop_of_a_redirect_gets_its_own_token_or_none(self, store: TokenStore) -> None:
        store.save(OTHER_TOKEN, THIRD_CAVE)
        stub = StubAdapter(redirect(THIRD_CAVE), redirect(OTHER_CAVE), redirect(FOREIGN), Answer())
        around(stub).get(CAVE)
        tokens = [sent.headers.get("Authorization") for sent in stub.sent]
        assert tokens == [BEARER, f"Bearer {OTHER_TOKEN}", BEARER, None]
        assert stub.sent[3].is_bare

    def test_a_session_that_keeps_auth_on_redirects_leaks_nothing(self) -> None:
        class KeepsAuth(requests.Session):
            def should_strip_auth(self, old_url: str, new_url: str) -> bool:
                return False

        stub = StubAdapter(redirect(FOREIGN), Answer())
        session = KeepsAuth()
        session.mount("https://", CaveAdapter(wrapped=stub))
        session.get(CAVE)
        assert stub.sent[1].is_bare

    def test_a_broken_file_raises_before_anything_is_sent(self, write: Write) -> None:
        write("cave-secret.json", "{")
        stub = StubAdapter()
        with pytest.raises(TokenFileError):
            around(stub).get(CAVE)
        assert stub.sent == []


class TestCallersAuthorization:
    @pytest.mark.parametrize("own", ["Bearer mine", "Basic eDp5", b"Bearer mine"])
    def test_it_is_left_alone(self, own: str | bytes) -> None:
        stub = StubAdapter()
        around(stub).get(CAVE, headers={"authorization": own})
        assert stub.sent[0].headers["authorization"] == own
        assert stub.sent[0].headers.keys().isdisjoint({"Cookie", "X-Requested-With"})

    @pytest.mark.parametrize("nobodys", ["Bearer", "Bearer ", "Bearer None", "bearer null"])
    def test_an_empty_bearer_token_is_replaced(
        self, nobodys: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """``f"Bearer {client.auth.token}"`` gives such a header where there is no token."""
        stub = StubAdapter()
        around(stub).get(CAVE, headers={"Authorization": nobodys})
        assert stub.sent[0].headers["Authorization"] == BEARER
        assert "no token in it" in caplog.text

    def test_it_is_left_alone_after_a_refusal(self) -> None:
        stub = StubAdapter(Answer(401), Answer())
        response = around(stub).get(CAVE, headers={"Authorization": "Bearer mine"})
        assert response.status_code == 401
        assert len(stub.sent) == 1

    @pytest.mark.parametrize("own", ["Bearer mine", "Basic eDp5"])
    def test_with_it_a_broken_file_does_not_matter(self, write: Write, own: str) -> None:
        write("cave-secret.json", "{")
        stub = StubAdapter()
        around(stub).get(CAVE, headers={"Authorization": own})
        assert stub.sent[0].headers["Authorization"] == own

    def test_the_auth_of_the_session_is_left_alone(self) -> None:
        stub = StubAdapter()
        session = around(stub)
        session.auth = ("user", "password")
        session.get(CAVE)
        assert stub.sent[0].headers["Authorization"].startswith("Basic ")

    def test_a_former_token_of_our_store_is_replaced(self, store: TokenStore) -> None:
        stub = StubAdapter()
        session = around(stub)
        session.get(CAVE)
        store.save(OTHER_TOKEN, overwrite=True)
        session.get(CAVE, headers={"Authorization": BEARER})
        assert stub.sent[1].headers["Authorization"] == f"Bearer {OTHER_TOKEN}"
        assert not holds(TOKEN, stub.sent[1])

    def test_the_current_token_of_our_store_is_signed_as_usual(self) -> None:
        stub = StubAdapter()
        response = around(stub).get(CAVE, headers={"Authorization": BEARER})
        assert stub.sent[0].headers["Cookie"] == COOKIE
        assert response.request.headers["Authorization"] == BEARER  # the caller's, as it was

    def test_a_token_of_another_host_is_left_alone(self, store: TokenStore) -> None:
        store.save(OTHER_TOKEN, THIRD_CAVE)
        stub = StubAdapter()
        session = around(stub)
        session.get(THIRD_CAVE)
        session.get(CAVE, headers={"Authorization": f"Bearer {OTHER_TOKEN}"})
        assert stub.sent[1].headers["Authorization"] == f"Bearer {OTHER_TOKEN}"

    def test_cave_auth_on_the_session_and_an_adapter_sign_once(self) -> None:
        stub = StubAdapter()
        session = around(stub)
        session.auth = CaveAuth()
        response = session.get(CAVE)
        assert stub.sent[0].headers["Authorization"] == BEARER
        assert not holds(TOKEN, response)


class TestTraces:
    @pytest.mark.parametrize("given", [TOKEN, None])
    @pytest.mark.parametrize("url", [CAVE, FOREIGN])
    @pytest.mark.parametrize("alone", [True, False])
    def test_response_request_is_the_callers_unsigned_request(
        self, web: responses.RequestsMock, given: str | None, url: str, alone: bool
    ) -> None:
        web.get(f"{url}/")
        auth = CaveAuth(given)
        adapter = CaveAdapter(auth) if alone else CaveAdapter(auth, wrapped=HTTPAdapter())
        session = session_with(adapter)
        prepared = session.prepare_request(requests.Request("GET", url))
        before = dict(prepared.headers)
        response = session.send(prepared)
        assert response.request is prepared
        assert prepared.headers == before
        assert TOKEN.encode() not in pickle.dumps(response)

    def test_response_request_is_unsigned_after_a_refusal(self, secrets: Path) -> None:
        stub = StubAdapter(Answer(), Answer(401), Answer())
        session = around(stub)
        session.get(CAVE)
        (secrets / "cave-secret.json").write_text(json.dumps({"token": OTHER_TOKEN}))
        prepared = session.prepare_request(requests.Request("GET", CAVE))
        response = session.send(prepared)
        assert response.ok
        assert response.request is prepared
        assert response.history == []
        assert not holds(OTHER_TOKEN, response)

    def test_the_request_of_an_error_is_unsigned(self, web: responses.RequestsMock) -> None:
        session = session_with(CaveAdapter(CaveAuth(TOKEN)))
        prepared = session.prepare_request(requests.Request("GET", CAVE))
        with pytest.raises(requests.ConnectionError) as caught:
            session.send(prepared)  # to what is not registered
        assert caught.value.request is prepared
        assert not holds(TOKEN, dict(caught.value.request.headers))

    def test_the_response_of_an_error_holds_no_token(self) -> None:
        """Some adapters call ``raise_for_status()``."""

        class Raising(StubAdapter):
            def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
                response = super().send(request, **kwargs)
                response.raise_for_status()
                return response

        with pytest.raises(requests.HTTPError) as caught:
            around(Raising(Answer(500))).get(CAVE)
        assert TOKEN not in repr(caught.value.request.headers)
        assert TOKEN not in repr(caught.value.response.request.headers)

    def test_a_wrapped_adapter_that_copies_the_request_leaves_no_token(self) -> None:
        class Copying(StubAdapter):
            def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
                twin = request.copy()
                twin.headers["X-Trace"] = "1"
                return super().send(twin, **kwargs)

        response = around(Copying()).get(CAVE)
        assert not holds(TOKEN, response, dict(response.request.headers))

    def test_repr_shows_no_token(self) -> None:
        adapter = CaveAdapter(CaveAuth(TOKEN), wrapped=StubAdapter())
        assert TOKEN not in repr((adapter, vars(adapter)))


class TestRefusals:
    @pytest.mark.parametrize("refusal", [Answer(401), redirect(LOGIN)])
    def test_after_a_refusal_a_new_token_is_tried_once(
        self, secrets: Path, refusal: Answer
    ) -> None:
        stub = StubAdapter(Answer(), refusal, Answer())
        session = around(stub)
        session.get(CAVE)
        (secrets / "cave-secret.json").write_text(json.dumps({"token": OTHER_TOKEN}))
        assert session.get(CAVE).ok
        assert stub.sent[2].headers["Authorization"] == f"Bearer {OTHER_TOKEN}"

    def test_the_refused_response_is_closed_before_the_repeat(self, secrets: Path) -> None:
        class Renews(StubAdapter):
            def __init__(self, *answers: Answer) -> None:
                super().__init__(*answers)
                self.bodies: list[Any] = []
                self.open: list[bool] = []

            def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
                self.open += [not body.closed for body in self.bodies]
                TokenStore().save(OTHER_TOKEN, overwrite=True)
                response = super().send(request, **kwargs)
                self.bodies.append(response.raw)
                return response

        stub, session = Renews(Answer(401), Answer()), requests.Session()
        session.mount("https://", CaveAdapter(wrapped=stub))
        assert session.get(CAVE, stream=True).ok
        assert stub.open == [False]

    def test_a_redirect_to_a_foreign_login_page_is_no_refusal(self, secrets: Path) -> None:
        stub = StubAdapter(Answer(), redirect(LOGIN.replace(CAVE, FOREIGN)), Answer())
        session = around(stub)
        session.get(CAVE)
        (secrets / "cave-secret.json").write_text(json.dumps({"token": OTHER_TOKEN}))
        assert session.get(CAVE, allow_redirects=False).status_code == 302
        assert len(stub.sent) == 2

    def test_the_same_token_is_not_sent_twice(self) -> None:
        stub = StubAdapter(Answer(401))
        assert around(stub).get(CAVE).status_code == 401
        assert len(stub.sent) == 1

    def test_a_consumed_body_is_not_sent_again(self, secrets: Path) -> None:
        stub = StubAdapter(Answer(), Answer(401), Answer())
        session = around(stub)
        session.get(CAVE)
        (secrets / "cave-secret.json").write_text(json.dumps({"token": OTHER_TOKEN}))
        assert session.post(CAVE, data=iter([b"bo", b"dy"])).status_code == 401
        assert [sent.body for sent in stub.sent] == [b"", b"body"]
