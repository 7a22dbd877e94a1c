"""Which requests of a redirect ``session.auth = CaveAuth()`` signs."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from cave_auth_adapter import CaveAuth, TokenStore

from ..support.sessions import stubbed
from ..support.stub import (
    BEARER,
    CAVE,
    FOREIGN,
    LOGIN,
    OTHER_CAVE,
    OTHER_TOKEN,
    THIRD_CAVE,
    TOKEN,
    Answer,
    holds,
    redirect,
)

#: Where a redirect of CAVE leads that has another origin.
ELSEWHERE = [
    FOREIGN,
    f"{CAVE}.evil.example",
    f"{CAVE}:8443",
    CAVE.replace("https", "http"),
    "//elsewhere.example.org",
]


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_the_same_host_keeps_the_token(self, session: requests.Session, status: int) -> None:
        stub = stubbed(session, redirect(f"{CAVE}/b", status), Answer())
        session.get(f"{CAVE}/a")
        assert [sent.headers.get("Authorization") for sent in stub.sent] == [BEARER, BEARER]

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize(
        "target",
        [*ELSEWHERE, f"https://user@{CAVE[8:]}"],
    )
    def test_another_host_gets_nothing(
        self, session: requests.Session, status: int, target: str
    ) -> None:
        stub = stubbed(session, redirect(f"{target}/x", status), Answer())
        session.post(f"{CAVE}/a", data="body")
        assert stub.sent[0].headers["Authorization"] == BEARER
        assert not holds(TOKEN, stub.sent[1])
        assert "X-Requested-With" not in stub.sent[1].headers

    def test_without_a_token_another_host_gets_the_unchanged_request(self) -> None:
        """Nor does it get the ``X-Requested-With`` of the unsigned request."""
        session = requests.Session()
        session.auth = CaveAuth()
        stub = stubbed(session, redirect(FOREIGN), Answer())
        session.get(CAVE)
        assert stub.sent[1].is_bare

    REFUSALS = (Answer(401), redirect(LOGIN))

    @pytest.mark.parametrize("refusal", REFUSALS)
    @pytest.mark.parametrize("start", [OTHER_CAVE, CAVE])
    def test_a_cave_host_that_refuses_a_hop_gets_it_again_signed(
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
        assert "X-Requested-With" not in stub.sent[2].headers  # as the caller asked, but signed
        assert not holds(OTHER_TOKEN, response, *response.history)

    @pytest.mark.parametrize("refusal", REFUSALS)
    def test_a_hop_is_repeated_only_once(self, session: requests.Session, refusal: Answer) -> None:
        stub = stubbed(session, redirect(f"{CAVE}/b"), refusal, refusal, Answer())
        session.get(OTHER_CAVE, allow_redirects=True)
        assert [sent.url for sent in stub.sent].count(f"{CAVE}/b") == 2

    def test_a_hop_that_succeeds_is_not_repeated(self, session: requests.Session) -> None:
        stub = stubbed(session, redirect(f"{CAVE}/public"), Answer())
        assert session.get(FOREIGN).ok
        assert "Authorization" not in stub.sent[1].headers

    def test_a_foreign_host_that_refuses_gets_nothing(self, session: requests.Session) -> None:
        stub = stubbed(session, redirect(FOREIGN), Answer(401))
        assert session.get(CAVE).status_code == 401
        assert len(stub.sent) == 2
        assert not holds(TOKEN, stub.sent[1])

    def test_a_hop_from_cave_to_cave_asks_for_json(self, session: requests.Session) -> None:
        stub = stubbed(session, redirect(f"{THIRD_CAVE}/b"), Answer())
        session.get(CAVE)
        assert stub.sent[1].headers["X-Requested-With"] == "cave-auth-adapter"

    def test_a_hop_from_elsewhere_to_cave_asks_for_json(self) -> None:
        """Otherwise a user without a token gets Google's login page, with status 200."""
        session = requests.Session()
        session.auth = CaveAuth()
        stub = stubbed(session, redirect(f"{CAVE}/b"), Answer())
        session.get(FOREIGN)
        assert stub.sent[1].headers["X-Requested-With"] == "cave-auth-adapter"

    def test_a_foreign_redirect_back_to_cave_is_not_signed(self, session: requests.Session) -> None:
        stub = stubbed(session, redirect(FOREIGN), redirect(f"{CAVE}/b"), Answer(401), Answer())
        assert session.get(f"{CAVE}/a").status_code == 401
        tokens = [sent.headers.get("Authorization") for sent in stub.sent]
        assert tokens == [BEARER, None, None]  # the foreign host may have chosen any request

    def test_a_broken_location_raises_as_in_requests(self, session: requests.Session) -> None:
        stubbed(session, redirect("https://[::1/x"), Answer())
        with pytest.raises((requests.RequestException, ValueError)):
            session.get(CAVE)

    def test_a_prepared_request_can_be_sent_again(self, session: requests.Session) -> None:
        stub = stubbed(session, redirect(FOREIGN), Answer(), Answer())
        prepared = session.prepare_request(requests.Request("GET", CAVE))
        session.send(prepared)
        assert session.send(prepared).ok
        assert stub.sent[-1].headers["Authorization"] == BEARER


class KeepsAuth(requests.Session):
    """Keeps the header on every redirect; people write such sessions to download data."""

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
            *ELSEWHERE,
            f"{CAVE}@evil.example",
            f"{CAVE}\\@evil.example",
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

    def test_a_redirect_by_way_of_the_same_host_leaks_nothing(
        self, session: requests.Session
    ) -> None:
        stub = stubbed(session, redirect(f"{CAVE}/b"), redirect(FOREIGN), Answer())
        session.get(f"{CAVE}/a")
        assert stub.sent[1].headers["Authorization"] == BEARER
        assert not holds(TOKEN, stub.sent[2])

    def test_the_callers_authorization_header_follows_the_redirect(
        self, session: requests.Session
    ) -> None:
        stub = stubbed(session, redirect(CAVE), Answer())
        session.get(FOREIGN, headers={"Authorization": "Bearer mine"})
        assert stub.sent[1].headers["Authorization"] == "Bearer mine"
