"""Shared connections are as fast as one session, and never get in the way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from cave_auth_adapter import CaveAuth, install
from cave_auth_adapter.keepalive import connections
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import Tokens
from ..support.servers import Authority, ConnectProxy
from ..support.sharing import TOKEN, shares, trust
from .conftest import MakeServer


@pytest.fixture
def url(sandbox: Sandbox, tokens: Tokens) -> str:
    return f"{sandbox.data_server}/echo"


@pytest.fixture
def opened(sandbox: Sandbox) -> Callable[[], int]:
    """How many connections the data server has accepted since the test began."""
    before = sandbox.connections(sandbox.data_server)
    return lambda: sandbox.connections(sandbox.data_server) - before


# Shared, where nothing was set up


@shares
def test_50_calls_open_one_connection(url: str, on: None, opened: Callable[[], int]) -> None:
    for _ in range(50):
        assert requests.get(url).ok
    assert opened() == 1


@shares
def test_50_sessions_open_one_connection(url: str, on: None, opened: Callable[[], int]) -> None:
    for _ in range(50):
        with requests.Session() as session:
            assert session.get(url).ok
    assert opened() == 1


@shares
def test_closing_a_session_closes_no_connection_of_others(
    url: str, on: None, opened: Callable[[], int]
) -> None:
    first, second = requests.Session(), requests.Session()
    assert first.get(url).ok
    assert second.get(url).ok
    first.close()
    assert second.get(url).ok

    assert opened() == 1


def test_a_streamed_answer_can_be_read_after_its_session_is_closed(url: str, on: None) -> None:
    with requests.Session() as session:
        answer = session.get(url.replace("/echo", "/stream"), stream=True)

    assert answer.content.startswith(b"chunk 0")


def test_an_unread_answer_is_mixed_into_no_other(url: str, on: None) -> None:
    held = [requests.get(url.replace("/echo", "/stream"), stream=True) for _ in range(5)]

    assert requests.post(url, data="body").json()["body"] == "body"
    assert all(answer.content.count(b"chunk") == 10 for answer in held)


def test_a_half_read_answer_is_mixed_into_no_other(url: str, on: None) -> None:
    for number in range(5):
        answer = requests.get(url.replace("/echo", "/stream?chunks=5000"), stream=True)
        next(answer.iter_content(10))
        answer.close()
        assert requests.post(url, data=str(number)).json()["body"] == str(number)


def test_without_keep_alive_each_call_opens_its_own(
    url: str, tokens: Tokens, opened: Callable[[], int]
) -> None:
    install(keep_alive=False)
    for _ in range(5):
        assert requests.get(url).json()["cookies"] == {"middle_auth_token": tokens.data}
    assert opened() == 5


def test_another_host_gets_a_new_connection_for_each_call(sandbox: Sandbox, on: None) -> None:
    before = sandbox.connections(sandbox.foreign_server)
    for _ in range(5):
        requests.get(sandbox.foreign_server)
    assert sandbox.connections(sandbox.foreign_server) - before == 5


@shares
@pytest.mark.parametrize("close", [True, False])
def test_a_request_for_connection_close_is_honoured(
    url: str, on: None, opened: Callable[[], int], close: bool
) -> None:
    for _ in range(3):
        assert requests.get(url, headers={"Connection": "close"} if close else None).ok
    assert opened() == (3 if close else 1)


# Not shared over different TLS settings


def test_an_unverified_connection_serves_no_verified_call(
    authority: Authority, serve: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    trust(server)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.warns(match="Unverified HTTPS request"):
        assert requests.get(f"{server.url}/x", verify=False).ok

    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{server.url}/x")
    assert requests.get(f"{server.url}/x", verify=str(authority.bundle)).ok
    assert len(server.requests) == 2


def test_each_unverified_call_warns_as_without_us(serve: MakeServer) -> None:
    server = serve()
    trust(server)
    for _ in range(3):
        with pytest.warns(match="Unverified HTTPS request"):
            requests.get(f"{server.url}/x", verify=False)


@shares
def test_a_bundle_that_rejects_the_server_fails_beside_one_that_accepts_it(
    serve: MakeServer, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    trust(server)
    bundle = str(server.authority.bundle)
    assert requests.get(f"{server.url}/x", verify=bundle).ok

    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{server.url}/x", verify=sandbox.ca_bundle)
    assert requests.get(f"{server.url}/x", verify=bundle).ok
    assert {seen.connection for seen in server.requests} == {1}


def test_a_bundle_that_does_not_exist_fails_as_without_us(serve: MakeServer) -> None:
    server = serve()
    trust(server)
    assert requests.get(f"{server.url}/x").ok

    with pytest.raises(OSError, match="invalid path"):
        requests.get(f"{server.url}/x", verify="/nowhere.pem")


@shares
def test_calls_with_different_client_certificates_share_no_connection(
    authority: Authority, serve: MakeServer, tmp_path: Path
) -> None:
    server = serve(client_certificates=True)
    trust(server)
    certificates = []
    for name in ("a", "b"):
        certificates.append(str(tmp_path / f"{name}.pem"))
        authority.ca.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(certificates[-1])

    for certificate in (None, *certificates, certificates[0], None):
        assert requests.get(f"{server.url}/x", cert=certificate).ok

    assert [seen.connection for seen in server.requests] == [1, 2, 3, 4, 1]


# Not with a proxy


@pytest.mark.parametrize("how", ["argument", "session", "environment"])
def test_a_proxy_is_used_for_each_call(
    serve: MakeServer, proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    server = serve()
    trust(server)
    options: dict[str, Any] = {}
    assert requests.get(f"{server.url}/x").ok  # leaves an idle direct connection
    if how == "environment":
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    else:
        options["proxies"] = {"https": proxy.url}

    for _ in range(3):
        with requests.Session() as session:
            if how == "session":
                session.proxies = options["proxies"]
                assert session.get(f"{server.url}/x").ok
            else:
                assert session.get(f"{server.url}/x", **options).ok

    assert proxy.targets == [server.host] * 3
    assert [s.headers["authorization"] for s in server.requests] == [f"Bearer {TOKEN}"] * 4


def test_after_a_proxy_is_gone_connections_are_direct(
    serve: MakeServer, proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    trust(server)
    assert requests.get(f"{server.url}/x", proxies={"https": proxy.url}).ok
    assert requests.get(f"{server.url}/x").ok

    assert len(proxy.targets) == 1


def test_a_proxy_that_is_down_fails_as_without_us(serve: MakeServer) -> None:
    server = serve()
    trust(server)
    assert requests.get(f"{server.url}/x").ok

    with pytest.raises(requests.exceptions.ProxyError):
        requests.get(f"{server.url}/x", proxies={"https": "http://localhost:1"})


# Not for a session with an adapter of its own


class Subclass(HTTPAdapter):
    pass


def changed(**attributes: Any) -> HTTPAdapter:
    adapter = HTTPAdapter()
    for name, value in attributes.items():
        setattr(adapter, name, value)
    return adapter


def tightened() -> HTTPAdapter:
    adapter = HTTPAdapter()
    adapter.poolmanager.connection_pool_kw["assert_hostname"] = "localhost"
    return adapter


@pytest.mark.parametrize(
    "make",
    [
        lambda: HTTPAdapter(pool_block=True),
        lambda: HTTPAdapter(pool_connections=2),
        Subclass,
        lambda: changed(config={"x": 1}),
        tightened,
    ],
)
def test_a_configured_adapter_keeps_its_own_connections(
    url: str, on: None, opened: Callable[[], int], make: Callable[[], HTTPAdapter]
) -> None:
    session, adapter = requests.Session(), make()
    session.mount("https://", adapter)
    assert requests.get(url).ok

    assert session.get(url).ok
    assert opened() == 2
    assert len(adapter.poolmanager.pools) == 1


def test_an_adapter_with_a_replaced_send_is_left_alone(url: str, on: None) -> None:
    session, calls = requests.Session(), []
    adapter = session.adapters["https://"]
    send = adapter.send

    def replaced(*args: Any, **kwargs: Any) -> requests.Response:
        calls.append(1)
        return send(*args, **kwargs)

    adapter.send = replaced
    assert session.get(url).ok
    assert calls == [1]


def test_an_adapter_class_with_a_patched_pool_manager_is_left_alone(
    url: str, on: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries that bring other certificates patch HTTPAdapter.init_poolmanager."""
    assert requests.get(url).ok
    calls: list[Any] = []
    original = HTTPAdapter.init_poolmanager

    def patched(self: HTTPAdapter, *args: Any, **kwargs: Any) -> None:
        calls.append(self)
        original(self, *args, **kwargs, assert_hostname="elsewhere.example")

    monkeypatch.setattr(HTTPAdapter, "init_poolmanager", patched)

    with pytest.raises(requests.exceptions.SSLError):
        requests.get(url)
    assert calls


# A crowd


def test_200_threads_are_bounded_and_log_no_more_than_without_us(
    url: str, on: None, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    barrier = threading.Barrier(200)

    def work(number: int) -> bool:
        barrier.wait(60)
        bodies = [f"{number}/{turn}" for turn in range(2)]
        return all(requests.post(url, data=body).json()["body"] == body for body in bodies)

    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(200) as executor:
        assert all(executor.map(work, range(200)))

    assert len(connections.idle) <= 64
    assert [record.getMessage() for record in caplog.records] == []


@shares
def test_idle_connections_to_many_hosts_are_bounded(serve: MakeServer) -> None:
    servers = [serve() for _ in range(70)]
    install(CaveAuth(TOKEN, hosts=[server.host for server in servers]))
    for server in servers:
        assert requests.get(f"{server.url}/x").ok

    for server in servers[:6]:  # the connection that was idle longest was closed
        assert server.closed.acquire(timeout=10)
    assert len(connections.idle) == 64


def test_timeouts_are_those_of_each_call(url: str, on: None) -> None:
    slow = url.replace("/echo", "/slow?seconds=0.2")
    assert requests.get(url, timeout=30).ok
    with pytest.raises(requests.Timeout):
        requests.get(slow, timeout=0.05)
    assert requests.get(slow, timeout=30).ok
    assert requests.get(slow).ok
