"""The first door: ``session.auth = CaveAuth()``."""

from __future__ import annotations

import copy
import io
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from requests.auth import HTTPBasicAuth
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse

from cave_auth_adapter import CaveAuth, InvalidToken, TokenFileError, TokenRefused, TokenStore
from cave_auth_adapter.headers import discard

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


@pytest.fixture
def session(store: TokenStore) -> requests.Session:
    store.save(TOKEN)
    session = requests.Session()
    session.auth = CaveAuth()
    return session


def stubbed(session: requests.Session, *answers: Answer | Exception) -> StubAdapter:
    """Let a session send to a stub whatever it sends."""
    stub = StubAdapter(*answers)
    session.mount("https://", stub)
    session.mount("http://", stub)
    return stub


def sent_headers(web: responses.RequestsMock) -> list[CaseInsensitiveDict[str | bytes]]:
    return [call.request.headers for call in web.calls]


class TestSigning:
    def test_header_and_cookie_on_a_cave_host(
        self, session: requests.Session, web: responses.RequestsMock
    ) -> None:
        web.get(f"{CAVE}/info")
        session.get(f"{CAVE}/info", cookies={"mine": "1"})
        (headers,) = sent_headers(web)
        assert headers["Authorization"] == BEARER
        assert headers["Cookie"] == f"mine=1; {COOKIE}"
        assert "X-Requested-With" not in headers

    def test_no_token_in_the_url(self, session: requests.Session) -> None:
        stub = stubbed(session)
        session.get(f"{CAVE}/info?a=1")
        assert stub.sent[0].url == f"{CAVE}/info?a=1"

    @pytest.mark.parametrize("url", [f"{FOREIGN}/", f"{CAVE}.evil.example/", f"{CAVE}:8443/"])
    def test_nothing_on_another_host(self, session: requests.Session, url: str) -> None:
        stub, plain = stubbed(session), requests.Session()
        other = stubbed(plain)
        session.get(url)
        plain.get(url)
        assert stub.sent == other.sent
        assert stub.sent[0].is_bare

    def test_the_callers_own_header_is_overridden(self, session: requests.Session) -> None:
        stub = stubbed(session)
        session.get(CAVE, headers={"Authorization": "Bearer mine"})
        assert stub.sent[0].headers["Authorization"] == BEARER

    def test_the_callers_own_header_stays_for_another_host(self, session: requests.Session) -> None:
        stub = stubbed(session)
        session.get(FOREIGN, headers={"Authorization": "Bearer mine"})
        assert stub.sent[0].headers["Authorization"] == "Bearer mine"

    def test_the_auth_of_one_request(self, session: requests.Session) -> None:
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

    def test_without_a_token_the_callers_own_wish_stays(self) -> None:
        session = requests.Session()
        session.auth = CaveAuth()
        stub = stubbed(session)
        session.get(CAVE, headers={"x-requested-with": "XMLHttpRequest"})
        assert stub.sent[0].headers["x-requested-with"] == "XMLHttpRequest"

    def test_an_explicit_token_is_for_trusted_hosts_only(self) -> None:
        session = requests.Session()
        session.auth = CaveAuth(TOKEN, hosts=["cave.example.org"])
        stub = stubbed(session)
        for url in ("https://cave.example.org/", CAVE, FOREIGN):
            session.get(url)
        assert [sent.headers.get("Authorization") for sent in stub.sent] == [BEARER, None, None]

    def test_bytes_as_headers(self, session: requests.Session) -> None:
        stub = stubbed(session)
        session.get(CAVE, headers={"Cookie": b"a=1", "Authorization": b"Bearer mine"})
        assert stub.sent[0].headers["Cookie"] == f"a=1; {COOKIE}"
        assert stub.sent[0].headers["Authorization"] == BEARER

    def test_a_body_is_sent_as_it_is(self, session: requests.Session) -> None:
        stub = stubbed(session)
        session.post(CAVE, json={"a": 1})
        assert json.loads(stub.sent[0].body) == {"a": 1}
        assert stub.sent[0].headers["Content-Length"] == "8"


class TestWhatRequestsDoesWithoutUs:
    """``requests`` asks neither netrc nor the URL once ``session.auth`` is set; we ask the URL."""

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
    def test_the_url_counts_on_other_hosts(self, session: requests.Session, url: str) -> None:
        plain = requests.Session()
        plain.trust_env = False  # each auth object of requests turns netrc off
        stub, other = stubbed(session), stubbed(plain)
        session.get(url)
        plain.get(url)
        assert stub.sent == other.sent

    @pytest.mark.usefixtures("netrc")
    def test_netrc_does_not_count_where_we_sign(self, session: requests.Session) -> None:
        stub = stubbed(session)
        session.get(CAVE)
        assert stub.sent[0].headers["Authorization"] == BEARER

    @pytest.mark.usefixtures("netrc")
    def test_netrc_is_replaced_where_a_redirect_brings_it_back(
        self, session: requests.Session
    ) -> None:
        """``rebuild_auth`` puts it over the bearer header, and CAVE answers 400."""
        stub = stubbed(session, redirect(f"{CAVE}/b"), Answer(400), Answer())
        assert session.get(f"{CAVE}/a").ok
        tokens = [sent.headers["Authorization"] for sent in stub.sent]
        assert tokens[0] == tokens[2] == BEARER
        assert tokens[1].startswith("Basic ")


class TestBadConfiguration:
    """Known before anything is sent."""

    def test_a_bad_token(self) -> None:
        with pytest.raises(InvalidToken):
            CaveAuth("not a token")

    @pytest.mark.parametrize("hosts", ["cave.example.org", ["http://cave.example.org"], [None]])
    def test_bad_hosts(self, hosts: Any) -> None:
        with pytest.raises(ValueError, match="host"):
            CaveAuth(hosts=hosts)

    def test_a_key_that_is_none(self) -> None:
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
    def test_a_bad_variable(
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

    def test_a_broken_file(self, write: Write) -> None:
        write("cave-secret.json", "{")
        session = requests.Session()
        session.auth = CaveAuth()
        stub = stubbed(session)
        with pytest.raises(TokenFileError):
            session.get(CAVE)
        assert stub.sent == []

    def test_a_broken_file_is_no_matter_for_another_host(self, write: Write) -> None:
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
    def test_equal_by_configuration(self, configuration: dict[str, Any]) -> None:
        one, other = CaveAuth(**configuration), CaveAuth(**configuration)
        assert one == other
        assert hash(one) == hash(other)

    def test_different_by_configuration(self) -> None:
        auths = [CaveAuth(**configuration) for configuration in self.CONFIGURATIONS]
        assert len(set(auths)) == len(auths)
        assert auths[0] != HTTPBasicAuth("user", "password")

    @pytest.mark.parametrize("configuration", CONFIGURATIONS)
    @pytest.mark.parametrize(
        "clone", [copy.copy, copy.deepcopy, lambda auth: pickle.loads(pickle.dumps(auth))]
    )
    def test_a_clone_is_equal_and_works(
        self, configuration: dict[str, Any], clone: Callable[[CaveAuth], CaveAuth]
    ) -> None:
        auth = CaveAuth(**configuration)
        twin = clone(auth)
        assert type(twin) is CaveAuth
        assert twin == auth
        assert twin.raise_errors == auth.raise_errors
        assert twin.trusts("https://cave.example.org/") == auth.trusts("https://cave.example.org/")

    def test_a_subclass_stays_one(self) -> None:
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

    def test_a_path_is_the_same_as_its_string(self) -> None:
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
    def test_no_token_is_shown(self, session: requests.Session, given: str | None) -> None:
        auth = session.auth = CaveAuth(given)
        stubbed(session)
        session.get(CAVE)
        shown = (auth, vars(auth), vars(auth.credentials), vars(auth.hosts))
        assert TOKEN not in repr(shown) + str(shown)

    def test_a_token_from_the_store_is_in_no_pickle(self, session: requests.Session) -> None:
        stubbed(session)
        session.get(CAVE)
        assert TOKEN.encode() not in pickle.dumps((session.auth, session))

    @pytest.mark.parametrize(
        ("url", "token"), [(CAVE, TOKEN), (FOREIGN, None), ("http://global.daf-apis.com", None)]
    )
    def test_token_for(self, session: requests.Session, url: str, token: str | None) -> None:
        assert session.auth.token_for(url) == token

    def test_token_for_without_a_token(self) -> None:
        assert CaveAuth().token_for(CAVE) is None


class MyAuth(CaveAuth):
    """Of the caller's own making."""


class TestFootprints:
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

    def test_nor_does_its_history(
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

    def test_the_callers_own_hooks_stay(
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

    def test_a_history_is_never_made_by_us(
        self, session: requests.Session, web: responses.RequestsMock
    ) -> None:
        web.get(f"{OTHER_CAVE}/", status=302, headers={"Location": f"{CAVE}/"})
        web.get(f"{CAVE}/", status=401)
        web.get(f"{CAVE}/")
        response = session.get(OTHER_CAVE)
        assert response.ok
        assert [hop.url for hop in response.history] == [f"{OTHER_CAVE}/"]

    def test_an_error_while_sending_again_holds_no_token(self, session: requests.Session) -> None:
        """What was prepared for the caller may hold it; what we prepare must not."""
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


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_the_same_host_keeps_the_token(self, session: requests.Session, status: int) -> None:
        stub = stubbed(session, redirect(f"{CAVE}/b", status), Answer())
        session.get(f"{CAVE}/a")
        assert [sent.headers.get("Authorization") for sent in stub.sent] == [BEARER, BEARER]

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize(
        "target",
        [
            FOREIGN,
            f"{CAVE}.evil.example",
            f"{CAVE}:8443",
            CAVE.replace("https", "http"),
            f"https://user@{CAVE[8:]}",
            "//elsewhere.example.org",
        ],
    )
    def test_another_host_gets_nothing(
        self, session: requests.Session, status: int, target: str
    ) -> None:
        stub = stubbed(session, redirect(f"{target}/x", status), Answer())
        session.post(f"{CAVE}/a", data="body")
        assert stub.sent[0].headers["Authorization"] == BEARER
        assert not holds(TOKEN, stub.sent[1])
        assert "X-Requested-With" not in stub.sent[1].headers

    def test_another_host_gets_what_it_would_without_us(self) -> None:
        """Not even a trace of the request that was unsigned for want of a token."""
        session = requests.Session()
        session.auth = CaveAuth()
        stub = stubbed(session, redirect(FOREIGN), Answer())
        session.get(CAVE)
        assert stub.sent[1].is_bare

    REFUSALS = (Answer(401), redirect(LOGIN))

    @pytest.mark.parametrize("refusal", REFUSALS)
    @pytest.mark.parametrize("start", [OTHER_CAVE, CAVE])
    def test_a_hop_to_a_cave_host_that_refuses_is_signed_and_sent_once_more(
        self, session: requests.Session, store: TokenStore, start: str, refusal: Answer
    ) -> None:
        store.save(OTHER_TOKEN, THIRD_CAVE)
        stub = stubbed(session, redirect(f"{THIRD_CAVE}/b"), refusal, Answer())
        response = session.get(f"{start}/a")
        assert response.status_code == 200
        assert response.url == f"{THIRD_CAVE}/b"
        assert [sent.url for sent in stub.sent[1:]] == [f"{THIRD_CAVE}/b"] * 2
        assert not holds(TOKEN, *stub.sent[1:])
        assert stub.sent[2].headers["Authorization"] == f"Bearer {OTHER_TOKEN}"
        assert "X-Requested-With" not in stub.sent[2].headers  # what the caller asks for, signed
        assert not holds(OTHER_TOKEN, response, *response.history)

    @pytest.mark.parametrize("refusal", REFUSALS)
    def test_not_more_than_once(self, session: requests.Session, refusal: Answer) -> None:
        stub = stubbed(session, redirect(f"{CAVE}/b"), refusal, refusal, Answer())
        session.get(OTHER_CAVE, allow_redirects=True)
        assert [sent.url for sent in stub.sent].count(f"{CAVE}/b") == 2

    def test_a_hop_that_is_not_refused_is_not_signed(self, session: requests.Session) -> None:
        stub = stubbed(session, redirect(f"{CAVE}/public"), Answer())
        assert session.get(FOREIGN).ok
        assert "Authorization" not in stub.sent[1].headers

    def test_a_foreign_host_that_refuses_gets_nothing(self, session: requests.Session) -> None:
        stub = stubbed(session, redirect(FOREIGN), Answer(401))
        assert session.get(CAVE).status_code == 401
        assert len(stub.sent) == 2
        assert not holds(TOKEN, stub.sent[1])

    def test_the_hop_from_cave_to_cave_asks_for_json(self, session: requests.Session) -> None:
        stub = stubbed(session, redirect(f"{THIRD_CAVE}/b"), Answer())
        session.get(CAVE)
        assert stub.sent[1].headers["X-Requested-With"] == "cave-auth-adapter"

    def test_the_hop_from_elsewhere_to_cave_asks_for_json(self) -> None:
        """Else a user without a token gets the login page of Google, with status 200."""
        session = requests.Session()
        session.auth = CaveAuth()
        stub = stubbed(session, redirect(f"{CAVE}/b"), Answer())
        session.get(FOREIGN)
        assert stub.sent[1].headers["X-Requested-With"] == "cave-auth-adapter"

    def test_there_and_back(self, session: requests.Session) -> None:
        stub = stubbed(session, redirect(FOREIGN), redirect(f"{CAVE}/b"), Answer(401), Answer())
        assert session.get(f"{CAVE}/a").status_code == 401
        tokens = [sent.headers.get("Authorization") for sent in stub.sent]
        assert tokens == [BEARER, None, None]  # the stranger may have had any request in mind

    def test_a_broken_location_is_the_error_of_requests(self, session: requests.Session) -> None:
        stubbed(session, redirect("https://[::1/x"), Answer())
        with pytest.raises((requests.RequestException, ValueError)):
            session.get(CAVE)

    def test_one_prepared_request_can_be_sent_again(self, session: requests.Session) -> None:
        stub = stubbed(session, redirect(FOREIGN), Answer(), Answer())
        prepared = session.prepare_request(requests.Request("GET", CAVE))
        session.send(prepared)
        assert session.send(prepared).ok
        assert stub.sent[-1].headers["Authorization"] == BEARER


class KeepsAuth(requests.Session):
    """A session that keeps the header on every redirect, as people write to get at their data."""

    def should_strip_auth(self, old_url: str, new_url: str) -> bool:
        return False


class RebuildsNothing(requests.Session):
    def rebuild_auth(self, *args: Any, **kwargs: Any) -> None:
        pass


class TestSessionsThatKeepAuth:
    @pytest.fixture(params=[KeepsAuth, RebuildsNothing])
    def session(self, request: pytest.FixtureRequest, store: TokenStore) -> requests.Session:
        store.save(TOKEN)
        session = request.param()
        session.auth = CaveAuth()
        return session

    @pytest.mark.parametrize(
        "target",
        [
            FOREIGN,
            f"{CAVE}.evil.example",
            f"{CAVE}:8443",
            CAVE.replace("https", "http"),
            f"{CAVE}@evil.example",
            f"{CAVE}\\@evil.example",
            "//elsewhere.example.org",
            " https://elsewhere.example.org",
            "https:elsewhere.example.org",
            "https:/\\elsewhere.example.org",
        ],
    )
    def test_another_host_gets_nothing(self, session: requests.Session, target: str) -> None:
        stub = stubbed(session, redirect(f"{target}/x"), Answer())
        session.get(f"{CAVE}/a")
        outside = [sent for sent in stub.sent if not session.auth.trusts(sent.url)]
        assert not holds(TOKEN, *outside)

    def test_another_cave_host_gets_its_own_token(
        self, session: requests.Session, store: TokenStore
    ) -> None:
        store.save(OTHER_TOKEN, THIRD_CAVE)
        stub = stubbed(session, redirect(THIRD_CAVE), Answer(401), Answer())
        assert session.get(CAVE).ok
        assert not holds(TOKEN, *stub.sent[1:])
        assert stub.sent[-1].headers["Authorization"] == f"Bearer {OTHER_TOKEN}"

    def test_a_way_round_through_the_same_host(self, session: requests.Session) -> None:
        stub = stubbed(session, redirect(f"{CAVE}/b"), redirect(FOREIGN), Answer())
        session.get(f"{CAVE}/a")
        assert stub.sent[1].headers["Authorization"] == BEARER
        assert not holds(TOKEN, stub.sent[2])

    def test_the_callers_own_header_is_the_callers_affair(self, session: requests.Session) -> None:
        stub = stubbed(session, redirect(CAVE), Answer())
        session.get(FOREIGN, headers={"Authorization": "Bearer mine"})
        assert stub.sent[1].headers["Authorization"] == "Bearer mine"


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
    def test_a_new_token_in_the_store_is_used_once(
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

    def test_a_foreign_host_is_not_our_affair(
        self, session: requests.Session, caplog: pytest.LogCaptureFixture
    ) -> None:
        stubbed(session, Answer(401))
        assert session.get(FOREIGN).status_code == 401
        assert caplog.messages == []

    def test_an_elapsed_time_counts_both(
        self, session: requests.Session, store: TokenStore
    ) -> None:
        stubbed(session, redirect(CAVE), Answer(401), Answer())
        response = session.get(OTHER_CAVE)
        assert response.elapsed.total_seconds() > 0


class TestBodies:
    """A hop from another CAVE host arrives unsigned; with status 307 it has the body again."""

    @pytest.mark.parametrize("make", [lambda: b"body", lambda: "body", lambda: io.BytesIO(b"body")])
    def test_what_can_be_replayed_is_sent_again(
        self, session: requests.Session, make: Callable[[], Any]
    ) -> None:
        stub = stubbed(session, redirect(CAVE, 307), Answer(401), Answer())
        assert session.post(OTHER_CAVE, data=make()).ok
        assert [sent.body for sent in stub.sent] == [b"body"] * 3

    def test_a_file_is_sent_from_where_it_was(self, session: requests.Session) -> None:
        file = io.BytesIO(b"not this; body")
        file.seek(10)
        stub = stubbed(session, redirect(CAVE, 307), Answer(401), Answer())
        assert session.post(OTHER_CAVE, data=file).ok
        assert [sent.body for sent in stub.sent] == [b"body"] * 3

    @pytest.mark.parametrize("make", [_pieces, Unseekable])
    def test_what_is_spent_is_not_sent_again(
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


class TestPlainHttp:
    URL = "http://localhost:8000/"

    @pytest.fixture
    def session(self) -> requests.Session:
        session = requests.Session()
        session.auth = CaveAuth(TOKEN, hosts=["http://localhost:8000"])
        return session

    def test_loopback_is_signed_when_it_refuses(
        self, session: requests.Session, web: responses.RequestsMock
    ) -> None:
        """By then it is known that there is no proxy."""
        web.get(self.URL, status=401)
        web.get(self.URL)
        assert session.get(self.URL).ok
        tokens = [headers.get("Authorization") for headers in sent_headers(web)]
        assert tokens == [None, BEARER]

    def test_not_through_an_adapter_of_another_kind(self, session: requests.Session) -> None:
        """It may have a proxy of its own."""
        stub = stubbed(session, Answer(401))
        assert session.get(self.URL).status_code == 401
        assert not holds(TOKEN, *stub.sent)

    @pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
    def test_not_through_a_proxy_of_the_environment(
        self, session: requests.Session, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.setenv(variable, PROXY)
        stub = stubbed(session, Answer(401))
        session.get(self.URL)
        assert stub.keywords[0]["proxies"]
        assert not holds(TOKEN, *stub.sent)

    def test_a_proxy_that_is_not_for_this_host_is_no_matter(
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
    def test_not_through_a_proxy_given_in_code(
        self, session: requests.Session, proxies: dict[str, str], where: str
    ) -> None:
        stub = stubbed(session, Answer(401))
        if where == "session":
            session.proxies = proxies
        session.get(self.URL, proxies=proxies if where == "request" else None)
        assert not holds(TOKEN, *stub.sent)

    def test_not_through_a_proxy_given_when_it_is_sent(self, session: requests.Session) -> None:
        stub = stubbed(session, Answer(401))
        prepared = session.prepare_request(requests.Request("GET", self.URL))
        session.send(prepared, proxies={"http": PROXY})
        assert not holds(TOKEN, *stub.sent)

    def test_https_goes_signed_through_a_proxy(
        self, monkeypatch: pytest.MonkeyPatch, store: TokenStore
    ) -> None:
        """The proxy sees a tunnel."""
        store.save(TOKEN)
        monkeypatch.setenv("https_proxy", PROXY)
        session = requests.Session()
        session.auth = CaveAuth()
        stub = stubbed(session)
        session.get(CAVE)
        assert stub.sent[0].headers["Authorization"] == BEARER


class Endless(io.BytesIO):
    def read(self, *_: Any) -> bytes:
        pytest.fail("reading it takes for ever")


def test_a_refusal_is_closed_unread() -> None:
    response, body = requests.Response(), Endless()
    response.raw = HTTPResponse(body, preload_content=False)
    discard(response)
    assert body.closed


@pytest.mark.parametrize("raw", [io.BytesIO(b"{}"), None])
def test_a_refusal_of_an_adapter_of_another_kind_can_be_discarded(raw: Any) -> None:
    """Adapters for files and tests build responses of their own, without urllib3."""

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


def test_a_refusal_that_is_raised_holds_no_token() -> None:
    session = requests.Session()
    session.mount("https://", StubAdapter(Answer(401)))
    session.auth = CaveAuth(TOKEN, raise_errors=True)

    with pytest.raises(TokenRefused) as caught:
        session.get(f"{CAVE}/x")

    assert caught.value.request is caught.value.response.request
    assert not holds(TOKEN, caught.value, caught.value.response, caught.value.request)
    assert not holds(TOKEN, dict(caught.value.request.headers))
