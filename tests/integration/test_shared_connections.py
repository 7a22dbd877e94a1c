"""Which requests share a connection: only those with equal settings and the same token."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import certifi
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.poolmanager import PoolManager
from urllib3.util import Retry

from cave_auth_adapter import CaveAuth, TokenStore, install, keepalive
from cave_auth_adapter.keepalive import connections
from cave_auth_adapter.sandbox import Sandbox

from ..support.servers import Do, TinyServer
from ..support.sharing import OTHER, TOKEN, trust, used
from .conftest import MakeServer

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
# --- equal TLS settings, by type and value -------------------------------------------------------

FALSY: list[Any] = [False, None, 0, 0.0, "", [], (), {}]


@pytest.mark.parametrize("value", FALSY, ids=repr)
def test_an_unverified_session_leaves_no_connection_to_a_verified_one(
    serve: MakeServer, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    server = serve()
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")  # nobody trusts the server
    trust(server)
    careless = requests.Session()
    careless.verify = value
    assert careless.get(f"{server.url}/careless").ok

    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{server.url}/careful", verify=True)
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{server.url}/careful")
    assert [seen.path for seen in server.requests] == ["/careless"]


@pytest.mark.parametrize("value", [*FALSY, "bundle", Path("bundle")], ids=repr)
def test_settings_that_differ_share_no_connection_in_any_order(
    serve: MakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: Any
) -> None:
    server = serve()
    bundle = str(server.authority.bundle)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    trust(server)
    if value == "bundle":  # the same certificates in another file
        value = str(tmp_path / "copy.pem")
        Path(value).write_bytes(Path(bundle).read_bytes())
    elif isinstance(value, Path):
        value = Path(bundle)
    for _ in range(2):
        assert requests.get(f"{server.url}/careful", verify=bundle).ok
        session = requests.Session()
        session.verify = value
        assert session.get(f"{server.url}/other").ok

    by_path: dict[str, set[int]] = {"/careful": set(), "/other": set()}
    for seen in server.requests:
        by_path[seen.path].add(seen.connection)
    assert by_path["/careful"] == {1}
    assert 1 not in by_path["/other"]


def test_unverified_and_verified_sessions_in_parallel_share_nothing(
    serve: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    trust(server)
    barrier = threading.Barrier(17)

    def work(number: int) -> list[str]:
        outcomes = []
        barrier.wait(30)
        for turn in range(10):
            with requests.Session() as session:
                session.verify = True if number % 2 else FALSY[(number + turn) % len(FALSY)]
                path = "careful" if number % 2 else "careless"
                try:
                    outcomes.append(f"{path} {session.get(f'{server.url}/{path}').status_code}")
                except requests.exceptions.SSLError:
                    outcomes.append(f"{path} refused")
        return outcomes

    with ThreadPoolExecutor(17) as executor:
        outcomes = {each for some in executor.map(work, range(17)) for each in some}
    assert outcomes == {"careful refused", "careless 200"}
    assert {seen.path for seen in server.requests} == {"/careless"}


def test_a_replaced_bundle_counts_as_another(serve: MakeServer, tmp_path: Path) -> None:
    server, bundle = serve(), tmp_path / "bundle.pem"
    trust(server)
    bundle.write_bytes(server.authority.bundle.read_bytes())
    assert requests.get(f"{server.url}/x", verify=str(bundle)).ok

    bundle.write_bytes(Path(certifi.where()).read_bytes())
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{server.url}/x", verify=str(bundle))


# --- an equal token ------------------------------------------------------------------------------


def test_each_token_has_its_own_connections(serve: MakeServer) -> None:
    server = serve()
    for token in (TOKEN, OTHER, TOKEN, OTHER):
        trust(server, token=token)
        assert requests.get(f"{server.url}/x").ok

    assert used(server) == [1, 2, 1, 2]


@pytest.mark.parametrize("header", ["Bearer a-token-of-the-caller", "Basic dTpw"])
def test_another_identity_uses_the_connections_of_its_session(
    serve: MakeServer, header: str
) -> None:
    server = serve()
    trust(server)
    assert requests.get(f"{server.url}/x").ok
    session = requests.Session()
    for _ in range(2):
        assert session.get(f"{server.url}/x", headers={"Authorization": header}).ok
    assert requests.get(f"{server.url}/x").ok

    assert used(server) == [1, 2, 2, 1]


def test_without_a_token_nothing_is_shared(serve: MakeServer) -> None:
    server = serve()
    install(CaveAuth(hosts=[server.host]))
    for _ in range(3):
        assert requests.get(f"{server.url}/x").ok

    assert used(server) == [1, 2, 3]


# --- a pristine adapter --------------------------------------------------------------------------


def with_retries(value: Any) -> Callable[[], requests.Session]:
    def make() -> requests.Session:
        session = requests.Session()
        session.get_adapter("https://").max_retries = value  # type: ignore[attr-defined]
        return session

    return make


def with_adapter(adapter: Callable[[], HTTPAdapter]) -> Callable[[], requests.Session]:
    def make() -> requests.Session:
        session = requests.Session()
        session.mount("https://", adapter())
        return session

    return make


@pytest.mark.parametrize(
    "make",
    [
        requests.Session,
        with_retries(3),
        with_retries(None),
        with_retries(False),
        with_retries(Retry(3, status_forcelist=[503])),
        with_adapter(lambda: HTTPAdapter(max_retries=3)),
        with_adapter(lambda: HTTPAdapter(pool_maxsize=50)),
    ],
)
def test_sessions_that_differ_in_their_retries_or_pool_size_share(
    serve: MakeServer, make: Callable[[], requests.Session]
) -> None:
    server = serve()
    trust(server)
    assert requests.get(f"{server.url}/x").ok
    for _ in range(3):
        with make() as session:
            answer = session.get(f"{server.url}/x")
            assert answer.ok
            assert answer.connection is session.adapters["https://"]

    assert used(server) == [1, 1, 1, 1]


def test_the_retries_of_a_session_are_made_over_shared_connections(serve: MakeServer) -> None:
    busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    server: TinyServer = serve(lambda seen, before: busy if len(server.requests) < 3 else Do.ANSWER)
    trust(server)
    session = requests.Session()
    session.mount("https://", HTTPAdapter(max_retries=Retry(5, status_forcelist=[503])))
    assert session.get(f"{server.url}/x").ok
    assert requests.get(f"{server.url}/x").ok

    assert used(server) == [1, 1, 1, 1]


class Guarded(Exception):
    """What the guards below raise instead of connecting."""


def refuse(*_: Any, **__: Any) -> Any:
    raise Guarded


_wrap_socket = ssl.SSLContext.wrap_socket


def wrap_servers_only(*args: Any, **kwargs: Any) -> Any:
    if not kwargs.get("server_side"):
        raise Guarded
    return _wrap_socket(*args, **kwargs)


class PinningConnection(HTTPSConnection):
    connect = refuse


class PinningPool(HTTPSConnectionPool):
    ConnectionCls = PinningConnection


class OwnManager(PoolManager):
    connection_from_host = refuse


def set_up(change: Callable[[HTTPAdapter], object]) -> Callable[[Any, str], requests.Session]:
    def make(patch: Any, url: str) -> requests.Session:
        session = requests.Session()
        change(session.get_adapter("https://"))  # type: ignore[arg-type]
        return session

    return make


def replaced(owner: Any, name: str, value: Any = refuse) -> Callable[[Any, str], requests.Session]:
    def make(patch: pytest.MonkeyPatch, url: str) -> requests.Session:
        patch.setattr(owner, name, value)
        return requests.Session()

    return make


def with_pool_of_its_own(patch: Any, url: str) -> requests.Session:
    session = requests.Session()
    session.get_adapter("https://").poolmanager.connection_from_url(  # type: ignore[attr-defined]
        url, {"cert_reqs": "CERT_REQUIRED", "ca_certs": requests.utils.DEFAULT_CA_BUNDLE_PATH}
    ).ConnectionCls = PinningConnection
    return session


GUARDS = {
    "pool classes of a manager": set_up(
        lambda a: setattr(a.poolmanager, "pool_classes_by_scheme", {"https": PinningPool})
    ),
    "pool classes of all managers": lambda patch, url: (
        patch.setitem(urllib3.poolmanager.pool_classes_by_scheme, "https", PinningPool)
        or requests.Session()
    ),
    "a method of a manager": set_up(
        lambda a: setattr(a.poolmanager, "connection_from_host", refuse)
    ),
    "a method of all managers": replaced(PoolManager, "connection_from_context"),
    "a manager": set_up(lambda a: setattr(a, "poolmanager", OwnManager())),
    "a method of an adapter": set_up(lambda a: setattr(a, "cert_verify", refuse)),
    "a method of all adapters": replaced(HTTPAdapter, "build_connection_pool_key_attributes"),
    "a connection class": replaced(HTTPSConnectionPool, "ConnectionCls", PinningConnection),
    "how connections are made": replaced(HTTPSConnection, "connect"),
    "how TLS begins": replaced(urllib3.connection, "ssl_wrap_socket"),
    "how TLS is set up": replaced(urllib3.connection, "create_urllib3_context"),
    "wrap_socket of all contexts": replaced(ssl.SSLContext, "wrap_socket", wrap_servers_only),
    "socket.socket.connect": replaced(socket.socket, "connect"),
    "socket.socket": replaced(socket, "socket"),
    "how addresses are found": replaced(socket, "getaddrinfo"),
    "create_connection": replaced(urllib3.util.connection, "create_connection"),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_a_patch_of_socket_connect_sees_each_connection(
    serve: MakeServer, monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    """Certificate pins, recorders and network guards must see each connection."""
    server = serve()
    trust(server)
    assert requests.get(f"{server.url}/x").ok  # leaves an idle connection

    with monkeypatch.context() as patch:
        session = GUARDS[guard](patch, server.url)
        with pytest.raises(Guarded):
            session.get(f"{server.url}/guarded")
    assert requests.get(f"{server.url}/x").ok
    assert used(server) == [1, 1]


def test_a_replaced_class_of_answers_is_used(
    serve: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorders replace it to see each answer."""

    class Marking(http.client.HTTPResponse):
        def begin(self) -> None:
            super().begin()
            self.headers["X-Marked"] = "1"

    server = serve()
    trust(server)
    assert requests.get(f"{server.url}/x").ok
    monkeypatch.setattr(http.client.HTTPConnection, "response_class", Marking)
    assert requests.get(f"{server.url}/x").headers["X-Marked"] == "1"


def test_a_pool_that_a_session_has_for_a_host_is_used(serve: MakeServer) -> None:
    """It may have been set up by hand, which can't be seen."""
    server = serve()
    trust(server)
    assert requests.get(f"{server.url}/x").ok
    session = requests.Session()
    pool = session.get_adapter("https://").poolmanager.connection_from_url(  # type: ignore[attr-defined]
        server.url,
        {"cert_reqs": "CERT_REQUIRED", "ca_certs": str(server.authority.bundle)},
    )
    pool.assert_fingerprint = "00" * 32

    with pytest.raises(requests.exceptions.SSLError, match="Fingerprints did not match"):
        session.get(f"{server.url}/x")


@pytest.mark.parametrize("name", ["_make_request", "QueueCls", "ConnectionCls"])
def test_an_unknown_urllib3_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert connections.shape_is_known()

    def as_in_urllib3_1(self: Any, conn: Any, method: Any, url: Any, timeout: Any = None) -> None:
        raise NotImplementedError

    monkeypatch.setattr(HTTPSConnectionPool, name, as_in_urllib3_1)
    assert not connections.shape_is_known()


def test_with_an_unknown_urllib3_nothing_is_shared(
    serve: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    trust(server)
    monkeypatch.setattr(keepalive, "_SHAPE_IS_KNOWN", False)
    for _ in range(3):
        assert requests.get(f"{server.url}/x").ok

    assert used(server) == [1, 2, 3]


# --- the tools -----------------------------------------------------------------------------------


def test_a_caveclient_with_all_its_services_opens_one_connection_per_host(
    sandbox: Sandbox, python: Any
) -> None:
    servers = (sandbox.auth_server, sandbox.data_server)
    for server in servers:
        TokenStore().save(sandbox.token, server)
    before = [sandbox.connections(server) for server in servers]
    ran = python(
        """
        import sys
        import cave_auth_adapter
        cave_auth_adapter.install()
        from caveclient import CAVEclient
        client = CAVEclient(sys.argv[1], server_address=sys.argv[2], write_server_cache=False)
        services = ("auth", "info", "schema", "state", "chunkedgraph", "annotation", "materialize")
        for name in (*services, "l2cache", "skeleton"):
            try:
                getattr(client, name)
            except Exception as error:  # the sandbox has not all of them
                print(name, type(error).__name__)
        print(len(client.info.get_datastacks()), len(client.auth.get_tokens()))
        """,
        sandbox.datastack,
        sandbox.auth_server,
    )
    assert ran.returncode == 0, ran.stderr
    after = [sandbox.connections(server) for server in servers]
    asked = [len(sandbox.requests(server)) for server in servers]
    assert min(asked) >= 5
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1]
