"""What each refusal of the real middle-auth-client means, and what is advised."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import httpx
import pytest
import requests
import responses

from cave_auth_adapter import (
    CaveAuth,
    CaveAuthError,
    PermissionMissing,
    TermsNotAccepted,
    TokenNotFound,
    TokenRefused,
    TokenStore,
    explain,
    mount,
    raise_for_auth,
)
from cave_auth_adapter.errors import Refusal
from cave_auth_adapter.sandbox import Sandbox

from ..support.doors import Door

DOCUMENT = Path(__file__).parents[2] / "docs" / "refusals.md"
DEAD = "deadbeefdeadbeefdeadbeefdeadbeef"


class Case(NamedTuple):
    """A refusal: how to provoke it, and the error that it raises."""

    path: str
    token: str | None  # "good", "bad", None: none at all
    headers: dict[str, str]
    error: type[CaveAuthError]
    details: dict[str, str]


CASES = {
    "no token": Case("/echo", None, {}, TokenNotFound, {}),
    "invalid token": Case("/echo", "bad", {}, TokenRefused, {}),
    "bad header": Case("/echo", None, {"Authorization": "Basic eDp5"}, TokenRefused, {}),
    "missing terms": Case(
        "/needs-tos", "good", {}, TermsNotAccepted, {"form_url": "/tos/1/accept"}
    ),
    "missing permission": Case(
        "/needs-permission",
        "good",
        {},
        PermissionMissing,
        {"permission": "view", "dataset": "sandbox_restricted"},
    ),
    "missing role": Case(
        "/needs-role",
        "good",
        {},
        PermissionMissing,
        {"role": "dataset_admin", "dataset": "sandbox_restricted"},
    ),
    "missing group": Case(
        "/needs-group", "good", {}, PermissionMissing, {"group": "sandbox_insiders"}
    ),
    "missing privilege": Case(
        "/needs-superadmin", "good", {}, PermissionMissing, {"privilege": "superadmin"}
    ),
    "unknown table": Case("/needs-table/unknown", "good", {}, Refusal, {}),
    "no table": Case("/needs-table", "good", {}, Refusal, {}),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, sandbox: Sandbox) -> Case:
    case = CASES[request.param]
    if case.token == "good":
        TokenStore().save(sandbox.token, sandbox.data_server)
    elif case.token == "bad":
        TokenStore().save("0" * 32, sandbox.data_server)
    return case


def ask(sandbox: Sandbox, case: Case, session: requests.Session, **options: Any) -> Any:
    return session.get(sandbox.data_server + case.path, headers=case.headers, **options)


@pytest.fixture
def auth(sandbox: Sandbox) -> CaveAuth:
    return CaveAuth(hosts=[sandbox.data_server, sandbox.auth_server])


def test_each_refusal_has_its_error(sandbox: Sandbox, case: Case, auth: CaveAuth) -> None:
    response = ask(sandbox, case, mount(requests.Session(), auth))

    with pytest.raises(case.error) as caught:
        raise_for_auth(response)
    error: Any = caught.value
    assert isinstance(caught.value, requests.HTTPError)
    assert error.response is response
    assert error.host == sandbox.data_server.removeprefix("https://")
    for name, value in case.details.items():
        assert value in getattr(error, name)
    if case.token:
        path = TokenStore().path_for(sandbox.data_server)
        assert error.source == f"the file {path}, key 'token'"


def test_each_refusal_is_explained_as_the_page_says(
    sandbox: Sandbox, case: Case, auth: CaveAuth, request: pytest.FixtureRequest
) -> None:
    response = ask(sandbox, case, mount(requests.Session(), auth))
    sentence = explain(response)

    assert sentence is not None
    for real, shown in (
        (str(TokenStore().directory), "~/.cloudvolume/secrets"),
        (sandbox.data_server.removeprefix("https://"), "cave.example.org"),
        (sandbox.auth_server.removeprefix("https://"), "auth.example.org"),
    ):
        sentence = sentence.replace(real, shown)
    row = f"| {request.node.callspec.params['case']} |"
    [documented] = [line for line in DOCUMENT.read_text().splitlines() if line.startswith(row)]
    answer, _, said = (cell.strip() for cell in documented.split("|")[2:5])
    assert answer.split()[0] == str(response.status_code)
    assert said == sentence


def by_httpx(url: str, headers: dict[str, str], verify: str) -> str | None:
    answer = httpx.get(url, headers=headers, verify=ssl.create_default_context(cafile=verify))
    return explain(
        status=answer.status_code, headers=answer.headers, body=answer.content, url=answer.url
    )


def by_aiohttp(url: str, headers: dict[str, str], verify: str) -> str | None:
    async def get() -> str | None:
        secure = ssl.create_default_context(cafile=verify)
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, headers=headers, ssl=secure) as answer,
        ):
            return explain(
                status=answer.status,
                headers=answer.headers,
                body=await answer.read(),
                url=answer.url,
            )

    return asyncio.run(get())


@pytest.mark.parametrize("get", [by_httpx, by_aiohttp])
def test_an_answer_to_another_client_is_explained_in_the_same_words(
    sandbox: Sandbox, case: Case, get: Any
) -> None:
    url, verify = sandbox.data_server + case.path, sandbox.ca_bundle
    headers = {"X-Requested-With": "test", **case.headers}
    if case.token:
        headers["Authorization"] = f"Bearer {TokenStore().load(sandbox.data_server)}"
    sentence = get(url, headers, verify)

    by_requests = explain(requests.get(url, headers=headers, verify=verify))
    assert by_requests is not None
    # Only a response of requests says how the request was made.
    assert sentence == by_requests.replace("It held a password, from auth=, the URL or netrc. ", "")
    assert get(f"{sandbox.data_server}/public", {}, verify) is None


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("token=", "give a new one there, or leave token= out"),
        ("token_file=", "save a new one there, or leave token_file= out"),
        ("CAVE_TOKEN", "set a new one, or unset CAVE_TOKEN"),
        ("CAVE_TOKEN_FILE", "save a new one there, or unset CAVE_TOKEN_FILE"),
    ],
)
def test_the_advice_is_to_remove_a_token_that_outranks_a_login(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, remedy: str
) -> None:
    file = tmp_path / "named.json"
    file.write_text(json.dumps({"token": DEAD}))
    file.chmod(0o600)
    if kind.isupper():
        monkeypatch.setenv(kind, DEAD if kind == "CAVE_TOKEN" else str(file))
    given: Any = {"token=": {"token": DEAD}, "token_file=": {"token_file": file}}.get(kind, {})
    session = mount(requests.Session(), CaveAuth(**given, hosts=[sandbox.data_server]))

    sentence = explain(session.get(f"{sandbox.data_server}/echo"))

    assert sentence is not None
    assert f"A login does not replace it: {remedy} and log in" in sentence


def test_raise_errors_raises_through_each_door(sandbox: Sandbox, case: Case, door: Door) -> None:
    hosts = [sandbox.data_server, sandbox.auth_server]
    session = door(CaveAuth(hosts=hosts, raise_errors=True))
    with pytest.raises(case.error):
        ask(sandbox, case, session)


def test_one_warning_per_host_and_cause(
    sandbox: Sandbox, case: Case, door: Door, auth: CaveAuth, caplog: pytest.LogCaptureFixture
) -> None:
    session = door(auth)
    for _ in range(3):
        ask(sandbox, case, session)

    warnings = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert sandbox.token not in warnings[0]


@pytest.mark.parametrize("is_trusted", [True, False])
def test_the_service_that_redirected_to_the_login_is_named(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, is_trusted: bool
) -> None:
    service, auth_server = (
        server.removeprefix("https://") for server in (sandbox.data_server, sandbox.auth_server)
    )
    if is_trusted:
        monkeypatch.setenv("CAVE_AUTH_HOSTS", service)
    response = requests.get(f"{sandbox.data_server}/echo")

    assert response.status_code == 200
    assert response.url.startswith(sandbox.identity_provider)
    with pytest.raises(TokenNotFound) as caught:
        raise_for_auth(response)
    assert caught.value.host == service
    trust = f"cave-auth trust {service} --server {auth_server}"
    login = f"cave-auth login {auth_server}, then {trust}"
    assert str(caught.value).endswith(f": {login if is_trusted else trust}")
    assert ("is not trusted" in str(caught.value)) == (not is_trusted)
    assert sandbox.identity_provider.removeprefix("https://") not in str(caught.value)


def test_a_login_redirect_is_recognised(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAVE_AUTH_HOSTS", sandbox.data_server)
    cookie = {"middle_auth_token": "0" * 32}  # a bad token in the cookie alone
    response = requests.get(f"{sandbox.data_server}/echo", cookies=cookie, allow_redirects=False)

    assert response.status_code == 302
    assert "refuses the token that your code sent" in (explain(response) or "")
    without = requests.get(f"{sandbox.data_server}/echo", allow_redirects=False)
    assert "the request had none" in (explain(without) or "")


def test_a_redirect_to_the_terms_form_is_recognised(sandbox: Sandbox) -> None:
    cookie = {"middle_auth_token": sandbox.token}
    url = f"{sandbox.data_server}/needs-tos"
    response = requests.get(url, cookies=cookie, allow_redirects=False)

    assert response.status_code == 302
    with pytest.raises(TermsNotAccepted, match=r"/tos/1/accept"):
        raise_for_auth(response)


@pytest.mark.parametrize("has_token", [True, False])
def test_a_form_on_an_untrusted_host_comes_with_a_caution(
    sandbox: Sandbox, auth: CaveAuth, has_token: bool
) -> None:
    TokenStore().save(sandbox.token, sandbox.data_server)
    if has_token:
        TokenStore().save(sandbox.token, sandbox.auth_server)
    sentence = explain(ask(sandbox, CASES["missing terms"], mount(requests.Session(), auth)))

    assert sentence is not None
    assert ("the server chose this address" in sentence) == (not has_token)
    settings = f"accept?redirect={sandbox.auth_server}/sticky_auth/settings/tokens"
    assert sentence.endswith(settings if has_token else "accept")


def test_a_stream_is_left_unread(sandbox: Sandbox, auth: CaveAuth) -> None:
    TokenStore().save(sandbox.token, sandbox.data_server)
    session = mount(requests.Session(), auth)
    response = ask(sandbox, CASES["missing permission"], session, stream=True)

    assert b"missing_permission" in response.raw.read()


BAD_ANSWERS: dict[str, dict[str, Any]] = {
    "no body": {"status": 401},
    "a long body": {"status": 401, "body": b"x" * 10_000_000},
    "a list": {"status": 401, "json": ["no_token"]},
    "nested data": {"status": 403, "json": {"error": "missing_tos", "data": [1]}},
    "a number as error": {"status": 403, "json": {"error": 5, "data": {}}},
    "deep JSON": {"status": 403, "body": "[" * 100_000},
    "another scheme": {"status": 401, "headers": {"WWW-Authenticate": 'Basic realm="x"'}},
    "a broken challenge": {"status": 401, "headers": {"WWW-Authenticate": 'Bearer error="'}},
    "a foreign login page": {
        "status": 302,
        "headers": {"Location": "https://evil.example/auth/api/v1/authorize?redirect=x"},
    },
    "terminal escapes": {"status": 403, "body": "Requires membership of group: \x1b[2J"},
}


@pytest.mark.parametrize("door", ["auth", "mount"], indirect=True)
@pytest.mark.parametrize("answer", BAD_ANSWERS)
def test_a_malformed_answer_reaches_the_caller_unchanged(
    door: Door, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    url, token = "https://cave.example.org/x", "0123456789abcdef"
    with responses.RequestsMock() as web:
        web.get(url, **BAD_ANSWERS[answer])
        session = door(CaveAuth(token, hosts=["cave.example.org"]))
        response = session.get(url, allow_redirects=False)

        assert response.status_code == BAD_ANSWERS[answer]["status"]
        assert len(web.calls) == 1
    explain(response)
    assert token not in caplog.text
    assert "\x1b" not in caplog.text


def test_a_redirect_loop_ends_as_it_does_without_us(door: Door) -> None:
    url = "https://cave.example.org/x"
    with responses.RequestsMock() as web:
        web.get(url, status=302, headers={"Location": url})
        session = door(CaveAuth("0123456789abcdef", hosts=["cave.example.org"]))
        with pytest.raises(requests.TooManyRedirects):
            session.get(url)
        assert len(web.calls) == 31


def test_a_broken_location_raises_as_without_us(door: Door) -> None:
    url = "https://cave.example.org/x"
    with responses.RequestsMock() as web:
        web.get(url, status=302, headers={"Location": "https://[::1"})
        with pytest.raises(ValueError, match="IPv6") as without_us:
            requests.get(url)
        session = door(CaveAuth("0123456789abcdef", hosts=["cave.example.org"]))
        with pytest.raises(ValueError, match="IPv6") as with_us:
            session.get(url)

    assert type(with_us.value) is type(without_us.value)
