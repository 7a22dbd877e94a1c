"""The sandbox's servers record what they receive, redirect, and serve many clients at once."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests

from cave_auth_adapter.sandbox import Sandbox

SERVERS = [
    "auth_server",
    "data_server",
    "other_data_server",
    "identity_provider",
    "foreign_server",
    "plain_server",
]


@pytest.fixture(scope="module")
def own_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def new_session(sandbox: Sandbox) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.verify = sandbox.ca_bundle
    session.headers["Authorization"] = f"Bearer {sandbox.token}"
    return session


@pytest.fixture
def session(own_sandbox: Sandbox) -> Iterator[requests.Session]:
    own_sandbox.clear_requests()
    with new_session(own_sandbox) as session:
        yield session


def connect(address: str) -> socket.socket:
    url = urlsplit(address)
    return socket.create_connection((url.hostname or "", url.port or 0), timeout=10)


def test_each_server_has_an_address(own_sandbox: Sandbox) -> None:
    addresses = [urlsplit(getattr(own_sandbox, name)) for name in SERVERS]
    assert len({address.port for address in addresses}) == len(SERVERS)
    assert [address.scheme for address in addresses] == ["https"] * 5 + ["http"]
    hosts = ["localhost", "localhost", *["127.0.0.1"] * 3, "localhost"]
    assert [address.hostname for address in addresses] == hosts


def test_the_certificate_is_valid_for_every_loopback_name(own_sandbox: Sandbox) -> None:
    context = ssl.create_default_context(cafile=own_sandbox.ca_bundle)
    for name in ("localhost", "127.0.0.1", "127.0.0.2", "::1"):
        with (
            connect(own_sandbox.data_server) as plain,
            context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            assert secure.version()


def test_another_authority_is_not_trusted(own_sandbox: Sandbox) -> None:
    with requests.Session() as session:
        session.trust_env = False
        with pytest.raises(requests.exceptions.SSLError):
            session.get(own_sandbox.data_server)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("server", ["data_server", "other_data_server"])
def test_echo_returns_the_request(
    own_sandbox: Sandbox, session: requests.Session, server: str, method: str
) -> None:
    url = getattr(own_sandbox, server) + "/echo?a=%20b"
    answer = session.request(method, url, data="café".encode(), cookies={"c": "1"}).json()
    assert answer["method"] == method
    assert answer["body"] == "café"
    assert answer["length"] == 5
    assert answer["cookies"] == {"c": "1"}
    assert ["Authorization", f"Bearer {own_sandbox.token}"] in answer["headers"]


def test_echo_returns_a_large_body_sent_in_chunks(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    body = bytes(range(256)) * 10_000
    for data in (body, iter([body[:1000], body[1000:]])):
        answer = session.post(own_sandbox.data_server + "/echo", data=data).json()
        assert answer["length"] == len(body)
        assert answer["sha256"] == hashlib.sha256(body).hexdigest()
        assert "body" not in answer


def test_a_refused_body_does_not_spoil_the_connection(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    before = own_sandbox.connections(own_sandbox.data_server)
    url = own_sandbox.data_server + "/echo"
    for data in (b"x" * 300_000, iter([b"x" * 1000] * 300)):
        refused = session.post(url, data=data, headers={"Authorization": "Bearer 0"})
        assert refused.status_code == 401
        assert session.get(url).status_code == 200
    assert own_sandbox.connections(own_sandbox.data_server) == before + 1


def test_the_public_address_needs_no_token(own_sandbox: Sandbox, session: requests.Session) -> None:
    del session.headers["Authorization"]
    assert session.get(own_sandbox.data_server + "/public").json()["user_id"] is None


@pytest.mark.parametrize("server", ["foreign_server", "plain_server"])
def test_a_foreign_server_records_everything(
    own_sandbox: Sandbox, session: requests.Session, server: str
) -> None:
    address = getattr(own_sandbox, server)
    url = urlsplit(address)
    with connect(address) as connection:
        if url.scheme == "https":
            context = ssl.create_default_context(cafile=own_sandbox.ca_bundle)
            connection = context.wrap_socket(connection, server_hostname=url.hostname)
        connection.sendall(
            f"POST /any/path?x=1 HTTP/1.1\r\nHost: {url.netloc}\r\nX-Twice: a\r\nX-Twice: b\r\n"
            "Authorization: Bearer leaked\r\nContent-Length: 3\r\n\r\nabc".encode()
        )
        assert connection.recv(12) == b"HTTP/1.1 200"
        connection.close()
    [request] = own_sandbox.requests(address)
    assert request.method == "POST"
    assert request.url == address + "/any/path?x=1"
    assert request.body == b"abc"
    assert request.header("authorization") == "Bearer leaked"
    assert request.header("cookie") is None
    assert request.headers[1:3] == [("X-Twice", "a"), ("X-Twice", "b")]
    session.get(address)
    assert len(own_sandbox.requests(address)) == 2


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("server", ["data_server", "foreign_server", "plain_server"])
def test_redirects_lead_anywhere(
    own_sandbox: Sandbox, session: requests.Session, server: str, code: int
) -> None:
    del session.headers["Authorization"]
    target = own_sandbox.foreign_server + "/there?a=1"
    response = session.get(
        getattr(own_sandbox, server) + "/redirect", params={"to": target, "code": str(code)}
    )
    assert [hop.status_code for hop in response.history] == [code]
    assert response.json()["url"] == target


def test_auth_redirect_needs_a_token(own_sandbox: Sandbox, session: requests.Session) -> None:
    url = f"{own_sandbox.data_server}/auth-redirect?to={own_sandbox.foreign_server}"
    assert session.get(url).json()["url"] == own_sandbox.foreign_server + "/"
    refused = {"Authorization": "Bearer 0", "X-Requested-With": "x"}
    assert session.get(url, headers=refused).status_code == 401


def test_the_flaky_address_fails_first(own_sandbox: Sandbox, session: requests.Session) -> None:
    url = own_sandbox.data_server + "/flaky/one?fail=2&status=500"
    assert [session.get(url).status_code for _ in range(4)] == [500, 500, 200, 200]
    assert session.get(own_sandbox.data_server + "/flaky/two?fail=0").status_code == 200
    recorded = own_sandbox.requests(own_sandbox.data_server)
    assert [request.url for request in recorded[:4]] == [url] * 4
    assert all(request.header("Authorization") for request in recorded)


def test_the_slow_address_waits_and_streams(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    start = time.monotonic()
    assert session.get(own_sandbox.data_server + "/slow?seconds=0.2").status_code == 200
    assert time.monotonic() - start >= 0.2
    response = session.get(own_sandbox.data_server + "/stream?chunks=3", stream=True)
    assert "Content-Length" not in response.headers
    assert list(response.iter_lines()) == [b"chunk 0", b"chunk 1", b"chunk 2"]


def test_requests_are_recorded_in_order_and_can_be_cleared(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    for name in SERVERS:
        session.get(getattr(own_sandbox, name) + "/public")
    addresses = [getattr(own_sandbox, name) for name in SERVERS]
    assert [request.server for request in own_sandbox.requests()] == addresses
    own_sandbox.record_requests(False)
    session.get(own_sandbox.data_server + "/public")
    own_sandbox.record_requests(True)
    assert len(own_sandbox.requests()) == len(SERVERS)
    own_sandbox.clear_requests()
    assert own_sandbox.requests() == []


def test_lookups_between_services_are_not_recorded(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    connections = own_sandbox.connections(own_sandbox.auth_server)
    headers = {"Authorization": f"Bearer {own_sandbox.create_token()}"}
    assert session.get(own_sandbox.data_server + "/echo", headers=headers).status_code == 200
    assert own_sandbox.requests(own_sandbox.auth_server) == []
    assert own_sandbox.connections(own_sandbox.auth_server) == connections


def test_connections_are_counted(own_sandbox: Sandbox, session: requests.Session) -> None:
    before = own_sandbox.connections(own_sandbox.foreign_server)
    for _ in range(5):
        session.get(own_sandbox.foreign_server)
    assert own_sandbox.connections(own_sandbox.foreign_server) == before + 1
    for _ in range(5):
        requests.get(own_sandbox.foreign_server, verify=own_sandbox.ca_bundle)
    assert own_sandbox.connections(own_sandbox.foreign_server) == before + 6
    with pytest.raises(ValueError, match="No such server"):
        own_sandbox.connections("https://elsewhere.example")


def test_a_kept_connection_is_answered_without_delay(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    """Nagle's algorithm and delayed acknowledgements would make it 40 ms."""
    took = []
    for _ in range(50):
        start = time.perf_counter()
        session.post(own_sandbox.data_server + "/echo", data=b"x" * 100)
        took.append(time.perf_counter() - start)
    assert sorted(took)[25] < 0.02


def test_silent_clients_do_not_stall_others(
    own_sandbox: Sandbox, session: requests.Session
) -> None:
    silent = [connect(own_sandbox.data_server) for _ in range(100)]
    start = time.monotonic()
    with new_session(own_sandbox) as fresh:
        assert fresh.get(own_sandbox.data_server + "/echo", timeout=5).status_code == 200
    assert time.monotonic() - start < 2
    for connection in silent:
        connection.close()


def test_64_threads_are_served(own_sandbox: Sandbox) -> None:
    local = threading.local()
    sessions = []
    before = own_sandbox.connections(own_sandbox.data_server)

    def fetch(number: int) -> int:
        if number % 10 == 0 or not hasattr(local, "session"):
            local.session = new_session(own_sandbox)
            sessions.append(local.session)
        return int(local.session.get(own_sandbox.data_server + "/echo").status_code)

    with ThreadPoolExecutor(64) as pool:
        assert set(pool.map(fetch, range(2000))) == {200}
    assert own_sandbox.connections(own_sandbox.data_server) - before == len(sessions)
