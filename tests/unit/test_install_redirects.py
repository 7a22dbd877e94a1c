"""With ``install()``, what goes along on a redirect, and what is kept from another host."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from requests import Session

from cave_auth_adapter import CaveAuth, install, installed

from ..support.installing import sent_by, stub_session
from ..support.stub import BEARER, CAVE, FOREIGN, TOKEN, Answer, StubAdapter, holds, redirect

pytestmark = pytest.mark.usefixtures("saved")


class TestForeignRedirects:
    """CAVEclient sets a cookie on its session that a redirect would carry to any host."""

    @pytest.mark.parametrize("put", ["cookie", "header"])
    def test_our_token_does_not_follow_a_redirect(self, put: str) -> None:
        install()
        session = stub_session(Answer(), redirect(FOREIGN), Answer())
        session.get(CAVE)
        if put == "cookie":
            session.cookies.set("middle_auth_token", TOKEN)
        else:
            session.headers["X-Token"] = TOKEN
        session.get(CAVE)
        assert not holds(TOKEN, sent_by(session)[2])

    def test_other_headers_and_cookies_follow_a_redirect(self) -> None:
        install()
        session = stub_session(redirect(FOREIGN), Answer())
        session.cookies.set("mine", "1")
        session.headers["X-Mine"] = "2"
        session.get(CAVE)
        headers = sent_by(session)[1].headers
        assert (headers["Cookie"], headers["X-Mine"]) == ("mine=1", "2")

    def test_a_redirect_between_other_hosts_is_as_without_us(self) -> None:
        def send(session: Session) -> list[Any]:
            session.cookies.set("mine", "1")
            session.get(FOREIGN, headers={"X-Mine": "2", "Authorization": "Bearer mine"})
            return list(sent_by(session))

        answers = redirect("https://third.example.org/"), Answer()
        before = send(stub_session(*answers))
        install()
        assert send(stub_session(*answers)) == before


class TestForeignOrigin:
    """A foreign host's redirect can't make a signed request in the caller's name."""

    def test_a_redirect_from_a_foreign_host_is_not_signed(self) -> None:
        install()
        session = stub_session(redirect(CAVE, 307), Answer())
        session.post(FOREIGN, data="body")
        assert [sent.headers.get("Authorization") for sent in sent_by(session)] == [None, None]

    def test_response_next_of_a_foreign_redirect_is_not_signed(self) -> None:
        install()
        session = stub_session(redirect(CAVE), Answer())
        response = session.get(FOREIGN, allow_redirects=False)
        session.send(pickle.loads(pickle.dumps(response.next)))
        assert response.next is not None
        session.send(response.next)
        assert [sent.headers.get("Authorization") for sent in sent_by(session)] == [None] * 3

    def test_a_request_that_the_caller_repeats_is_signed(self) -> None:
        install()
        session = stub_session(redirect(FOREIGN), redirect(CAVE), Answer())
        prepared = session.prepare_request(requests.Request("GET", CAVE))
        session.send(prepared)
        session.send(prepared)
        tokens = [sent.headers.get("Authorization") for sent in sent_by(session)]
        assert tokens == [BEARER, None, None, BEARER]

    def test_a_request_to_another_host_keeps_no_hook(self) -> None:
        install()
        session = stub_session(redirect(f"{FOREIGN}/b"), Answer())
        response = session.get(FOREIGN)
        for answer in (response, *response.history):
            assert answer.request.hooks == {"response": []}


class TestNetrc:
    """``requests`` applies a ``default`` entry to CAVE hosts, which don't support Basic."""

    @pytest.fixture(autouse=True)
    def netrc(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "netrc").write_text("default login anonymous password me@lab.example\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    def test_a_netrc_default_is_replaced_on_a_cave_host(self) -> None:
        install()
        session = stub_session(redirect(f"{CAVE}/b"), Answer())
        session.get(CAVE)
        assert [sent.headers["Authorization"] for sent in sent_by(session)] == [BEARER] * 2

    def test_a_netrc_default_is_sent_where_there_is_no_token(self, secrets: Path) -> None:
        (secrets / "cave-secret.json").unlink()
        install()
        session = stub_session()
        session.get(CAVE)
        assert sent_by(session)[0].headers["Authorization"].startswith("Basic ")

    def test_auth_given_to_a_request_is_kept(self) -> None:
        install()
        session = stub_session()
        session.get(CAVE, auth=("user", "word"))
        assert sent_by(session)[0].headers["Authorization"] == "Basic dXNlcjp3b3Jk"


def test_a_cookie_that_echoes_our_token_is_kept_out_of_the_jar() -> None:
    """A jar sends a cookie to other ports of the host, and without ``Secure`` over plain http."""
    with responses.RequestsMock() as web, install():
        web.get(
            f"{CAVE}/",
            headers=[
                ("Set-Cookie", f"middle_auth_token={TOKEN}; Path=/"),
                ("Set-Cookie", "mine=1; Path=/"),
            ],
        )
        session = requests.Session()
        answer = session.get(CAVE)
    assert session.cookies.get_dict() == {"mine": "1"}
    assert answer.cookies.get_dict() == {"mine": "1"}


@pytest.mark.parametrize("owner", ["the session", "its class"])
def test_a_redirect_invented_by_the_session_is_not_signed(owner: str) -> None:
    def find(response: requests.Response) -> str | None:
        return f"{CAVE}/" if response.url == f"{FOREIGN}/" else None

    class Finds(Session):
        def get_redirect_target(self, resp: requests.Response) -> str | None:
            return find(resp)

    session: Any = stub_session(session=Finds() if owner == "its class" else Session())
    if owner == "the session":
        session.get_redirect_target = find
    with install():
        session.get(f"{FOREIGN}/")
    assert [sent.url for sent in sent_by(session)] == [f"{FOREIGN}/", f"{CAVE}/"]
    assert all("Authorization" not in sent.headers for sent in sent_by(session))


def test_a_token_cookie_does_not_follow_to_plain_http_with_a_proxy() -> None:
    session, local = stub_session(redirect("http://localhost:8000/x")), StubAdapter()
    session.mount("http://", local)
    session.cookies.set("middle_auth_token", TOKEN)
    with installed(CaveAuth(hosts=["global.daf-apis.com", "http://localhost:8000"])):
        session.get(f"{CAVE}/x", proxies={"http": "http://proxy.example"})

    [sent] = local.sent
    assert not holds(TOKEN, sent)
