"""The real CAVEclient has its token in a cookie without a domain; a redirect must not carry it."""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from cave_auth_adapter import install
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import Tokens
from ..support.systems import home_at

MakeSession = Callable[[str], requests.Session]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[types.ModuleType]:
    """CAVEclient finds its directory at import; keep it away from the real home."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in home_at(tmp_path_factory.mktemp("home")).items():
            patch.setenv(name, value)
        yield importlib.import_module("caveclient.base")


@pytest.fixture
def client_session(base: Any, sandbox: Sandbox) -> MakeSession:
    """The session of a real CAVEclient service client, as it is for a token."""

    def make(token: str) -> requests.Session:
        client = base.ClientBase(
            sandbox.data_server,
            {"Authorization": f"Bearer {token}"},
            api_version="v1",
            endpoints={},
            server_name="data_server",
        )
        session: requests.Session = client.session
        return session

    return make


def through(sandbox: Sandbox, target: str, status: int = 302) -> str:
    return f"{sandbox.data_server}/redirect?to={target}&code={status}"


def test_without_us_the_token_leaks(
    sandbox: Sandbox, tokens: Tokens, client_session: MakeSession
) -> None:
    client_session(tokens.data).get(through(sandbox, f"{sandbox.foreign_server}/x"))

    [received] = sandbox.requests(sandbox.foreign_server)
    assert received.header("Cookie") == f"middle_auth_token={tokens.data}"


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("server", ["foreign_server", "plain_server"])
def test_with_us_the_token_does_not_leak(
    sandbox: Sandbox,
    tokens: Tokens,
    client_session: MakeSession,
    server: str,
    status: int,
    before: bool,
) -> None:
    if before:
        install()
    session = client_session(tokens.data)
    install()
    session.get(through(sandbox, f"{getattr(sandbox, server)}/x", status))

    [received] = sandbox.requests(getattr(sandbox, server))
    assert not tokens.found_in(received)
    assert received.header("Cookie") is None
    assert received.header("Authorization") is None


def test_over_two_hops_the_token_does_not_leak(
    sandbox: Sandbox, tokens: Tokens, client_session: MakeSession, on: None
) -> None:
    second = f"{sandbox.foreign_server}/redirect?to={sandbox.foreign_server}/y"
    client_session(tokens.data).get(through(sandbox, second))

    received = sandbox.requests(sandbox.foreign_server)
    assert len(received) == 2
    assert not tokens.found_in(received)


def test_a_redirect_from_a_foreign_host_is_not_signed(
    sandbox: Sandbox, tokens: Tokens, client_session: MakeSession, on: None
) -> None:
    back = f"{sandbox.foreign_server}/redirect?to={sandbox.other_data_server}/echo"
    answer = client_session(tokens.data).get(through(sandbox, back))

    assert answer.status_code == 401
    assert not tokens.found_in(sandbox.requests(sandbox.foreign_server))
    assert not tokens.found_in(sandbox.requests(sandbox.other_data_server))


def test_a_token_unknown_to_us_does_not_leak(
    sandbox: Sandbox, tokens: Tokens, client_session: MakeSession, on: None
) -> None:
    own = sandbox.create_token()
    client_session(own).get(through(sandbox, f"{sandbox.foreign_server}/x"))

    assert own not in repr(sandbox.requests(sandbox.foreign_server))


def test_other_cookies_follow_as_without_us(
    sandbox: Sandbox, tokens: Tokens, client_session: MakeSession, on: None
) -> None:
    session = client_session(tokens.data)
    session.cookies.set("own", "1")
    session.get(through(sandbox, f"{sandbox.foreign_server}/x"))

    [received] = sandbox.requests(sandbox.foreign_server)
    assert received.header("Cookie") == "own=1"


def test_the_session_keeps_its_cookie(
    sandbox: Sandbox, tokens: Tokens, client_session: MakeSession, on: None
) -> None:
    session = client_session(tokens.data)
    session.get(through(sandbox, f"{sandbox.foreign_server}/x"))

    assert session.cookies.get("middle_auth_token") == tokens.data


def test_a_first_hop_to_an_unknown_host_is_left_alone(
    sandbox: Sandbox, tokens: Tokens, client_session: MakeSession, on: None
) -> None:
    """An unknown server may be a CAVE server, and the caller sends it its token."""
    client_session(tokens.data).get(f"{sandbox.foreign_server}/x")

    [received] = sandbox.requests(sandbox.foreign_server)
    assert received.header("Cookie") == f"middle_auth_token={tokens.data}"
    assert received.header("Authorization") == f"Bearer {tokens.data}"


def test_a_redirect_within_an_unknown_host_keeps_the_cookie(
    sandbox: Sandbox, tokens: Tokens, client_session: MakeSession, on: None
) -> None:
    url = f"{sandbox.foreign_server}/redirect?to=/x"
    client_session(tokens.data).get(url)

    received = sandbox.requests(sandbox.foreign_server)
    assert [request.header("Cookie") for request in received] == [
        f"middle_auth_token={tokens.data}"
    ] * 2


def test_a_redirect_between_unknown_hosts_carries_nothing(
    sandbox: Sandbox, tokens: Tokens, client_session: MakeSession, on: None
) -> None:
    url = f"{sandbox.foreign_server}/redirect?to={sandbox.plain_server}/x"
    client_session(tokens.data).get(url)

    [received] = sandbox.requests(sandbox.plain_server)
    assert not tokens.found_in(received)


def test_an_info_client_works_as_without_us(
    sandbox: Sandbox, tokens: Tokens, base: Any, on: None
) -> None:
    from caveclient.auth import AuthClient
    from caveclient.infoservice import InfoServiceClient

    auth = AuthClient(server_address=sandbox.auth_server, token=tokens.auth)
    client = InfoServiceClient(server_address=sandbox.auth_server, auth_client=auth)

    assert sorted(client.get_datastacks()) == [
        sandbox.datastack,
        sandbox.datastack_middleauth,
        sandbox.datastack_terms,
    ]


def test_the_retries_of_the_client_are_kept(
    sandbox: Sandbox, tokens: Tokens, client_session: MakeSession, on: None
) -> None:
    session = client_session(tokens.data)
    own = session.adapters["https://"]

    assert session.get(f"{sandbox.data_server}/flaky/caveclient?fail=1&status=503").ok
    assert session.adapters["https://"] is own
    attempts = sandbox.requests(sandbox.data_server)
    assert [request.header("Authorization") for request in attempts] == [
        f"Bearer {tokens.data}",
        f"Bearer {tokens.data}",
    ]
