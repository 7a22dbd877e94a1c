"""The three ways to sign, against real protected services over TLS on loopback."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from cave_auth_adapter import CaveAdapter, CaveAuth, install, mount, uninstall
from cave_auth_adapter.sandbox import Sandbox

from ..support.doors import Door
from ..support.sandbox import Tokens


def test_without_us_the_service_refuses(sandbox: Sandbox, tokens: Tokens) -> None:
    answer = requests.get(f"{sandbox.data_server}/echo")

    assert answer.url.startswith(sandbox.identity_provider)
    assert answer.history[0].status_code == 302


def test_a_cave_host_receives_header_and_cookie(
    sandbox: Sandbox, tokens: Tokens, door: Door
) -> None:
    echo = door().get(f"{sandbox.data_server}/echo", cookies={"mine": "1"}).json()

    assert dict(echo["headers"])["Authorization"] == f"Bearer {tokens.data}"
    assert echo["cookies"] == {"mine": "1", "middle_auth_token": tokens.data}


def test_a_post_arrives_signed_with_its_body(sandbox: Sandbox, tokens: Tokens, door: Door) -> None:
    echo = door().post(f"{sandbox.data_server}/echo", json={"neuron": 1}).json()

    assert echo["body"] == '{"neuron": 1}'
    assert dict(echo["headers"])["Authorization"] == f"Bearer {tokens.data}"


def test_another_host_receives_no_token(sandbox: Sandbox, tokens: Tokens, door: Door) -> None:
    session = door()
    session.get(f"{sandbox.foreign_server}/x").raise_for_status()
    session.get(f"{sandbox.plain_server}/x").raise_for_status()

    received = sandbox.requests(sandbox.foreign_server) + sandbox.requests(sandbox.plain_server)
    assert len(received) == 2
    for request in received:
        assert request.header("Authorization") is None
        assert request.header("Cookie") is None
        assert request.header("X-Requested-With") is None
    assert not tokens.found_in(received)


def test_netrc_is_still_read_for_other_hosts(
    sandbox: Sandbox, door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for ``session.auth``: each auth object of requests turns netrc off."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password pass\n")
    monkeypatch.setenv("NETRC", str(netrc))

    session = door()
    session.get(f"{sandbox.foreign_server}/x").raise_for_status()

    [request] = sandbox.requests(sandbox.foreign_server)
    expected = None if session.auth else "Basic dXNlcjpwYXNz"
    assert request.header("Authorization") == expected


def test_without_a_token_the_service_answers_in_json(sandbox: Sandbox, door: Door) -> None:
    answer = door(CaveAuth(hosts=[sandbox.data_server])).get(f"{sandbox.data_server}/echo")

    assert answer.status_code == 401
    assert answer.json()["error"] == "no_token"


def test_a_redirect_to_another_cave_host_carries_its_token(
    sandbox: Sandbox, tokens: Tokens, door: Door
) -> None:
    target = f"{sandbox.other_data_server}/echo"
    answer = door().get(f"{sandbox.data_server}/auth-redirect", params={"to": target})

    assert answer.url == target
    assert dict(answer.json()["headers"])["Authorization"] == f"Bearer {tokens.other}"
    assert answer.json()["cookies"] == {"middle_auth_token": tokens.other}
    assert not any(tokens.data in repr(r) for r in sandbox.requests(sandbox.other_data_server))
    assert [step.status_code for step in answer.history] == [302]


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirected_post_keeps_its_body(
    sandbox: Sandbox, tokens: Tokens, door: Door, status: int
) -> None:
    target = f"{sandbox.other_data_server}/echo"
    answer = door().post(
        f"{sandbox.data_server}/auth-redirect?to={target}&code={status}", data=b"body"
    )

    assert answer.json()["method"] == "POST"
    assert answer.json()["body"] == "body"
    assert dict(answer.json()["headers"])["Authorization"] == f"Bearer {tokens.other}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["foreign host", "plain http", "other port"])
def test_a_redirect_to_a_foreign_host_is_unsigned(
    sandbox: Sandbox, tokens: Tokens, door: Door, where: str, status: int
) -> None:
    server = {
        "foreign host": sandbox.foreign_server,
        "plain http": sandbox.plain_server,
        "other port": sandbox.auth_server,  # localhost, as the data server is, and not trusted here
    }[where]
    session = door(CaveAuth(tokens.data, hosts=[sandbox.data_server]))
    target = f"{server}/info/version"
    session.get(f"{sandbox.data_server}/auth-redirect?to={target}&code={status}")

    arrived = [r for r in sandbox.requests(server) if "/info/version" in r.url]
    assert len(arrived) == 1
    assert arrived[0].header("Authorization") is None
    assert arrived[0].header("Cookie") is None
    assert not tokens.found_in(arrived)


def test_a_session_that_keeps_auth_on_redirects_leaks_nothing(
    sandbox: Sandbox, tokens: Tokens
) -> None:
    class Keeping(requests.Session):
        def should_strip_auth(self, old_url: str, new_url: str) -> bool:
            return False

    session = Keeping()
    session.auth = CaveAuth()
    session.get(f"{sandbox.data_server}/auth-redirect?to={sandbox.foreign_server}/x")

    received = sandbox.requests(sandbox.foreign_server)
    assert len(received) == 1
    assert not tokens.found_in(received)


def test_mounting_on_a_prefix_does_not_trust_it(sandbox: Sandbox, tokens: Tokens) -> None:
    session = requests.Session()
    session.mount("https://127.0.0.1", CaveAdapter(CaveAuth(tokens.data)))
    session.get(f"{sandbox.foreign_server}/x").raise_for_status()

    assert not tokens.found_in(sandbox.requests(sandbox.foreign_server))


def test_each_retry_of_a_wrapped_adapter_is_signed(sandbox: Sandbox, tokens: Tokens) -> None:
    session = requests.Session()
    retries = Retry(total=3, status_forcelist=[503], backoff_factor=0)
    session.mount("https://", CaveAdapter(wrapped=HTTPAdapter(max_retries=retries)))

    answer = session.get(f"{sandbox.data_server}/flaky/retries?fail=3&status=503")

    assert answer.status_code == 200
    attempts = [r for r in sandbox.requests(sandbox.data_server) if "/flaky/" in r.url]
    assert [r.header("Authorization") for r in attempts] == [f"Bearer {tokens.data}"] * 4


def test_responses_hold_no_token_and_no_added_history(
    sandbox: Sandbox, tokens: Tokens, door: Door
) -> None:
    answer = door().get(f"{sandbox.data_server}/public")

    assert answer.history == []
    assert not tokens.found_in(dict(answer.request.headers))
    answer._content = b""  # the echo of what arrived
    assert not any(token.encode() in pickle.dumps(answer) for token in tokens)


def test_response_request_is_the_callers_request(sandbox: Sandbox, tokens: Tokens) -> None:
    session = mount(requests.Session())
    request = session.prepare_request(requests.Request("GET", f"{sandbox.data_server}/echo"))

    assert session.send(request, verify=sandbox.ca_bundle).request is request


@pytest.mark.parametrize("door", ["mount", "install"], indirect=True)
def test_a_callers_own_authorization_is_left_alone(
    sandbox: Sandbox, tokens: Tokens, door: Door
) -> None:
    own = {"Authorization": "Bearer 00000000000000000000000000000000"}
    answer = door().get(f"{sandbox.data_server}/echo", headers=own)

    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_token"
    received = sandbox.requests(sandbox.data_server)
    assert [r.header("Authorization") for r in received] == [own["Authorization"]]


def test_install_signs_sessions_made_before_it_and_uninstall_ends_that(
    sandbox: Sandbox, tokens: Tokens
) -> None:
    original = requests.Session.__dict__["get_adapter"]
    before, url = requests.Session(), f"{sandbox.data_server}/echo"

    install()
    try:
        assert before.get(url).json()["cookies"] == {"middle_auth_token": tokens.data}
        assert requests.get(url).json()["cookies"] == {"middle_auth_token": tokens.data}
    finally:
        uninstall()

    assert requests.Session.__dict__["get_adapter"] is original
    sandbox.clear_requests()
    for get in (before.get, requests.get, requests.Session().get):
        assert get(url, allow_redirects=False).status_code == 302
    assert not tokens.found_in(sandbox.requests())


def test_transport_errors_are_those_of_requests(tokens: Tokens, door: Door) -> None:
    session = door(CaveAuth(tokens.data, hosts=["localhost:1"]))
    with pytest.raises(requests.ConnectionError) as caught:
        session.get("https://localhost:1/x")

    if session.auth is None:
        assert caught.value.request is not None
        assert not tokens.found_in(dict(caught.value.request.headers))
