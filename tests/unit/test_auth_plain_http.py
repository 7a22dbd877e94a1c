"""Over plain http, ``CaveAuth`` signs for loopback only, and never through a proxy."""

from __future__ import annotations

import pytest
import requests
import responses

from cave_auth_adapter import CaveAuth, TokenStore

from ..support.sessions import sent_headers, stubbed
from ..support.stub import BEARER, CAVE, TOKEN, Answer, holds

PROXY = "http://proxy.example.org:3128"


class TestPlainHttp:
    URL = "http://localhost:8000/"

    @pytest.fixture
    def session(self) -> requests.Session:
        session = requests.Session()
        session.auth = CaveAuth(TOKEN, hosts=["http://localhost:8000"])
        return session

    def test_loopback_is_signed_after_a_refusal(
        self, session: requests.Session, web: responses.RequestsMock
    ) -> None:
        """Only then is it known that there is no proxy."""
        web.get(self.URL, status=401)
        web.get(self.URL)
        assert session.get(self.URL).ok
        tokens = [headers.get("Authorization") for headers in sent_headers(web)]
        assert tokens == [None, BEARER]

    def test_nothing_is_signed_through_an_unknown_adapter(self, session: requests.Session) -> None:
        """It may have a proxy of its own."""
        stub = stubbed(session, Answer(401))
        assert session.get(self.URL).status_code == 401
        assert not holds(TOKEN, *stub.sent)

    @pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
    def test_nothing_is_signed_through_a_proxy_from_the_environment(
        self, session: requests.Session, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.setenv(variable, PROXY)
        stub = stubbed(session, Answer(401))
        session.get(self.URL)
        assert stub.keywords[0]["proxies"]
        assert not holds(TOKEN, *stub.sent)

    def test_a_proxy_that_no_proxy_excludes_does_not_matter(
        self,
        session: requests.Session,
        monkeypatch: pytest.MonkeyPatch,
        web: responses.RequestsMock,
    ) -> None:
        monkeypatch.setenv("http_proxy", PROXY)
        monkeypatch.setenv("no_proxy", "localhost")
        web.get(self.URL, status=401)
        web.get(self.URL)
        session.get(self.URL)
        assert sent_headers(web)[1]["Authorization"] == BEARER

    @pytest.mark.parametrize("proxies", [{"http": PROXY}, {"all": PROXY}])
    @pytest.mark.parametrize("where", ["session", "request"])
    def test_nothing_is_signed_through_a_proxy_given_in_code(
        self, session: requests.Session, proxies: dict[str, str], where: str
    ) -> None:
        stub = stubbed(session, Answer(401))
        if where == "session":
            session.proxies = proxies
        session.get(self.URL, proxies=proxies if where == "request" else None)
        assert not holds(TOKEN, *stub.sent)

    def test_nothing_is_signed_through_a_proxy_given_to_send(
        self, session: requests.Session
    ) -> None:
        stub = stubbed(session, Answer(401))
        prepared = session.prepare_request(requests.Request("GET", self.URL))
        session.send(prepared, proxies={"http": PROXY})
        assert not holds(TOKEN, *stub.sent)

    def test_https_is_signed_through_a_proxy(
        self, monkeypatch: pytest.MonkeyPatch, store: TokenStore
    ) -> None:
        """The proxy sees only an encrypted tunnel."""
        store.save(TOKEN)
        monkeypatch.setenv("https_proxy", PROXY)
        session = requests.Session()
        session.auth = CaveAuth()
        stub = stubbed(session)
        session.get(CAVE)
        assert stub.sent[0].headers["Authorization"] == BEARER
