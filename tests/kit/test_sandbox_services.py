"""The sandbox answers as the measured auth service and its clients do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
import requests

from cave_auth_adapter.sandbox import Sandbox

HEX = re.compile(r"[0-9a-f]{32}")


@pytest.fixture(scope="module")
def own_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def session(own_sandbox: Sandbox) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = own_sandbox.ca_bundle
        yield session


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def realm(sandbox: Sandbox) -> str:
    return f"{sandbox.auth_server}/sticky_auth/api/v1/authorize"


@pytest.fixture
def get(own_sandbox: Sandbox, session: requests.Session) -> Any:
    def get(path: str, **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return session.get(own_sandbox.data_server + path, headers=named, allow_redirects=False)

    return get


@pytest.fixture
def api(own_sandbox: Sandbox, session: requests.Session) -> Any:
    def api(method: str, path: str, token: str | None = None, **options: Any) -> requests.Response:
        url = f"{own_sandbox.auth_server}/auth/api/v1/{path}"
        headers = bearer(token or own_sandbox.token)
        return session.request(method, url, headers=headers, allow_redirects=False, **options)

    return api


# --- What a protected service answers -------------------------------------------------------


def test_no_token_is_sent_to_the_login_page(own_sandbox: Sandbox, get: Any) -> None:
    response = get("/echo?a=1&b=2")
    assert response.status_code == 302
    asked = quote(f"{own_sandbox.data_server}/echo?a=1&b=2")
    assert response.headers["Location"] == f"{realm(own_sandbox)}?redirect={asked}"


def test_the_login_page_is_html_with_status_200(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    response = session.get(own_sandbox.data_server + "/echo")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")
    assert "Log in as Sandbox User" in response.text
    assert "Sandbox Service" not in response.text


@pytest.mark.parametrize("header", [{"X-Requested-With": "x"}, {"Origin": "https://a.example"}])
def test_no_token_in_a_program_is_refused(
    own_sandbox: Sandbox, get: Any, header: dict[str, str]
) -> None:
    response = get("/echo", **header)
    assert response.status_code == 401
    assert response.json()["error"] == "no_token"
    assert response.headers["WWW-Authenticate"] == f'Bearer realm="{realm(own_sandbox)}"'


@pytest.mark.parametrize("path", ["/echo", "/segmentation/table/sandbox/info"])
def test_a_bad_token_is_refused(own_sandbox: Sandbox, get: Any, path: str) -> None:
    response = get(path, **bearer("0" * 32))
    assert response.status_code == 401
    assert response.json()["error"] == "invalid_token"
    assert response.headers["WWW-Authenticate"] == (
        f'Bearer realm="{realm(own_sandbox)}", error="invalid_token", '
        'error_description="Invalid/Expired Token"'
    )


def test_an_expired_token_is_refused(own_sandbox: Sandbox, get: Any) -> None:
    assert get("/echo", **bearer(own_sandbox.create_token(ttl=0))).status_code == 401


def test_a_bad_token_in_the_cookie_is_sent_to_the_login_page(get: Any) -> None:
    response = get("/echo", Cookie="middle_auth_token=bad")
    assert response.status_code == 302
    assert "/sticky_auth/api/v1/authorize" in response.headers["Location"]


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "bearer abc", "Token x"])
def test_another_scheme_is_a_bad_request(get: Any, value: str) -> None:
    response = get("/echo", Authorization=value)
    assert response.status_code == 400
    assert response.json()["error"] == "bad_auth_header"


def test_a_good_token_passes_in_header_or_cookie(own_sandbox: Sandbox, get: Any) -> None:
    token = own_sandbox.token
    assert get("/echo", **bearer(token)).json()["user_id"] == own_sandbox.user
    assert get("/echo", Cookie=f"middle_auth_token={token}").json()["user_id"] == own_sandbox.user


def test_the_header_outranks_the_cookie(own_sandbox: Sandbox, get: Any) -> None:
    good = f"middle_auth_token={own_sandbox.token}"
    assert get("/echo", Cookie=good, **bearer("0" * 32)).status_code == 401
    bad = "middle_auth_token=bad"
    assert get("/echo", Cookie=bad, **bearer(own_sandbox.token)).status_code == 200


def test_missing_permission(own_sandbox: Sandbox, get: Any) -> None:
    response = get("/needs-permission", **bearer(own_sandbox.token))
    assert response.status_code == 403
    assert response.json()["error"] == "missing_permission"
    assert response.json()["data"] == {
        "required_permission": "view",
        "auth_dataset": "sandbox_restricted",
    }


def test_missing_terms_of_service(own_sandbox: Sandbox, get: Any) -> None:
    response = get("/needs-tos", **bearer(own_sandbox.token))
    assert response.status_code == 403
    assert response.json()["error"] == "missing_tos"
    assert response.json()["data"] == {
        "tos_id": 1,
        "tos_name": "Sandbox Terms of Service",
        "tos_form_url": f"{own_sandbox.auth_server}/sticky_auth/api/v1/tos/1/accept",
    }


def test_terms_can_be_accepted(own_sandbox: Sandbox, session: requests.Session, get: Any) -> None:
    token = own_sandbox.create_token(
        own_sandbox.create_user("Careful User", permissions={"sandbox_terms": ["view"]})
    )
    form = get("/needs-tos", **bearer(token)).json()["data"]["tos_form_url"]
    assert "<form method=post>" in session.get(form, headers=bearer(token)).text
    assert "Thank you" in session.post(form, headers=bearer(token)).text
    assert get("/needs-tos", **bearer(token)).status_code == 200
    assert "already" in session.get(form, headers=bearer(token)).text


def test_missing_group_is_plain_text_however_often(own_sandbox: Sandbox, get: Any) -> None:
    for _ in range(25):  # middle_auth_client's default limit of 20 would answer 500
        response = get("/needs-group", **bearer(own_sandbox.token))
        assert response.status_code == 403
        assert response.text == "Requires membership of group: sandbox_insiders"


def test_a_user_with_everything_passes(own_sandbox: Sandbox, get: Any) -> None:
    user = own_sandbox.create_user(
        "Trusted User",
        groups=["sandbox_insiders"],
        permissions={"sandbox_restricted": ["view"], "sandbox_terms": ["view"]},
        accepted_tos=[1],
    )
    token = own_sandbox.create_token(user)
    for path in ("/needs-permission", "/needs-tos", "/needs-group"):
        assert get(path, **bearer(token)).json()["user_id"] == user


def test_options_passes(own_sandbox: Sandbox, session: requests.Session) -> None:
    response = session.options(own_sandbox.data_server + "/echo")
    assert response.status_code == 200
    assert response.json()["user_id"] is None


def test_a_token_in_the_query_is_moved_into_a_cookie(own_sandbox: Sandbox, get: Any) -> None:
    response = get(f"/echo?a=1&middle_auth_token={own_sandbox.token}")
    assert response.status_code == 302
    assert response.headers["Location"] == f"{own_sandbox.data_server}/echo?a=1"
    assert own_sandbox.token in response.headers["Set-Cookie"]


def test_services_remember_a_token_that_the_auth_service_forgot(
    own_sandbox: Sandbox, get: Any, api: Any
) -> None:
    token = own_sandbox.create_token()
    assert get("/echo", **bearer(token)).status_code == 200
    [key] = [key for key in api("GET", "user/token").json() if key["token"] == token]
    api("DELETE", f"user/token/{key['id']}")
    assert api("GET", "user/me", token).status_code == 401
    assert get("/echo", **bearer(token)).status_code == 200


def test_cache_seconds_is_how_long() -> None:
    with Sandbox(cache_seconds=0) as sandbox, requests.Session() as session:
        session.trust_env = False
        session.verify = sandbox.ca_bundle
        token = sandbox.create_token(ttl=60)
        headers = bearer(token)
        assert session.get(sandbox.data_server + "/echo", headers=headers).status_code == 200
        session.get(sandbox.auth_server + "/auth/api/v1/logout", headers=headers)
        assert session.get(sandbox.data_server + "/echo", headers=headers).status_code == 401


def test_revoke_ends_a_token_everywhere(own_sandbox: Sandbox, get: Any, api: Any) -> None:
    token = own_sandbox.create_token()
    assert get("/echo", **bearer(token)).status_code == 200
    own_sandbox.revoke(token)
    assert get("/echo", **bearer(token)).status_code == 401
    assert api("GET", "user/me", token).status_code == 401


# --- The auth service's own API -------------------------------------------------------------


def test_user_me(own_sandbox: Sandbox, api: Any) -> None:
    me = api("GET", "user/me").json()
    assert me["id"] == own_sandbox.user
    assert me["name"] == "Sandbox User"
    assert me["email"] == "sandbox.user@sandbox.example"
    assert me["admin"] is False
    assert "affiliations" in me


def test_user_cache(own_sandbox: Sandbox, api: Any) -> None:
    cache = api("GET", "user/cache").json()
    assert cache["groups"] == ["default", "sandbox"]
    assert cache["permissions_v2"] == {"sandbox": ["view", "edit"]}
    assert set(cache["permissions_v2_ignore_tos"]) == {"sandbox", "sandbox_terms"}
    assert cache["permissions"] == {"sandbox": 2}
    assert [tos["dataset_name"] for tos in cache["missing_tos"]] == ["sandbox_terms"]
    assert cache["datasets_admin"] == []


def test_the_auth_service_refuses_as_the_others_do(
    own_sandbox: Sandbox, session: requests.Session, api: Any
) -> None:
    assert api("GET", "user/me", "0" * 32).json()["error"] == "invalid_token"
    url = own_sandbox.auth_server + "/auth/api/v1/user/me"
    response = session.get(url, headers={"X-Requested-With": "x"})
    assert (response.status_code, response.json()["error"]) == (401, "no_token")
    assert session.get(url, allow_redirects=False).status_code == 302


@pytest.mark.parametrize(("method", "path"), [("POST", "user/token"), ("GET", "create_token")])
def test_api_keys_are_made_listed_and_deleted(
    own_sandbox: Sandbox, api: Any, method: str, path: str
) -> None:
    login = own_sandbox.create_token(ttl=60)
    description = {"description": "a laptop"} if method == "POST" else {}
    key = api(method, path, login, json=description).json()
    assert HEX.fullmatch(key)
    listed = api("GET", "user/token", login).json()
    assert login not in {each["token"] for each in listed}
    [mine] = [each for each in listed if each["token"] == key]
    assert set(mine) == {
        "id", "user_id", "token", "description", "created", "updated", "last_used",
    }  # fmt: skip
    assert mine["description"] == description.get("description")
    assert api("GET", f"user/token/{key}/ttl", key).json() == -1
    deleted = api("DELETE", f"user/token/{mine['id']}", login)
    assert deleted.json() == "success"
    assert api("GET", "user/me", key).status_code == 401
    assert api("DELETE", f"user/token/{mine['id']}", login).status_code == 404


def test_ttl_of_a_login_token(own_sandbox: Sandbox, api: Any) -> None:
    token = own_sandbox.create_token(ttl=604800)
    assert 604790 <= api("GET", f"user/token/{token}/ttl", token).json() <= 604800
    stranger = own_sandbox.create_token(own_sandbox.create_user("Curious User"))
    assert api("GET", f"user/token/{token}/ttl", stranger).status_code == 404


def test_refresh_token_replaces_the_only_key(own_sandbox: Sandbox, api: Any) -> None:
    old = own_sandbox.create_token(own_sandbox.create_user("Refreshed User"))
    new = api("GET", "refresh_token", old).json()
    assert HEX.fullmatch(new)
    assert api("GET", "user/me", old).status_code == 401
    api("GET", "create_token", new)
    assert api("GET", "refresh_token", new).status_code == 400


def test_logout(own_sandbox: Sandbox, api: Any) -> None:
    login = own_sandbox.create_token(ttl=60)
    assert api("GET", "logout", login).json() == "success"
    assert api("GET", "user/me", login).status_code == 401
    assert api("GET", "logout").status_code == 422
    assert api("GET", "user/me").status_code == 200


def test_users_by_id(own_sandbox: Sandbox, api: Any) -> None:
    admin = own_sandbox.create_token(own_sandbox.create_user("Admin User", admin=True))
    ids = f"user?id={own_sandbox.user},99999"
    assert api("GET", ids).status_code == 403
    assert [user["id"] for user in api("GET", ids, admin).json()] == [own_sandbox.user]
    names = api("GET", f"username?id={own_sandbox.user}").json()
    assert names == [{"id": own_sandbox.user, "name": "Sandbox User"}]


def test_users_of_a_group(own_sandbox: Sandbox, api: Any) -> None:
    admin = own_sandbox.create_token(own_sandbox.create_user("Group Admin", admin=True))
    members = api("GET", "group/2/user", admin).json()
    assert [member["name"] for member in members] == ["Sandbox User"]
    assert api("GET", "group/99/user", admin).json() == []


def test_what_other_services_ask(own_sandbox: Sandbox, api: Any) -> None:
    assert api("GET", "service/any/table/sandbox/dataset").json() == "sandbox"
    assert api("GET", "service/any/table/unknown/dataset").status_code == 404
    assert api("GET", "table/sandbox/has_public").json() is False
    assert api("GET", "table/sandbox/root/1/is_public").json() is False
    assert api("POST", "table/sandbox/root_all_public", json=[1]).json() is False
    assert api("GET", f"user/{own_sandbox.user}/permissions").status_code == 403


# --- Logging in through a browser -----------------------------------------------------------


def authorize(sandbox: Sandbox, redirect: str) -> str:
    return f"{realm(sandbox)}?redirect={quote(redirect, safe='')}"


def test_login_brings_a_login_token_back(
    own_sandbox: Sandbox, session: requests.Session, api: Any
) -> None:
    url = authorize(own_sandbox, "http://127.0.0.1:9/cb/nonce?x=1")
    page = session.get(url).text
    assert f"<button name=user value={own_sandbox.user}>Log in as Sandbox User" in page
    answer = session.post(url, data={"user": own_sandbox.user}, allow_redirects=False)
    assert answer.status_code == 302
    target = urlsplit(answer.headers["Location"])
    assert (target.netloc, target.path) == ("127.0.0.1:9", "/cb/nonce")
    query = parse_qs(target.query)
    [token] = query["middle_auth_token"]
    assert query["x"] == ["1"]
    assert query["token"] == [token]
    assert query["middle_auth_url"] == [realm(own_sandbox).split("/", 2)[2].split("/api")[0]]
    assert 604000 < api("GET", f"user/token/{token}/ttl", token).json() <= 604800


def test_a_new_account_chooses_a_name_first(
    own_sandbox: Sandbox, session: requests.Session, api: Any
) -> None:
    page = session.post(authorize(own_sandbox, "http://127.0.0.1:9/cb"), data={"user": "new"})
    assert page.history
    assert "Choose a user name" in page.text
    answer = session.post(page.url, data={"customName": "New User"}, allow_redirects=False)
    [token] = parse_qs(urlsplit(answer.headers["Location"]).query)["token"]
    assert api("GET", "user/me", token).json()["name"] == "New User"


def test_the_login_cookie_stays_at_the_auth_service(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    session.post(realm(own_sandbox), data={"user": own_sandbox.user})
    tokens = session.get(own_sandbox.auth_server + "/sticky_auth/settings/tokens")
    assert own_sandbox.token in tokens.text
    assert session.get(own_sandbox.data_server + "/public").json()["cookies"] == {}


def test_a_browser_that_was_sent_to_the_login_page_comes_back(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    page = session.get(own_sandbox.data_server + "/echo?a=1")
    echo = session.post(page.url, data={"user": own_sandbox.user})
    assert echo.url.startswith(own_sandbox.data_server + "/echo?a=1&middle_auth_url=")
    assert echo.json()["user_id"] == own_sandbox.user


def test_a_program_gets_the_login_address_as_text(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    url = authorize(own_sandbox, "http://127.0.0.1:9/cb")
    text = session.get(url, headers={"X-Requested-With": "x"}).text
    assert unquote(text) == unquote(url)


# --- The info service -----------------------------------------------------------------------


def test_info_service(own_sandbox: Sandbox, session: requests.Session) -> None:
    base = own_sandbox.auth_server + "/info"
    headers = bearer(own_sandbox.token)
    names = session.get(base + "/api/v2/datastacks", headers=headers).json()
    assert names == [own_sandbox.datastack, own_sandbox.datastack_middleauth]
    for name in names:
        full = session.get(f"{base}/api/v2/datastack/full/{name}", headers=headers).json()
        assert full["local_server"] == own_sandbox.data_server
        assert full["aligned_volume"]["name"]
        assert full["segmentation_source"].startswith("graphene://" + own_sandbox.data_server)
    unknown = session.get(base + "/api/v2/datastack/full/unknown", headers=headers)
    assert (unknown.status_code, unknown.json()["error"]) == (400, "invalid_table_id")
    refused = session.get(base + "/api/v2/datastacks", headers={"X-Requested-With": "x"})
    assert refused.status_code == 401
    assert json.loads(session.get(base + "/version").text)
