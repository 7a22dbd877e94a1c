"""The sandbox's auth and info services answer as measured at a real one (middle_auth 2.30.3)."""

from __future__ import annotations

import json
import re
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest
import requests

from cave_auth_adapter.sandbox import Sandbox

from .conftest import bearer, in_api, sticky

HEX = re.compile(r"[0-9a-f]{32}")


KEY = {"id", "user_id", "token", "description", "created", "updated", "last_used"}
PROFILE = {"id", "service_account", "name", "created", "pi", "affiliations"}
FULL = PROFILE | {"gdpr_consent", "admin_datasets", "admin", "email"}
CACHE = {"id", "parent_id", "service_account", "name", "email", "admin", "pi", "affiliations"} | {
    *("groups", "permissions", "permissions_v2", "permissions_v2_ignore_tos", "missing_tos"),
    *("datasets_admin", "groups_admin"),
}


class Call(NamedTuple):
    """A call of the API, by an admin who has one key, and the answer."""

    path: str
    status: int
    answer: Any  # the fields of an object or of the first of a list, a pattern, or the value
    method: str = "GET"
    sent: Any = None


ACCEPT = "/sticky_auth/api/v1/tos/1/accept"
CALLS = (
    Call("user/me", 200, FULL),
    Call("user/cache", 200, CACHE),
    Call("user/token", 200, KEY),
    Call("user/token", 200, HEX, "POST", {"description": "a laptop"}),
    Call("user/token", 500, None, "POST", {"description": "x" * 121}),
    Call("create_token", 200, HEX),
    Call("user/token/{id}", 200, "success", "DELETE"),
    Call("user/token/99999", 404, None, "DELETE"),
    Call("user/token/{token}/ttl", 200, -1),
    Call("user/token/0000/ttl", 404, {"error", "message"}),
    Call("refresh_token", 200, HEX),
    Call("logout", 422, None),
    Call("logout_all", 200, "success"),
    Call("user?id=1", 200, FULL),
    Call("user?id=", 200, {"pages", "items"}),
    Call("username?id=1", 200, {"id", "name"}),
    Call("group/1/user", 200, {"id", "name", "admin"}),
    Call("/sticky_auth/settings/tokens", 200, None),
    Call("tos", 200, {"id", "name", "text"}),
    Call("user/missing", 200, {"dataset_id", "dataset_name", "tos_id", "tos_name"}),
    Call(ACCEPT, 500, None, "POST"),
    Call(f"{ACCEPT}?client=ng", 200, None, "POST"),
    Call(f"{ACCEPT}?redirect=/sticky_auth/settings/tokens", 302, None, "POST"),
    Call("my_permissions", 200, CACHE),
    Call("service/pychunkedgraph/table/sandbox/dataset", 200, "sandbox"),
    Call("service/pychunkedgraph/table/unknown/dataset", 404, None),
    Call("table/sandbox_public/has_public", 200, True),
    Call("table/sandbox_public/root/1/is_public", 200, False),
    Call("service_account", 200, PROFILE),
    Call("service_account/2", 200, FULL | {"parent_id", "parent"}),
)


@pytest.fixture
def admin(own_sandbox: Sandbox) -> str:
    """The only key of a user with every permission who has yet to accept terms."""
    user = own_sandbox.create_user(
        "Almighty User", admin=True, groups=["default"], permissions={"sandbox_terms": ["view"]}
    )
    return own_sandbox.create_token(user)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_each_call_answers_as_measured(api: Any, admin: str, call: Call) -> None:
    [key] = api("GET", "user/token", admin).json()
    answer = api(call.method, call.path.format(**key), admin, json=call.sent)
    assert answer.status_code == call.status
    if isinstance(call.answer, set):
        told = answer.json()
        assert set(told[0] if isinstance(told, list) else told) == call.answer
    elif isinstance(call.answer, re.Pattern):
        assert call.answer.fullmatch(answer.json())
    elif call.answer is not None:
        assert answer.json() == call.answer


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_every_call_wants_a_token(
    own_sandbox: Sandbox, session: requests.Session, call: Call
) -> None:
    before = own_sandbox.issued_tokens()
    url = own_sandbox.auth_server + in_api(call.path.format(id=1, token=own_sandbox.token))
    program = {"X-Requested-With": "x"}
    refused = session.request(call.method, url, headers=program, json=call.sent)
    assert (refused.status_code, refused.json()["error"]) == (401, "no_token")
    assert own_sandbox.issued_tokens() == before


def test_user_me_returns_the_account(own_sandbox: Sandbox, api: Any) -> None:
    me = api("GET", "user/me").json()
    assert me["id"] == own_sandbox.user
    assert me["name"] == "Sandbox User"
    assert me["email"] == "sandbox.user@sandbox.example"
    assert me["admin"] is False
    assert "affiliations" in me


def test_user_cache_returns_the_permissions(own_sandbox: Sandbox, api: Any) -> None:
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
    assert mine["description"] == description.get("description")
    assert api("GET", f"user/token/{key}/ttl", key).json() == -1
    deleted = api("DELETE", f"user/token/{mine['id']}", login)
    assert deleted.json() == "success"
    assert api("GET", "user/me", key).status_code == 401
    assert api("DELETE", f"user/token/{mine['id']}", login).status_code == 404


def test_a_login_token_has_a_ttl(own_sandbox: Sandbox, api: Any) -> None:
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


def test_logout_ends_a_login_token(own_sandbox: Sandbox, api: Any) -> None:
    login = own_sandbox.create_token(ttl=60)
    assert api("GET", "logout", login).json() == "success"
    assert api("GET", "user/me", login).status_code == 401
    assert api("GET", "logout").status_code == 422
    assert api("GET", "user/me").status_code == 200


@pytest.mark.parametrize("length", [120, 121])
def test_a_description_that_is_too_long_leaves_a_key(
    own_sandbox: Sandbox, api: Any, length: int
) -> None:
    own = own_sandbox.create_token(own_sandbox.create_user("Talkative User"), ttl=60)
    before = set(own_sandbox.issued_tokens())
    answer = api("POST", "user/token", own, json={"description": "x" * length})
    [key] = set(own_sandbox.issued_tokens()) - before
    assert api("GET", "user/me", key).status_code == 200
    listed = [each["token"] for each in api("GET", "user/token", own).json()]
    assert (answer.status_code, listed) == ((200, [key]) if length == 120 else (500, []))


def test_logout_all_keeps_api_keys(own_sandbox: Sandbox, api: Any) -> None:
    user = own_sandbox.create_user("Busy User")
    logins = [own_sandbox.create_token(user, ttl=60) for _ in range(2)]
    key = own_sandbox.create_token(user)
    assert api("GET", "logout_all", key).json() == "success"
    assert [api("GET", "user/me", each).status_code for each in (*logins, key)] == [401, 401, 200]


def test_users_are_found_by_id(own_sandbox: Sandbox, api: Any) -> None:
    admin = own_sandbox.create_token(own_sandbox.create_user("Admin User", admin=True))
    ids = f"user?id={own_sandbox.user},99999"
    assert [user["id"] for user in api("GET", ids, admin).json()] == [own_sandbox.user]
    assert api("GET", ids, admin).json()[0]["email"]
    names = api("GET", f"username?id={own_sandbox.user}").json()
    assert names == [{"id": own_sandbox.user, "name": "Sandbox User"}]
    assert "email" not in api("GET", f"user/{own_sandbox.user}").json()
    assert api("GET", "user/99999").status_code == 404


def test_all_users_are_listed_in_pages(own_sandbox: Sandbox, api: Any) -> None:
    admin = own_sandbox.create_token(own_sandbox.create_user("Paging Admin", admin=True))
    first = api("GET", "user?id=&per_page=1", admin).json()
    assert [user["id"] for user in first["items"]] == [own_sandbox.user]
    assert first["pages"] > 1
    assert "email" not in first["items"][0]
    named = api("GET", "user?name=sandbox", admin).json()
    assert [user["name"] for user in named] == ["Sandbox User"]


def test_users_have_dates_and_affiliations(api: Any) -> None:
    me = api("GET", "user/me").json()
    assert me["created"].endswith(" GMT")
    assert parsedate_to_datetime(me["created"])
    assert me["affiliations"] == [[]]


PRIVILEGES: dict[str, Any] = {
    "superadmin": ("service_account/2", {"admin": True}),
    "admin": ("user?id=1", {"groups_admin": ["sandbox"]}),
    "dataset admin": ("dataset/1/admin", {"datasets_admin": ["sandbox"]}),
    "group admin": ("group/2/user", {"groups_admin": ["sandbox"]}),
}


@pytest.mark.parametrize("kind", PRIVILEGES)
def test_privileged_calls_need_the_privilege(own_sandbox: Sandbox, api: Any, kind: str) -> None:
    path, needed = PRIVILEGES[kind]
    method = "POST" if kind == "group admin" else "GET"
    newcomer = {"user_id": own_sandbox.create_user("Newcomer")}
    refused = api(method, path, json=newcomer)
    assert (refused.status_code, refused.text) == (403, f"Requires {kind} privilege.")
    user = own_sandbox.create_user("Privileged User", **needed)
    assert api(method, path, own_sandbox.create_token(user), json=newcomer).status_code == 200


def test_groups_are_listed(own_sandbox: Sandbox, api: Any) -> None:
    leader = own_sandbox.create_user("Leader", groups=["sandbox"], groups_admin=["sandbox"])
    token = own_sandbox.create_token(leader)
    names = {group["id"]: group["name"] for group in api("GET", "group", token).json()}
    assert names[2] == "sandbox"
    assert api("GET", "group/2", token).json() == {"id": 2, "name": "sandbox"}
    members = {each["name"]: each["admin"] for each in api("GET", "group/2/user", token).json()}
    assert (members["Sandbox User"], members["Leader"]) == (False, True)
    assert api("GET", "group/99/user", token).json() == []
    assert api("GET", "user/cache", token).json()["groups_admin"] == ["sandbox"]
    again = api("POST", "group/2/user", token, json={"user_id": leader})
    assert (again.status_code, again.text) == (422, "User already belongs to group.")
    assert api("POST", "group/2/user", token, json={}).status_code == 400


def test_the_terms_of_a_service_account_are_those_of_its_parent(
    own_sandbox: Sandbox, api: Any, get: Any
) -> None:
    parent = own_sandbox.create_user("Parent", accepted_tos=[1])
    permissions = {"sandbox_terms": ["view"]}
    robot = own_sandbox.create_user(
        "Robot", parent=parent, permissions=permissions, groups=["robots"]
    )
    token = own_sandbox.create_token(robot)
    cache = api("GET", "user/cache", token).json()
    assert (cache["service_account"], cache["parent_id"]) == (True, parent)
    assert api("GET", "user/missing", token).json() == []
    assert get("/needs-tos", **bearer(token)).status_code == 200
    admin = own_sandbox.create_token(own_sandbox.create_user("Owner", admin=True))
    assert robot in [each["id"] for each in api("GET", "service_account", admin).json()]
    told = api("GET", f"service_account/{robot}", admin).json()
    assert told["parent"]["id"] == parent
    number = len(api("GET", "group", admin).json())
    programs = api("GET", f"group/{number}/service_account", admin).json()
    assert programs == [{"id": robot, "name": "Robot"}]
    assert api("GET", f"service_account/{parent}", admin).status_code == 404


def test_terms_are_listed_and_accepted(own_sandbox: Sandbox, api: Any) -> None:
    [terms] = api("GET", "tos").json()
    assert set(terms) == {"id", "name", "text"}
    assert (terms["id"], terms["name"]) == (1, "Sandbox Terms of Service")
    assert api("GET", "user/missing").json() == [
        {
            "dataset_id": 2,
            "dataset_name": "sandbox_terms",
            "tos_id": 1,
            "tos_name": "Sandbox Terms of Service",
        }
    ]
    assert api("GET", "tos/1").status_code == 403
    admin = own_sandbox.create_token(own_sandbox.create_user("Notary", admin=True))
    assert api("GET", "tos/1", admin).json() == terms
    assert api("GET", "tos/2", admin).status_code == 404


def test_my_permissions_are_listed(own_sandbox: Sandbox, api: Any) -> None:
    assert api("GET", "my_permissions").json() == api("GET", "user/cache").json()


def test_calls_of_other_services_are_answered(own_sandbox: Sandbox, api: Any) -> None:
    asked = "service/{}/table/{}/dataset"
    assert api("GET", asked.format("pychunkedgraph", "sandbox")).json() == "sandbox"
    assert api("GET", asked.format("datastack", "minisandbox_terms")).json() == "sandbox_terms"
    assert api("GET", asked.format("datastack", "sandbox")).status_code == 404
    public, hidden = own_sandbox.roots
    assert api("GET", "table/sandbox/has_public").json() is False
    assert api("GET", "table/sandbox_public/has_public").json() is True
    assert api("GET", "table/sandbox_public/get_public_roots").json() == [public]
    for root in own_sandbox.roots:
        is_public = api("GET", f"table/sandbox_public/root/{root}/is_public").json()
        assert is_public is (root == public)
    all_public = "table/sandbox_public/root_all_public"
    assert api("POST", all_public, json=[public]).json() is True
    assert api("POST", all_public, json=[public, hidden]).json() is False
    nothing = api("POST", all_public, json=[])
    assert (nothing.status_code, nothing.json()["error"]) == (400, "missing_root_ids")
    assert api("GET", f"user/{own_sandbox.user}/permissions").status_code == 403


def test_the_tokens_page_offers_a_secret_file(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    page = session.get(sticky(own_sandbox) + "/settings/tokens", headers=bearer(own_sandbox.token))
    server = own_sandbox.auth_server.removeprefix("https://")
    [(name, content)] = re.findall(r"download='([^']*)' href='data:application/json,([^']*)'",
                                   page.text)  # fmt: skip
    assert name == f"{server}_auth-cave-secret.json"
    assert json.loads(unquote(content)) == {
        "token": own_sandbox.token,
        "description": "unknown",
        "middle_auth_url": f"{server}/auth",
    }


def test_the_info_service_answers(own_sandbox: Sandbox, session: requests.Session) -> None:
    base = own_sandbox.auth_server + "/info"
    headers = bearer(own_sandbox.token)
    names = session.get(base + "/api/v2/datastacks", headers=headers).json()
    open_now = [own_sandbox.datastack, own_sandbox.datastack_middleauth]
    assert names == [*open_now, own_sandbox.datastack_terms]
    for name in open_now:
        full = session.get(f"{base}/api/v2/datastack/full/{name}", headers=headers).json()
        assert full["local_server"] == own_sandbox.data_server
        assert full["aligned_volume"]["name"]
        assert full["segmentation_source"].startswith("graphene://" + own_sandbox.data_server)
    unknown = session.get(base + "/api/v2/datastack/full/unknown", headers=headers)
    assert (unknown.status_code, unknown.json()["error"]) == (400, "invalid_table_id")
    refused = session.get(base + "/api/v2/datastacks", headers={"X-Requested-With": "x"})
    assert refused.status_code == 401
    assert json.loads(session.get(base + "/version").text)


def test_the_info_service_asks_for_terms_in_full_only(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    base = f"{own_sandbox.auth_server}/info/api/v2/datastack"
    headers = bearer(own_sandbox.token)
    brief = session.get(f"{base}/{own_sandbox.datastack_terms}", headers=headers)
    assert brief.status_code == 200
    assert brief.json()["local_server"] == own_sandbox.data_server
    full = session.get(f"{base}/full/{own_sandbox.datastack_terms}", headers=headers)
    assert (full.status_code, full.json()["error"]) == (403, "missing_tos")


def test_the_info_service_names_what_one_may_view(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    url = own_sandbox.auth_server + "/info/api/v2/datastacks"
    outsider = own_sandbox.create_token(own_sandbox.create_user("Outsider"))
    assert session.get(url, headers=bearer(outsider)).json() == []
