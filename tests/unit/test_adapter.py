"""The second way in, ``session.mount(prefix, CaveAdapter())``, over a stub instead of a network."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.util import Retry

from cave_auth_adapter import CaveAdapter, CaveAuth, TokenFileError, TokenStore, mount

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

PROXY = "http://proxy.example.org:3128"


def session_with(adapter: BaseAdapter, prefix: str = "https://") -> requests.Session:
    session = requests.Session()
    session.mount(prefix, adapter)
    return session


def around(stub: BaseAdapter, auth: CaveAuth | None = None) -> requests.Session:
    session = session_with(CaveAdapter(auth, wrapped=stub))
    session.mount("http://", session.adapters["https://"])
    return session


@pytest.fixture(autouse=True)
def saved(store: TokenStore) -> None:
    store.save(TOKEN)


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


class Odd(BaseAdapter):
    """An adapter with an unusual signature of ``send()``."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = StubAdapter()
        self.got: dict[str, Any] = {}

    def send(self, **kwargs: Any) -> requests.Response:
        raise NotImplementedError

    def close(self) -> None:
        pass


class NamedOnly(Odd):
    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        self.got = kwargs
        return self.inner.send(request)


class Positional(Odd):
    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        self.got = {"stream": stream, "timeout": timeout, "verify": verify, "proxies": proxies}
        return self.inner.send(request)


class Splat(Odd):
    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        self.got = kwargs
        return self.inner.send(request)


@pytest.mark.parametrize("kind", [NamedOnly, Positional, Splat])
def test_a_wrapped_adapter_gets_the_sessions_arguments(kind: type[Odd]) -> None:
    odd = kind()
    around(odd).get(CAVE, timeout=7, stream=True, verify=False)
    assert (odd.got["timeout"], odd.got["stream"], odd.got["verify"]) == (7, True, False)
    assert odd.inner.sent[0].headers["Authorization"] == BEARER


def test_positional_arguments_are_passed_on() -> None:
    odd = Positional()
    request = requests.Request("GET", CAVE).prepare()
    CaveAdapter(wrapped=odd).send(request, True, 7, False, None, {"https": PROXY})
    assert odd.got == {"stream": True, "timeout": 7, "verify": False, "proxies": {"https": PROXY}}


class TestPlainHttp:
    URL = "http://localhost:8000/"
    AUTH = CaveAuth(TOKEN, hosts=["http://localhost:8000"])

    def test_loopback_is_signed(self, web: responses.RequestsMock) -> None:
        web.get(self.URL)
        mount(requests.Session(), self.AUTH).get(self.URL)
        assert web.calls[0].request.headers["Authorization"] == BEARER

    def test_nothing_is_signed_through_an_unknown_adapter(self) -> None:
        """It may have a proxy of its own."""
        stub = StubAdapter()
        around(stub, self.AUTH).get(self.URL)
        assert not holds(TOKEN, *stub.sent)

    def test_nothing_is_signed_through_a_proxy_from_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", PROXY)
        stub = StubAdapter(Answer(401))
        around(stub, self.AUTH).get(self.URL)
        assert [holds(TOKEN, sent) for sent in stub.sent] == [False]

    @pytest.mark.parametrize(
        "proxies", [{"http": PROXY}, {"all": PROXY}, {"http://localhost": PROXY}]
    )
    def test_nothing_is_signed_through_a_proxy_given_in_code(self, proxies: dict[str, str]) -> None:
        stub = StubAdapter(Answer(401))
        around(stub, self.AUTH).get(self.URL, proxies=proxies)
        assert [holds(TOKEN, sent) for sent in stub.sent] == [False]

    def test_nothing_is_signed_through_a_proxy_given_by_position(self) -> None:
        odd = Positional()
        request = requests.Request("GET", self.URL).prepare()
        adapter = CaveAdapter(self.AUTH, wrapped=odd)
        adapter.send(request, False, None, True, None, {"http": PROXY})
        assert not holds(TOKEN, *odd.inner.sent)


class TestWrapping:
    """The attributes of a wrapped adapter are read and set through the wrapping one."""

    def test_the_wrapped_adapters_settings_can_be_read(self) -> None:
        inner = HTTPAdapter(max_retries=Retry(7), pool_maxsize=3)
        outer = CaveAdapter(wrapped=inner)
        assert outer.max_retries is inner.max_retries
        assert outer.poolmanager is inner.poolmanager
        assert outer.config is inner.config

    def test_a_setting_changes_the_wrapped_adapter(self) -> None:
        inner = HTTPAdapter()
        outer = CaveAdapter(wrapped=inner)
        outer.max_retries = Retry(7)
        assert inner.max_retries.total == 7
        assert "max_retries" not in vars(outer)

    def test_other_attributes_of_the_wrapped_adapter_can_be_read(self) -> None:
        stub = StubAdapter()
        outer = CaveAdapter(wrapped=stub)
        assert outer.sent is stub.sent
        with pytest.raises(AttributeError):
            outer.no_such_thing  # noqa: B018

    def test_an_unknown_attribute_raises_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="no_such_thing"):
            CaveAdapter().no_such_thing  # noqa: B018

    def test_options_of_http_adapter_are_accepted(self) -> None:
        adapter = CaveAdapter(max_retries=3, pool_connections=5, pool_maxsize=7, pool_block=True)
        assert adapter.max_retries.total == 3
        assert adapter.poolmanager.connection_pool_kw == {"maxsize": 7, "block": True}

    def test_options_beside_a_wrapped_adapter_are_refused(self) -> None:
        with pytest.raises(TypeError, match="max_retries, pool_maxsize: pass these to the wrapped"):
            CaveAdapter(wrapped=HTTPAdapter(), pool_maxsize=7, max_retries=3)

    def test_an_unknown_option_is_refused(self) -> None:
        with pytest.raises(TypeError, match="no_such_option"):
            CaveAdapter(no_such_option=1)

    def test_closing_closes_the_wrapped_adapter(self) -> None:
        stub = StubAdapter()
        around(stub).close()
        assert stub.closed == 2  # mounted on two prefixes, as requests has it

    def test_closing_closes_its_own_connections(self) -> None:
        adapter = CaveAdapter()
        adapter.poolmanager.connection_from_url(CAVE)
        adapter.close()
        assert len(adapter.poolmanager.pools) == 0

    @pytest.mark.parametrize(
        "clone", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))]
    )
    def test_a_copy_keeps_its_auth_and_options(self, clone: Any) -> None:
        twin = clone(CaveAdapter(CaveAuth(TOKEN), max_retries=3, pool_maxsize=7))
        assert type(twin) is CaveAdapter
        assert twin.auth == CaveAuth(TOKEN)
        assert twin.wrapped is None
        assert twin.max_retries.total == 3
        assert twin.poolmanager.connection_pool_kw["maxsize"] == 7

    @pytest.mark.parametrize(
        "clone", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))]
    )
    def test_a_copy_keeps_the_wrapped_adapter(self, clone: Any) -> None:
        twin = clone(CaveAdapter(wrapped=HTTPAdapter(max_retries=3)))
        assert type(twin) is CaveAdapter
        assert twin.auth == CaveAuth()
        assert type(twin.wrapped) is HTTPAdapter
        assert twin.max_retries.total == 3

    def test_a_deep_copy_ignores_the_wrapped_adapters_deepcopy(self) -> None:
        """A special method of the wrapped adapter must not replace ours."""

        class Shared(HTTPAdapter):
            def __deepcopy__(self, memo: Any) -> HTTPAdapter:
                return self

        assert type(copy.deepcopy(CaveAdapter(wrapped=Shared()))) is CaveAdapter

    def test_a_session_with_it_can_be_pickled(self) -> None:
        twin = pickle.loads(pickle.dumps(session_with(CaveAdapter(wrapped=HTTPAdapter()))))
        assert isinstance(twin.adapters["https://"], CaveAdapter)

    def test_repr(self) -> None:
        assert repr(CaveAdapter()) == "CaveAdapter(CaveAuth())"
        assert "wrapped=<" in repr(CaveAdapter(wrapped=HTTPAdapter()))
