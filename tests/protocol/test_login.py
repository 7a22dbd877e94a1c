"""The sandbox's login and terms pages behave as measured at a real one (middle_auth 2.30.3)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests

from cave_auth_adapter.sandbox import Sandbox

from .conftest import bearer, sticky

CALLBACK = "http://127.0.0.1:9/cb/nonce?x=1"


def authorize(sandbox: Sandbox, redirect: str) -> str:
    return f"{sticky(sandbox)}/api/v1/authorize?redirect={quote(redirect, safe='')}"


def say_who(session: requests.Session, page: requests.Response, who: object) -> requests.Response:
    """Choose a user at the identity provider, and follow the redirect to the auth service."""
    answer = session.post(page.url, data={"user": who}, allow_redirects=False)
    return session.get(answer.headers["Location"], allow_redirects=False)


def test_a_login_returns_a_login_token(
    own_sandbox: Sandbox, session: requests.Session, api: Any
) -> None:
    page = session.get(authorize(own_sandbox, CALLBACK))
    assert f"<button name=user value={own_sandbox.user}>Log in as Sandbox User" in page.text
    answer = say_who(session, page, own_sandbox.user)
    assert answer.status_code == 302
    target = urlsplit(answer.headers["Location"])
    assert (target.netloc, target.path) == ("127.0.0.1:9", "/cb/nonce")
    query = parse_qs(target.query)
    [token] = query["middle_auth_token"]
    server = own_sandbox.auth_server.removeprefix("https://")
    assert query == {
        "x": ["1"],
        "middle_auth_token": [token],
        "middle_auth_url": [f"{server}/sticky_auth"],
        "token": [token],
    }
    assert 604000 < api("GET", f"user/token/{token}/ttl", token).json() <= 604800


def test_a_new_account_chooses_a_name_first(
    own_sandbox: Sandbox, session: requests.Session, api: Any
) -> None:
    answer = say_who(session, session.get(authorize(own_sandbox, CALLBACK)), "new")
    page = session.get(
        sticky(own_sandbox).removesuffix("/sticky_auth") + answer.headers["Location"]
    )
    assert "Choose a user name" in page.text
    answer = session.post(page.url, data={"customName": "Somebody"}, allow_redirects=False)
    [token] = parse_qs(urlsplit(answer.headers["Location"]).query)["token"]
    assert answer.headers["Location"].startswith(CALLBACK)
    assert api("GET", "user/me", token).json()["name"] == "Somebody"


def test_a_declined_login_does_not_return(own_sandbox: Sandbox, session: requests.Session) -> None:
    answer = say_who(session, session.get(authorize(own_sandbox, CALLBACK)), "refused")
    assert answer.status_code == 500
    assert "Location" not in answer.headers


def test_a_code_and_a_state_are_good_once(own_sandbox: Sandbox, session: requests.Session) -> None:
    page = session.get(authorize(own_sandbox, CALLBACK))
    sent = session.post(page.url, data={"user": own_sandbox.user}, allow_redirects=False)
    back = sent.headers["Location"]
    with requests.Session() as stranger:
        stranger.verify = own_sandbox.ca_bundle
        assert stranger.get(back).status_code == 400
    forged = session.get(back.replace("state=", "state=x"), allow_redirects=False)
    assert forged.json() == "authorization error"
    assert session.get(back, allow_redirects=False).status_code == 302
    assert session.get(back, allow_redirects=False).json() == "authorization error"


@pytest.mark.parametrize("who", ["99999", "", "2"])
def test_the_identity_provider_knows_people_only(
    own_sandbox: Sandbox, session: requests.Session, who: str
) -> None:
    page = session.get(authorize(own_sandbox, CALLBACK))
    assert session.post(page.url, data={"user": who}).status_code == 400


def test_the_identity_provider_redirects_to_the_auth_service_only(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    page = session.get(authorize(own_sandbox, CALLBACK))
    forged = page.url.replace("oauth2callback", "elsewhere")
    assert session.get(forged).status_code == 400
    assert session.post(forged, data={"user": own_sandbox.user}).status_code == 400


def test_the_login_cookie_stays_at_the_auth_service(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    say_who(session, session.get(authorize(own_sandbox, CALLBACK)), own_sandbox.user)
    tokens = session.get(sticky(own_sandbox) + "/settings/tokens")
    assert own_sandbox.token in tokens.text
    assert session.get(own_sandbox.data_server + "/public").json()["cookies"] == {}


def test_a_login_that_leads_nowhere_tells_the_page_that_opened_it(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    page = session.get(f"{sticky(own_sandbox)}/api/v1/authorize")
    answer = say_who(session, page, own_sandbox.user)
    assert answer.status_code == 200
    assert 'postMessage({"token": "' in answer.text


def test_a_browser_that_was_sent_to_the_login_page_comes_back(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    page = session.get(own_sandbox.data_server + "/echo?a=1")
    echo = session.post(page.url, data={"user": own_sandbox.user})
    assert echo.url.startswith(own_sandbox.data_server + "/echo?a=1&middle_auth_url=")
    assert echo.json()["user_id"] == own_sandbox.user


def test_a_program_gets_the_address_of_the_identity_provider_as_text(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    url = authorize(own_sandbox, CALLBACK)
    answer = session.get(url, headers={"X-Requested-With": "x"}, allow_redirects=False)
    assert answer.status_code == 200
    assert answer.text.startswith(own_sandbox.identity_provider + "/")


# --- Terms of service ----------------------------------------------------------------------


@pytest.fixture
def newcomer(own_sandbox: Sandbox) -> str:
    """The API key of a user who has yet to accept terms."""
    user = own_sandbox.create_user("Careful User", permissions={"sandbox_terms": ["view"]})
    return own_sandbox.create_token(user)


@pytest.fixture
def form(own_sandbox: Sandbox) -> str:
    return sticky(own_sandbox) + "/api/v1/tos/1/accept"


def accept(session: requests.Session, form: str, token: str, **query: str) -> requests.Response:
    return session.post(form, params=query, headers=bearer(token), allow_redirects=False)


def test_the_form_shows_the_terms(session: requests.Session, form: str, newcomer: str) -> None:
    text = session.get(form, headers=bearer(newcomer)).text
    assert "Be kind" in text
    assert "<form method=post>" in text


def test_accepting_without_a_redirect_fails_though_it_is_recorded(
    session: requests.Session, form: str, newcomer: str, api: Any, get: Any
) -> None:
    assert get("/needs-tos", **bearer(newcomer)).status_code == 403
    assert accept(session, form, newcomer).status_code == 500
    assert api("GET", "user/missing", newcomer).json() == []
    assert get("/needs-tos", **bearer(newcomer)).status_code == 200
    again = accept(session, form, newcomer)
    assert (again.status_code, "already accepted" in again.text) == (200, True)


def test_accepting_with_a_redirect_brings_the_token_there(
    own_sandbox: Sandbox, session: requests.Session, form: str, newcomer: str, api: Any
) -> None:
    target = sticky(own_sandbox) + "/settings/tokens"
    answer = accept(session, form, newcomer, redirect=target)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{target}?middle_auth_token={newcomer}&")
    assert api("GET", "user/missing", newcomer).json() == []


def test_terms_can_be_accepted_in_a_viewer(
    session: requests.Session, form: str, newcomer: str, api: Any
) -> None:
    answer = accept(session, form, newcomer, client="ng")
    assert answer.status_code == 200
    assert 'postMessage("success"' in answer.text
    assert api("GET", "user/missing", newcomer).json() == []


def test_a_browser_that_lacks_terms_is_led_to_them_and_back(
    own_sandbox: Sandbox, session: requests.Session, newcomer: str
) -> None:
    session.cookies.set("middle_auth_token", newcomer, domain="localhost.local", path="/")
    page = session.get(own_sandbox.data_server + "/needs-tos?a=1")
    assert "<form method=post>" in page.text
    echo = session.post(page.url)
    assert echo.url.startswith(own_sandbox.data_server + "/needs-tos?a=1&")
    assert echo.status_code == 200


def test_unknown_terms_are_not_found(session: requests.Session, form: str, newcomer: str) -> None:
    other = form.replace("/1/", "/7/")
    assert session.get(other, headers=bearer(newcomer)).status_code == 404
    assert accept(session, other, newcomer).status_code == 404
