"""``cave_responses`` answers as middle-auth-client does, with and without our plugin."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

import pytest
import requests
import responses

from cave_auth_adapter import CaveAuth, TokenStore, installed, mount
from cave_auth_adapter.testing import CaveResponses, Sandbox

SERVICE = "https://minnie.microns-daf.com/materialize/api/v3/version"
LOGIN = "https://global.daf-apis.com/sticky_auth/api/v1/authorize"
FOREIGN = "https://elsewhere.example.org/"

PATHS: dict[str, Any] = {  # of the sandbox's data server, and what is needed there
    "/echo": {},
    "/needs-permission": {"dataset": "sandbox_restricted"},
    "/needs-tos": {"dataset": "sandbox_terms", "terms": "Sandbox Terms of Service"},
    "/needs-group": {"group": "sandbox_insiders"},
}
SENT: dict[str, dict[str, str]] = {
    "nothing": {},
    "nothing, from a program": {"X-Requested-With": "anything"},
    "nothing, from a page": {"Origin": "https://a.example"},
    "a good header": {"Authorization": "Bearer {good}"},
    "a bad header": {"Authorization": "Bearer bad"},
    "a good cookie": {"Cookie": "other=1; middle_auth_token={good}"},
    "a good cookie, from a program": {
        "Cookie": "middle_auth_token={good}",
        "X-Requested-With": "x",
    },
    "a bad cookie": {"Cookie": "middle_auth_token=bad"},
    "a bad cookie, from a program": {"Cookie": "middle_auth_token=bad", "X-Requested-With": "x"},
    "a bad header over a good cookie": {
        "Authorization": "Bearer bad",
        "Cookie": "middle_auth_token={good}",
    },
    "a good header over a bad cookie": {
        "Authorization": "Bearer {good}",
        "Cookie": "middle_auth_token=bad",
    },
    "two cookies": {"Cookie": "middle_auth_token={good}; middle_auth_token=bad"},
    "another scheme": {"Authorization": "Basic e30="},
    "a scheme in small letters": {"Authorization": "bearer {good}"},
    "the scheme alone": {"Authorization": "Bearer"},
    "the scheme and a blank": {"Authorization": "Bearer "},
    "two blanks": {"Authorization": "Bearer  {good}"},
    "more behind the token": {"Authorization": "Bearer {good} more"},
    "an empty header": {"Authorization": ""},
}
QUERIES = ("", "?a=1&b=x%20y", "?middle_auth_token={good}&a=1", "?middle_auth_token=bad")


def ask(method: str, url: str, headers: dict[str, str], sticky_auth: str) -> dict[str, Any]:
    """What matters in an answer, whatever the address of the auth service."""
    with requests.Session() as session:
        answer = session.request(method, url, headers=headers, allow_redirects=False)
    told: dict[str, Any] = {
        name: answer.headers.get(name, "").replace(sticky_auth, "STICKY_AUTH")
        for name in ("Location", "WWW-Authenticate", "Set-Cookie")
    }
    if answer.status_code >= 400:
        told["type"] = answer.headers["Content-Type"]
        told["body"] = answer.text.replace(sticky_auth, "STICKY_AUTH")
        if answer.text.startswith("{"):
            told["body"] = json.loads(told["body"])
    return {**told, "status": answer.status_code}


USERS: dict[str, dict[str, Any]] = {
    "an outsider": {"permissions": {}, "groups": ["default"], "terms": []},
    "a viewer": {
        "permissions": {name: ["view"] for name in ("sandbox_restricted", "sandbox_terms")},
        "groups": ["sandbox_insiders"],
        "terms": [],
    },
    "an editor who accepted": {
        "permissions": {"sandbox_terms": ["view"], "sandbox_restricted": ["edit"]},
        "groups": [],
        "terms": ["Sandbox Terms of Service"],
    },
}


def compare(sandbox: Sandbox, path: str, user: dict[str, Any], requests_to_try: Any) -> set[int]:
    """Send the same requests to the sandbox and to `cave_responses`; returns the statuses."""
    permissions, groups = user["permissions"], user["groups"]
    accepted = [1] if user["terms"] else []
    number = sandbox.create_user(
        "Somebody", permissions=permissions, groups=groups, accepted_tos=accepted
    )
    good = sandbox.create_token(number)
    statuses = set()
    for method, query, sent in requests_to_try:
        url = sandbox.data_server + path + query.format(good=good)
        headers = {key: value.format(good=good) for key, value in SENT[sent].items()}
        real = ask(method, url, headers, f"{sandbox.auth_server}/sticky_auth")
        with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
            cave_responses = CaveResponses(mock)
            cave_responses.protect(sandbox.data_server + path, **PATHS[path])
            cave_responses.accept(good, **user)
            told = ask(method, url, headers, "https://global.daf-apis.com/sticky_auth")
        assert told == real, f"{method} {path}{query} with {sent}"
        statuses.add(real["status"])
    return statuses


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("path", PATHS)
def test_answers_as_middle_auth_client_does(cave_sandbox: Sandbox, path: str, user: str) -> None:
    table = [("GET", "", sent) for sent in SENT]
    assert compare(cave_sandbox, path, USERS[user], table) >= {302, 400, 401}


@pytest.mark.parametrize("query", QUERIES)
def test_answers_to_queries_as_middle_auth_client_does(cave_sandbox: Sandbox, query: str) -> None:
    table = [("GET", query, sent) for sent in SENT]
    assert compare(cave_sandbox, "/echo", USERS["a viewer"], table) >= {200, 302, 400, 401}


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_answers_to_methods_as_middle_auth_client_does(cave_sandbox: Sandbox, method: str) -> None:
    table = [(method, "", sent) for sent in SENT]
    statuses = compare(cave_sandbox, "/echo", USERS["a viewer"], table)
    assert statuses == {200} if method == "OPTIONS" else statuses == {200, 302, 400, 401}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_can_be_accepted_and_revoked(cave_responses: CaveResponses) -> None:
    cave_responses.protect(SERVICE, json="5.2.0")
    own = cave_responses.accept("0123456789abcdef0123456789abcdef")
    for token in (cave_responses.token, own):
        assert requests.get(SERVICE, headers=bearer(token)).json() == "5.2.0"
    cave_responses.revoke()
    assert requests.get(SERVICE, headers=bearer(cave_responses.token)).status_code == 401
    assert requests.get(SERVICE, headers=bearer(own)).status_code == 200
    cave_responses.revoke(own)
    assert requests.get(SERVICE, headers=bearer(own)).status_code == 401
    with pytest.raises(KeyError):
        cave_responses.revoke(own)


def test_the_login_page_is_html_with_status_200(cave_responses: CaveResponses) -> None:
    cave_responses.protect(SERVICE, json="5.2.0")
    answer = requests.get(SERVICE)
    assert answer.status_code == 200
    assert answer.url == f"{LOGIN}?redirect={quote(SERVICE)}"
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("service", "server"),
    [
        ("https://minnie.microns-daf.com/x", "global.daf-apis.com"),
        ("https://api.em.brain.allentech.org/x", "global.em.brain.allentech.org"),
        ("https://cave.my-lab.org/x", "global.daf-apis.com"),
    ],
)
def test_refusals_lead_to_the_auth_server_of_the_deployment(
    cave_responses: CaveResponses, service: str, server: str
) -> None:
    cave_responses.protect(service)
    answer = requests.get(service, headers=bearer("bad"))
    realm = f'realm="https://{server}/sticky_auth/api/v1/authorize"'
    assert realm in answer.headers["WWW-Authenticate"]


def test_the_auth_server_can_be_named() -> None:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        CaveResponses(mock, auth_server="auth.my-lab.org").protect("https://cave.my-lab.org/x")
        assert requests.get("https://cave.my-lab.org/x").url.startswith("https://auth.my-lab.org/")


def test_each_terms_of_service_have_a_number(cave_responses: CaveResponses) -> None:
    for number, name in enumerate(["First", "Second"], 1):
        cave_responses.protect(f"{SERVICE}/{number}", dataset="a", terms=name)
    token = cave_responses.accept(terms=["First"])
    assert requests.get(f"{SERVICE}/1", headers=bearer(token)).status_code == 200
    told = requests.get(f"{SERVICE}/2", headers=bearer(token)).json()
    assert told["error"] == "missing_tos"
    assert (told["data"]["tos_id"], told["data"]["tos_name"]) == (2, "Second")
    with pytest.raises(ValueError, match="dataset="):
        cave_responses.protect(SERVICE, terms="Third")


def test_an_accepted_request_gets_the_given_answer(cave_responses: CaveResponses) -> None:
    def count(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        return 201, {"X-Method": str(request.method)}, f"{len(str(request.body or ''))} characters"

    signed: Any = {"headers": bearer(cave_responses.token)}
    cave_responses.protect(f"{SERVICE}/1", body=b"x", status=404, headers={"X-Own": "1"})
    answer = requests.get(f"{SERVICE}/1?any=query", **signed)
    assert (answer.content, answer.status_code, answer.headers["X-Own"]) == (b"x", 404, "1")
    assert answer.headers["Content-Type"] == "text/plain"

    cave_responses.protect(re.compile(rf"{SERVICE}/\d\d$"), callback=count)
    assert requests.post(f"{SERVICE}/10", data="abc", **signed).text == "3 characters"
    assert requests.put(f"{SERVICE}/11", **signed).headers["X-Method"] == "PUT"
    assert requests.get(f"{SERVICE}/11").headers.get("X-Method") is None


def test_protecting_again_replaces_the_former_protection(cave_responses: CaveResponses) -> None:
    for answer in (1, 2, 3):
        cave_responses.protect(SERVICE, json=answer)
    for _ in range(2):  # `responses` itself would answer 1, then 2
        assert requests.get(SERVICE, headers=bearer(cave_responses.token)).json() == 3


@pytest.fixture(params=["auth", "mount", "install"])
def session(request: pytest.FixtureRequest) -> Iterator[requests.Session]:
    """A session that signs, by each of the three ways."""
    with ExitStack() as stack:
        session = stack.enter_context(requests.Session())
        if request.param == "auth":
            session.auth = CaveAuth()
        elif request.param == "mount":
            mount(session)
        else:
            stack.enter_context(installed())
        yield session


def test_signed_requests_are_accepted(
    cave_responses: CaveResponses, session: requests.Session
) -> None:
    cave_responses.protect(SERVICE, json="5.2.0")
    assert session.get(SERVICE).status_code == 401  # a program without a token
    TokenStore().save(cave_responses.token)
    assert session.get(SERVICE).json() == "5.2.0"


def test_a_new_token_is_picked_up(cave_responses: CaveResponses, session: requests.Session) -> None:
    cave_responses.protect(SERVICE, json="5.2.0")
    TokenStore().save(cave_responses.token)
    assert session.get(SERVICE).ok
    cave_responses.revoke()
    TokenStore().save(cave_responses.accept(), overwrite=True)
    assert session.get(SERVICE).ok


def test_no_token_goes_to_another_host(
    cave_responses: CaveResponses, session: requests.Session
) -> None:
    cave_responses.protect(SERVICE, status=302, headers={"Location": FOREIGN})
    cave_responses.mock.get(FOREIGN, body="not CAVE")
    TokenStore().save(cave_responses.token)
    assert session.get(SERVICE).text == "not CAVE"
    cave_responses.assert_no_token_elsewhere()


def test_an_unregistered_address_is_not_reached(cave_responses: CaveResponses) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.get(FOREIGN)
    cave_responses.assert_no_token_elsewhere()
    with pytest.raises(requests.ConnectionError):
        requests.get(FOREIGN, headers=bearer(cave_responses.token))
    with pytest.raises(AssertionError, match="in the header Authorization") as caught:
        cave_responses.assert_no_token_elsewhere()
    assert cave_responses.token not in str(caught.value)


def test_a_test_without_a_foreign_request_is_refused(
    cave_responses: CaveResponses,
) -> None:
    cave_responses.protect(SERVICE)
    requests.get(SERVICE, headers=bearer(cave_responses.token))
    requests.get(SERVICE)  # and on to the login page, which is CAVE too
    with pytest.raises(AssertionError, match="No request arrived"):
        cave_responses.assert_no_token_elsewhere()


@pytest.mark.parametrize("body", [None, "text {}", b"bytes", iter([b"stream"])])
def test_every_kind_of_body_is_searched(cave_responses: CaveResponses, body: Any) -> None:
    cave_responses.mock.post(FOREIGN)
    own = "a token of another kind"
    if isinstance(body, str):
        body = body.format(own)
    requests.post(FOREIGN, data=body)
    if isinstance(body, str):
        with pytest.raises(AssertionError, match="in the body"):
            cave_responses.assert_no_token_elsewhere(own)
    else:
        cave_responses.assert_no_token_elsewhere(own)
