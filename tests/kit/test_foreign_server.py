"""`foreign_server` finds a token wherever it is, and shows it nowhere."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import requests

from cave_auth_adapter.testing import ForeignServer, Sandbox


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


LEAKS: dict[str, tuple[str, dict[str, Any]]] = {
    "bearer": ("the header Authorization", {"headers": {"Authorization": "Bearer {token}"}}),
    "small letters": ("the header authorization", {"headers": {"authorization": "bearer {token}"}}),
    "password": ("the header Authorization", {"auth": ("user", "{token}")}),
    "own header": ("the header X-Token", {"headers": {"X-Token": "{token}"}}),
    "cookie": ("the header Cookie", {"cookies": {"middle_auth_token": "{token}"}}),
    "cookie of another name": ("the header Cookie", {"cookies": {"key": "{token}"}}),
    "query": ("the URL", {"params": {"key": "{token}"}}),
    "form": ("the body", {"data": {"key": "{token}"}}),
    "json": ("the body", {"json": {"key": ["{token}"]}}),
}


def filled(value: Any, token: str) -> Any:
    if isinstance(value, str):
        return value.format(token=token)
    if isinstance(value, dict):
        return {key: filled(each, token) for key, each in value.items()}
    return type(value)(filled(each, token) for each in value)


@pytest.mark.parametrize("leak", LEAKS)
def test_a_token_is_found_wherever_it_is(
    foreign_server: ForeignServer, cave_token: str, leak: str
) -> None:
    place, sent = LEAKS[leak]
    for url in (foreign_server.url, foreign_server.plain_url):
        requests.post(f"{url}/path", **filled(sent, cave_token))
    with pytest.raises(AssertionError) as caught:
        foreign_server.assert_no_token()
    told = str(caught.value)
    assert told.count("POST") == told.count(f"/path: in {place}") == 2
    assert cave_token not in told


@pytest.mark.parametrize("leak", ["bearer", "cookie"])
def test_a_token_of_another_server_is_found_by_its_form(
    foreign_server: ForeignServer, leak: str
) -> None:
    requests.get(foreign_server.url, **filled(LEAKS[leak][1], "of-another-server"))
    with pytest.raises(AssertionError, match=f"in {LEAKS[leak][0]}"):
        foreign_server.assert_no_token()


def test_a_parameter_of_that_name_is_found(foreign_server: ForeignServer) -> None:
    requests.get(foreign_server.url, params={"middle_auth_token": "of-another-server"})
    with pytest.raises(AssertionError, match="in the URL"):
        foreign_server.assert_no_token()


@pytest.mark.parametrize(
    "sent",
    [{"params": {"key": "{token}"}}, {"data": {"key": "{token}"}}, {"auth": ("user", "{token}")}],
)
def test_other_tokens_are_found_where_they_are_named(
    foreign_server: ForeignServer, sent: dict[str, Any]
) -> None:
    requests.post(foreign_server.url, **filled(sent, "a token/of another kind"))
    foreign_server.assert_no_token()
    with pytest.raises(AssertionError, match="A token arrived"):
        foreign_server.assert_no_token("a token/of another kind")


def test_an_expired_token_is_found(foreign_server: ForeignServer, cave_sandbox: Sandbox) -> None:
    token = cave_sandbox.create_token()
    cave_sandbox.revoke(token)
    requests.get(foreign_server.url, params={"key": token})
    with pytest.raises(AssertionError, match="in the URL"):
        foreign_server.assert_no_token()


def test_a_token_that_a_client_made_is_found(
    foreign_server: ForeignServer, cave_sandbox: Sandbox, cave_token: str
) -> None:
    made = requests.post(
        f"{cave_sandbox.auth_server}/auth/api/v1/user/token",
        headers={"Authorization": f"Bearer {cave_token}"},
        json={"description": "made"},
    ).json()
    requests.get(foreign_server.url, headers={"X-Key": made})
    with pytest.raises(AssertionError, match="in the header X-Key"):
        foreign_server.assert_no_token()


def test_requests_without_a_token_pass(foreign_server: ForeignServer, cave_token: str) -> None:
    header = {"Authorization": basic("user:password"), "Cookie": "session=1", "X-Any": "Bearer"}
    requests.post(foreign_server.url, headers=header, data={"a": "b"})
    requests.get(foreign_server.url, headers={"Authorization": "Basic no base64!"})
    foreign_server.assert_no_token()
    assert [request.method for request in foreign_server.requests] == ["POST", "GET"]
    assert foreign_server.requests[0].body == b"a=b"


def test_requests_to_cave_hosts_are_ignored(
    foreign_server: ForeignServer, cave_sandbox: Sandbox, cave_token: str
) -> None:
    header = {"Authorization": f"Bearer {cave_token}"}
    assert requests.get(f"{cave_sandbox.data_server}/echo", headers=header).ok
    assert foreign_server.requests == []
    with pytest.raises(AssertionError, match="No request arrived"):
        foreign_server.assert_no_token()
