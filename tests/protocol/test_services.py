"""What a protected service answers: each row was measured at a real one (middle_auth 2.30.3).

The decorators of the real middle-auth-client give the answers; the auth service's own privileges,
and what happens while it is down, are the sandbox's.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
import requests

from cave_auth_adapter.sandbox import Sandbox

from .conftest import bearer, sticky

DEAD = "0" * 32
PROGRAM = {"X-Requested-With": "x"}
GOOD = {"Authorization": "Bearer {good}"}
BARE: dict[str, str] = {}
CHALLENGE = 'Bearer realm="{sticky}/api/v1/authorize"'
INVALID = CHALLENGE + ', error="invalid_token", error_description="Invalid/Expired Token"'
TO_LOGIN = "{sticky}/api/v1/authorize?redirect={asked}"
TO_TERMS = "{sticky}/api/v1/tos/1/accept?redirect={asked}"
GRAPH = "/segmentation/table/sandbox_public/info"
ROOT = "/segmentation/api/v1/table/sandbox_public/node/{root}/leaves"
HIDDEN = "/segmentation/api/v1/table/sandbox_public/node/{hidden}/leaves"


class Row(NamedTuple):
    """A request to the data server, or to another, and the answer.

    :ivar refused: how many such requests came before.
    :ivar down: whether the auth service is.
    """

    path: str
    sent: dict[str, str]
    status: int
    headers: dict[str, str] = {}  # noqa: RUF012  (never changed)
    error: str | None = None  # in JSON
    data: dict[str, Any] | None = None  # in JSON
    text: str | None = None  # where it is no JSON
    method: str = "GET"
    server: str = "data_server"
    refused: int = 0
    down: bool = False


ROWS = {
    "no token": Row("/echo?a=1&b=2", BARE, 302, {"Location": TO_LOGIN}),
    "no token, a program": Row("/echo", PROGRAM, 401, {"WWW-Authenticate": CHALLENGE}, "no_token"),
    "no token, a page": Row(
        "/echo", {"Origin": "https://a.example"}, 401, {"WWW-Authenticate": CHALLENGE}, "no_token"
    ),
    "bad bearer token": Row(
        "/echo",
        {"Authorization": f"Bearer {DEAD}"},
        401,
        {"WWW-Authenticate": INVALID},
        "invalid_token",
    ),
    "expired bearer token": Row(
        "/echo",
        {"Authorization": "Bearer {expired}"},
        401,
        {"WWW-Authenticate": INVALID},
        "invalid_token",
    ),
    "bad bearer token for a table": Row(
        "/segmentation/table/sandbox/info",
        {"Authorization": f"Bearer {DEAD}"},
        401,
        {"WWW-Authenticate": INVALID},
        "invalid_token",
    ),
    "bad token in the cookie alone": Row(
        "/echo", {"Cookie": f"middle_auth_token={DEAD}"}, 302, {"Location": TO_LOGIN}
    ),
    "another scheme": Row("/echo", {"Authorization": "Basic YTpi"}, 400, {}, "bad_auth_header"),
    "small letters": Row("/echo", {"Authorization": "bearer {good}"}, 400, {}, "bad_auth_header"),
    "nothing behind the scheme": Row(
        "/echo", {"Authorization": "Bearer"}, 400, {}, "bad_auth_header"
    ),
    "good token in the header": Row("/echo", GOOD, 200),
    "good token in the cookie": Row("/echo", {"Cookie": "middle_auth_token={good}"}, 200),
    "bad header over good cookie": Row(
        "/echo",
        {"Authorization": f"Bearer {DEAD}", "Cookie": "middle_auth_token={good}"},
        401,
        {},
        "invalid_token",
    ),
    "good header over bad cookie": Row(
        "/echo", {**GOOD, "Cookie": f"middle_auth_token={DEAD}"}, 200
    ),
    "no permission": Row(
        "/needs-permission",
        GOOD,
        403,
        {},
        "missing_permission",
        {"required_permission": "view", "auth_dataset": "sandbox_restricted"},
    ),
    "terms not accepted": Row(
        "/needs-tos",
        GOOD,
        403,
        {},
        "missing_tos",
        {
            "tos_id": 1,
            "tos_name": "Sandbox Terms of Service",
            "tos_form_url": "{sticky}/api/v1/tos/1/accept",
        },
    ),
    "terms not accepted, cookie alone": Row(
        "/needs-tos", {"Cookie": "middle_auth_token={good}"}, 302, {"Location": TO_TERMS}
    ),
    "no role": Row(
        "/needs-role",
        GOOD,
        403,
        {},
        "missing_role",
        {"required_role": "dataset_admin", "auth_dataset": "sandbox_restricted"},
    ),
    "not in the group": Row(
        "/needs-group", GOOD, 403, text="Requires membership of group: sandbox_insiders"
    ),
    "not in the group, the 20th time": Row(
        "/needs-group", GOOD, 403, text="Requires membership of group: sandbox_insiders", refused=19
    ),
    "not in the group, the 21st time": Row("/needs-group", GOOD, 500, refused=20),
    "no superadmin": Row("/needs-superadmin", GOOD, 403, text="Requires superadmin privilege."),
    "no admin": Row(
        "/auth/api/v1/user?id=1",
        GOOD,
        403,
        text="Requires admin privilege.",
        server="auth_server",
    ),
    "no dataset admin": Row(
        "/auth/api/v1/dataset/1/admin",
        GOOD,
        403,
        text="Requires dataset admin privilege.",
        server="auth_server",
    ),
    "no group admin": Row(
        "/auth/api/v1/group/2/user",
        GOOD,
        403,
        text="Requires group admin privilege.",
        method="POST",
        server="auth_server",
    ),
    "unknown table": Row(
        "/needs-table/unknown",
        GOOD,
        400,
        {},
        "invalid_table_id",
        {"table_id": "unknown", "resource_namespace": "pychunkedgraph"},
    ),
    "no table": Row("/needs-table", GOOD, 400, {}, "missing_table_id"),
    "public table, no token": Row(GRAPH, PROGRAM, 200),
    "public table, dead token": Row(GRAPH, {"Authorization": f"Bearer {DEAD}"}, 200),
    "public table, no permission": Row(GRAPH, GOOD, 200),
    "public root, no token": Row(ROOT, PROGRAM, 200),
    "public root, dead token": Row(ROOT, {"Authorization": f"Bearer {DEAD}"}, 200),
    "another root, no token": Row(HIDDEN, PROGRAM, 401, {}, "no_token"),
    "another root, no permission": Row(HIDDEN, GOOD, 403, {}, "missing_permission"),
    "token in the query": Row(
        "/echo?a=1&middle_auth_token={good}",
        BARE,
        302,
        {
            "Location": "{data}/echo?a=1",
            "Set-Cookie": "middle_auth_token={good}; Secure; HttpOnly; Path=/",
        },
    ),
    "token in the query, a program": Row("/echo?middle_auth_token={good}", PROGRAM, 200),
    "the auth service is down": Row("/echo", GOOD, 500, down=True),
    "the auth service is down, a table": Row(
        "/segmentation/table/sandbox/info", GOOD, 500, down=True
    ),
    "the auth service is down, a public table": Row(GRAPH, GOOD, 500, down=True),
    "the auth service is down, the info service": Row(
        "/info/api/v2/datastacks", GOOD, 500, server="auth_server", down=True
    ),
    "OPTIONS": Row("/echo", BARE, 200, method="OPTIONS"),
    "unknown user in common": Row("/needs-common-group/99999", GOOD, 500),
}


@pytest.fixture
def words(own_sandbox: Sandbox) -> dict[str, str]:
    """What the rows leave open."""
    return {
        "sticky": sticky(own_sandbox),
        "data": own_sandbox.data_server,
        "good": own_sandbox.token,
        "expired": own_sandbox.create_token(ttl=0),
        "root": str(own_sandbox.roots[0]),
        "hidden": str(own_sandbox.roots[1]),
    }


@pytest.mark.parametrize("name", ROWS)
def test_each_row_answers_as_measured(
    own_sandbox: Sandbox, session: requests.Session, words: dict[str, str], name: str
) -> None:
    row = ROWS[name]
    url = getattr(own_sandbox, row.server) + row.path.format(**words)
    words["asked"] = quote(url)
    headers = {header: value.format(**words) for header, value in row.sent.items()}
    with own_sandbox.auth_service_down() if row.down else nullcontext():
        for _ in range(row.refused + 1):
            answer = session.request(row.method, url, headers=headers, allow_redirects=False)

    assert answer.status_code == row.status
    for header, value in row.headers.items():
        assert answer.headers[header] == value.format(**words)
    if row.error:
        assert answer.json()["error"] == row.error
    if row.data:
        assert answer.json()["data"] == {
            key: value.format(**words) if isinstance(value, str) else value
            for key, value in row.data.items()
        }
    if row.text:
        assert answer.text == row.text


def test_a_followed_request_ends_at_a_third_host(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    answer = session.get(own_sandbox.data_server + "/echo")
    assert [hop.status_code for hop in answer.history] == [302, 302]
    assert answer.history[1].url.startswith(sticky(own_sandbox) + "/api/v1/authorize")
    assert answer.url.startswith(own_sandbox.identity_provider)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "Log in as Sandbox User" in answer.text
    assert "Sandbox Service" not in answer.text
    assert own_sandbox.requests(own_sandbox.identity_provider)


def test_a_user_with_every_permission_is_accepted(own_sandbox: Sandbox, get: Any) -> None:
    user = own_sandbox.create_user(
        "Trusted User",
        groups=["sandbox_insiders"],
        permissions={"sandbox_restricted": ["view"], "sandbox_terms": ["view"]},
        accepted_tos=[1],
        admin=True,
        datasets_admin=["sandbox_restricted"],
    )
    token = own_sandbox.create_token(user)
    for needed in ("permission", "tos", "group", "role", "superadmin", f"common-group/{user}"):
        assert get(f"/needs-{needed}", **bearer(token)).json()["user_id"] == user


def test_the_21st_refusal_blocks_the_token_for_a_while(own_sandbox: Sandbox, get: Any) -> None:
    for _ in range(2):
        for _ in range(21):
            last = get("/needs-group", **bearer(own_sandbox.token)).status_code
        assert last == 500
        other = own_sandbox.create_token()
        assert get("/needs-group", **bearer(other)).status_code == 403
        own_sandbox.clear_caches()


def test_services_remember_a_token_that_the_auth_service_forgot(
    own_sandbox: Sandbox, get: Any, api: Any
) -> None:
    token = own_sandbox.create_token()
    assert get("/echo", **bearer(token)).status_code == 200
    [key] = [key for key in api("GET", "user/token").json() if key["token"] == token]
    api("DELETE", f"user/token/{key['id']}")
    assert api("GET", "user/me", token).status_code == 401
    assert get("/echo", **bearer(token)).status_code == 200
    own_sandbox.clear_caches()
    assert get("/echo", **bearer(token)).status_code == 401


def test_services_remember_that_nobody_has_a_token(own_sandbox: Sandbox, get: Any) -> None:
    token = "c0ffee" + DEAD[6:]
    assert get("/echo", **bearer(token)).status_code == 401
    assert own_sandbox.create_token(value=token) == token
    assert get("/echo", **bearer(token)).status_code == 401
    own_sandbox.clear_caches()
    assert get("/echo", **bearer(token)).status_code == 200


def test_cache_seconds_sets_how_long() -> None:
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


def test_the_auth_service_comes_back(own_sandbox: Sandbox, get: Any, api: Any) -> None:
    with own_sandbox.auth_service_down():
        assert api("GET", "user/me").status_code == 503
    assert get("/echo", **bearer(own_sandbox.token)).status_code == 200
    assert api("GET", "user/me").status_code == 200


SERVICES = {
    "state service": ("auth_server", "/nglstate/api/v1/1"),
    "materialization": ("data_server", "/materialize/api/v3/datastack/minisandbox/versions"),
    "skeletons": ("data_server", "/skeletoncache/api/versions"),
    "level 2 cache": ("data_server", "/l2cache/api/v1/table_mapping"),
}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_requires_a_token(
    own_sandbox: Sandbox, session: requests.Session, name: str
) -> None:
    server, path = SERVICES[name]
    answer = session.get(getattr(own_sandbox, server) + path, headers=PROGRAM)
    assert (answer.status_code, answer.json()["error"]) == (401, "no_token")


def test_a_table_of_annotations_waits_for_terms(own_sandbox: Sandbox, get: Any) -> None:
    path = f"/materialize/api/v3/datastack/{own_sandbox.datastack_terms}/versions"
    answer = get(path, **bearer(own_sandbox.token))
    assert (answer.status_code, answer.json()["error"]) == (403, "missing_tos")


def test_an_unsupported_query_is_an_error(own_sandbox: Sandbox, session: requests.Session) -> None:
    url = f"{own_sandbox.data_server}/materialize/api/v3/datastack/minisandbox/query"

    def ask(**query: Any) -> tuple[int, str]:
        answer = session.post(url, json=query, headers=bearer(own_sandbox.token))
        return answer.status_code, answer.text

    assert ask(table="other") == (404, "Table not found")
    spatial = {"table": "cells", "filter_spatial_dict": {}}
    assert ask(**spatial) == (501, "The sandbox has no filter_spatial_dict")
    column = {"table": "cells", "filter_equal_dict": {"cells": {"colour": "red"}}}
    assert ask(**column) == (400, "No such column: 'colour'")
