"""The first way in, ``session.auth = CaveAuth()``: what is signed, and the object itself."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from requests.auth import HTTPBasicAuth

from cave_auth_adapter import CaveAuth, InvalidToken, TokenFileError

from ..support.sessions import sent_headers, stubbed
from ..support.stub import (
    BEARER,
    CAVE,
    COOKIE,
    FOREIGN,
    OTHER_TOKEN,
    TOKEN,
    Answer,
    Write,
    redirect,
)


class TestSigning:
    def test_a_cave_host_gets_header_and_cookie(
        self, session: requests.Session, web: responses.RequestsMock
    ) -> None:
        web.get(f"{CAVE}/info")
        session.get(f"{CAVE}/info", cookies={"mine": "1"})
        (headers,) = sent_headers(web)
        assert headers["Authorization"] == BEARER
        assert headers["Cookie"] == f"mine=1; {COOKIE}"
        assert "X-Requested-With" not in headers

    def test_the_token_is_not_put_in_the_url(self, session: requests.Session) -> None:
        stub = stubbed(session)
        session.get(f"{CAVE}/info?a=1")
        assert stub.sent[0].url == f"{CAVE}/info?a=1"

    @pytest.mark.parametrize("url", [f"{FOREIGN}/", f"{CAVE}.evil.example/", f"{CAVE}:8443/"])
    def test_another_host_gets_the_unchanged_request(
        self, session: requests.Session, url: str
    ) -> None:
        stub, plain = stubbed(session), requests.Session()
        other = stubbed(plain)
        session.get(url)
        plain.get(url)
        assert stub.sent == other.sent
        assert stub.sent[0].is_bare

    def test_the_callers_authorization_header_is_replaced(self, session: requests.Session) -> None:
        stub = stubbed(session)
        session.get(CAVE, headers={"Authorization": "Bearer mine"})
        assert stub.sent[0].headers["Authorization"] == BEARER

    def test_another_host_gets_the_callers_authorization_header(
        self, session: requests.Session
    ) -> None:
        stub = stubbed(session)
        session.get(FOREIGN, headers={"Authorization": "Bearer mine"})
        assert stub.sent[0].headers["Authorization"] == "Bearer mine"

    def test_the_auth_of_one_request_takes_precedence(self, session: requests.Session) -> None:
        stub = stubbed(session)
        session.get(CAVE, auth=("user", "password"))
        assert stub.sent[0].headers["Authorization"].startswith("Basic ")

    def test_without_a_token_the_request_asks_for_json(self) -> None:
        session = requests.Session()
        session.auth = CaveAuth()
        stub = stubbed(session)
        session.get(CAVE)
        headers = stub.sent[0].headers
        assert headers["X-Requested-With"] == "cave-auth-adapter"
        assert headers.keys().isdisjoint({"Authorization", "Cookie"})

    def test_without_a_token_the_callers_x_requested_with_stays(self) -> None:
        session = requests.Session()
        session.auth = CaveAuth()
        stub = stubbed(session)
        session.get(CAVE, headers={"x-requested-with": "XMLHttpRequest"})
        assert stub.sent[0].headers["x-requested-with"] == "XMLHttpRequest"

    def test_a_token_given_in_code_goes_to_trusted_hosts_only(self) -> None:
        session = requests.Session()
        session.auth = CaveAuth(TOKEN, hosts=["cave.example.org"])
        stub = stubbed(session)
        for url in ("https://cave.example.org/", CAVE, FOREIGN):
            session.get(url)
        assert [sent.headers.get("Authorization") for sent in stub.sent] == [BEARER, None, None]

    def test_headers_may_be_bytes(self, session: requests.Session) -> None:
        stub = stubbed(session)
        session.get(CAVE, headers={"Cookie": b"a=1", "Authorization": b"Bearer mine"})
        assert stub.sent[0].headers["Cookie"] == f"a=1; {COOKIE}"
        assert stub.sent[0].headers["Authorization"] == BEARER

    def test_a_body_is_sent_as_it_is(self, session: requests.Session) -> None:
        stub = stubbed(session)
        session.post(CAVE, json={"a": 1})
        assert json.loads(stub.sent[0].body) == {"a": 1}
        assert stub.sent[0].headers["Content-Length"] == "8"


class TestOtherCredentials:
    """``requests`` uses neither netrc nor the URL under ``session.auth``; we use the URL."""

    @pytest.fixture
    def netrc(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "netrc").write_text(
            "machine elsewhere.example.org login user password secret\n"
            "machine global.daf-apis.com login user password secret\n"
        )
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    URLS = (
        f"{FOREIGN}/",
        "https://name:word@third.example.org/",
        "https://name:word@elsewhere.example.org/",
        "https://name@third.example.org/",
        "https://:word@third.example.org/",
        "https://na%20me:wo%3Ard@third.example.org/",
        "https://third.example.org/",
    )

    @pytest.mark.usefixtures("netrc")
    @pytest.mark.parametrize("url", URLS)
    def test_credentials_in_a_url_work_on_other_hosts(
        self, session: requests.Session, url: str
    ) -> None:
        plain = requests.Session()
        plain.trust_env = False  # each auth object of requests turns netrc off
        stub, other = stubbed(session), stubbed(plain)
        session.get(url)
        plain.get(url)
        assert stub.sent == other.sent

    @pytest.mark.usefixtures("netrc")
    def test_netrc_is_ignored_on_a_cave_host(self, session: requests.Session) -> None:
        stub = stubbed(session)
        session.get(CAVE)
        assert stub.sent[0].headers["Authorization"] == BEARER

    @pytest.mark.usefixtures("netrc")
    def test_a_netrc_entry_applied_on_a_redirect_is_replaced(
        self, session: requests.Session
    ) -> None:
        """``rebuild_auth`` replaces the bearer header with it, and CAVE answers 400."""
        stub = stubbed(session, redirect(f"{CAVE}/b"), Answer(400), Answer())
        assert session.get(f"{CAVE}/a").ok
        tokens = [sent.headers["Authorization"] for sent in stub.sent]
        assert tokens[0] == tokens[2] == BEARER
        assert tokens[1].startswith("Basic ")


class TestBadConfiguration:
    """Bad configuration raises an error before anything is sent."""

    def test_a_bad_token_is_refused_by_the_constructor(self) -> None:
        with pytest.raises(InvalidToken):
            CaveAuth("not a token")

    @pytest.mark.parametrize("hosts", ["cave.example.org", ["http://cave.example.org"], [None]])
    def test_bad_hosts_are_refused_by_the_constructor(self, hosts: Any) -> None:
        with pytest.raises(ValueError, match="host"):
            CaveAuth(hosts=hosts)

    def test_a_token_key_of_none_is_refused(self) -> None:
        key: Any = None
        with pytest.raises(TypeError, match="token_key is a string"):
            CaveAuth(token_key=key)

    @pytest.mark.parametrize(
        ("variable", "content", "error"),
        [
            ("CAVE_TOKEN", "not a token", InvalidToken),
            ("CAVE_TOKEN_FILE", "/no/such/file", TokenFileError),
        ],
    )
    def test_a_bad_variable_raises_before_anything_is_sent(
        self,
        session: requests.Session,
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
        content: str,
        error: type[Exception],
    ) -> None:
        stub = stubbed(session)
        monkeypatch.setenv(variable, content)
        with pytest.raises(error):
            session.get(CAVE)
        assert stub.sent == []

    def test_a_broken_file_raises_before_anything_is_sent(self, write: Write) -> None:
        write("cave-secret.json", "{")
        session = requests.Session()
        session.auth = CaveAuth()
        stub = stubbed(session)
        with pytest.raises(TokenFileError):
            session.get(CAVE)
        assert stub.sent == []

    def test_a_broken_file_does_not_affect_other_hosts(self, write: Write) -> None:
        write("cave-secret.json", "{")
        session = requests.Session()
        session.auth = CaveAuth()
        stub = stubbed(session)
        assert session.get(FOREIGN).ok
        assert len(stub.sent) == 1


class TestTheObject:
    CONFIGURATIONS: tuple[dict[str, Any], ...] = (
        {},
        {"token": TOKEN},
        {"token": OTHER_TOKEN},
        {"token_file": "/some/file"},
        {"token_key": "minnie"},
        {"hosts": ["cave.example.org"]},
        {"hosts": []},
        {"raise_errors": True},
    )

    @pytest.mark.parametrize("configuration", CONFIGURATIONS)
    def test_equal_configurations_make_equal_objects(self, configuration: dict[str, Any]) -> None:
        one, other = CaveAuth(**configuration), CaveAuth(**configuration)
        assert one == other
        assert hash(one) == hash(other)

    def test_different_configurations_make_different_objects(self) -> None:
        auths = [CaveAuth(**configuration) for configuration in self.CONFIGURATIONS]
        assert len(set(auths)) == len(auths)
        assert auths[0] != HTTPBasicAuth("user", "password")

    @pytest.mark.parametrize("configuration", CONFIGURATIONS)
    @pytest.mark.parametrize(
        "clone", [copy.copy, copy.deepcopy, lambda auth: pickle.loads(pickle.dumps(auth))]
    )
    def test_a_copy_is_equal_and_trusts_the_same_hosts(
        self, configuration: dict[str, Any], clone: Callable[[CaveAuth], CaveAuth]
    ) -> None:
        auth = CaveAuth(**configuration)
        twin = clone(auth)
        assert type(twin) is CaveAuth
        assert twin == auth
        assert twin.raise_errors == auth.raise_errors
        assert twin.trusts("https://cave.example.org/") == auth.trusts("https://cave.example.org/")

    def test_raise_errors_may_be_set_later(self) -> None:
        auth = CaveAuth()
        auth.raise_errors = True
        assert pickle.loads(pickle.dumps(auth)).raise_errors
        assert auth == CaveAuth(raise_errors=True) != CaveAuth()
        assert repr(auth) == "CaveAuth(raise_errors=True)"

    def test_a_pickled_subclass_keeps_its_class(self) -> None:
        twin = pickle.loads(pickle.dumps(MyAuth(TOKEN)))
        assert type(twin) is MyAuth

    def test_a_session_with_it_can_be_pickled(self, session: requests.Session) -> None:
        stubbed(session)
        session.get(CAVE)
        assert pickle.loads(pickle.dumps(session)).auth == session.auth

    def test_hosts_may_be_an_iterator(self) -> None:
        auth = CaveAuth(hosts=iter(["cave.example.org"]))
        assert auth.trusts("https://cave.example.org/")
        assert copy.copy(auth) == auth

    def test_token_file_may_be_a_path_or_a_string(self) -> None:
        assert CaveAuth(token_file=Path("some.file")) == CaveAuth(token_file="some.file")

    @pytest.mark.parametrize(
        ("configuration", "shown"),
        [
            ({}, "CaveAuth()"),
            ({"token": TOKEN}, "CaveAuth(token='<hidden>')"),
            ({"token_file": "/f"}, "CaveAuth(token_file='/f')"),
            ({"token_key": "minnie"}, "CaveAuth(token_key='minnie')"),
            ({"hosts": ["a.example"]}, "CaveAuth(hosts=('a.example',))"),
        ],
    )
    def test_repr(self, configuration: dict[str, Any], shown: str) -> None:
        assert repr(CaveAuth(**configuration)) == shown

    @pytest.mark.parametrize("given", [TOKEN, None])
    def test_repr_and_vars_show_no_token(
        self, session: requests.Session, given: str | None
    ) -> None:
        auth = session.auth = CaveAuth(given)
        stubbed(session)
        session.get(CAVE)
        shown = (auth, vars(auth), vars(auth.credentials), vars(auth.hosts))
        assert TOKEN not in repr(shown) + str(shown)

    def test_a_token_from_the_store_is_not_pickled(self, session: requests.Session) -> None:
        stubbed(session)
        session.get(CAVE)
        assert TOKEN.encode() not in pickle.dumps((session.auth, session))

    @pytest.mark.parametrize(
        ("url", "token"), [(CAVE, TOKEN), (FOREIGN, None), ("http://global.daf-apis.com", None)]
    )
    def test_token_for_returns_the_token_of_a_trusted_url(
        self, session: requests.Session, url: str, token: str | None
    ) -> None:
        assert session.auth.token_for(url) == token

    def test_token_for_returns_none_without_a_token(self) -> None:
        assert CaveAuth().token_for(CAVE) is None


class MyAuth(CaveAuth):
    """A subclass by the caller."""
