"""Only equal settings share a connection, and no connection is used again in a doubtful state."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
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

from cave_auth_adapter import CaveAuth, TokenStore, install, keepalive, uninstall
from cave_auth_adapter.keepalive import connections
from cave_auth_adapter.sandbox import Sandbox

from ..support.servers import Authority, Do, Seen, TinyServer
from .conftest import MakeServer

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")

TOKEN = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"


def trust(*servers: TinyServer, token: str = TOKEN) -> None:
    install(CaveAuth(token, hosts=[server.host for server in servers]))


def used(server: TinyServer) -> list[int]:
    """The connection over which each request came."""
    return [seen.connection for seen in server.requests]


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


# --- nothing unread ------------------------------------------------------------------------------

SMUGGLED = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"


def padded(head: str, start: bytes = b"", end: bytes = b"", size: int = 8192) -> bytes:
    """An answer of exactly the size that is read at once, and behind it another one."""
    whole = head.encode() + b"\r\n\r\n" + start
    return whole + b"x" * (size - len(whole) - len(end)) + end + SMUGGLED


CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
TOO_LONG = {
    "HEAD": padded("HTTP/1.1 200 OK\r\nContent-Length: 20000"),
    "204": padded("HTTP/1.1 204 No Content"),
    "304": padded("HTTP/1.1 304 Not Modified"),
    "Content-Length": padded("HTTP/1.1 200 OK\r\nContent-Length: 8150"),
    "Content-Length: 0": padded("HTTP/1.1 200 OK\r\nContent-Length: 0"),
    "a last chunk": padded(CHUNKED, b"1fc4\r\n", b"\r\n0\r\n\r\n"),
    "little": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n",
    "both lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nok\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("kind", TOO_LONG)
def test_bytes_after_an_answer_are_not_taken_for_the_next_one(serve: MakeServer, kind: str) -> None:
    """The bytes stay in the TLS layer, which urllib3 does not check before it uses a connection."""
    server = serve(lambda seen, before: TOO_LONG[kind] if seen.path == "/long" else Do.ANSWER)
    trust(server)
    method = "HEAD" if kind == "HEAD" else "GET"
    requests.request(method, f"{server.url}/long")

    assert requests.get(f"{server.url}/whoami").text == "GET /whoami "
    assert used(server) == [1, 2]


WITHOUT_BODY = {
    "HEAD": b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("kind", WITHOUT_BODY)
def test_after_an_answer_without_a_body_the_connection_ends(serve: MakeServer, kind: str) -> None:
    """Some servers send a body all the same, and it may still be on its way."""
    server = serve(lambda seen, before: WITHOUT_BODY[kind] if seen.path == "/a" else Do.ANSWER)
    trust(server)
    requests.request("HEAD" if kind == "HEAD" else "GET", f"{server.url}/a")

    assert requests.get(f"{server.url}/next").text == "GET /next "
    assert used(server) == [1, 2]


@pytest.mark.parametrize("stream", [True, False])
def test_a_connection_is_reused_after_a_complete_answer(serve: MakeServer, stream: bool) -> None:
    chunked = CHUNKED.encode() + b"\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"
    answers = {"/chunked": chunked, "/empty": empty, "/missing": missing}
    server = serve(lambda seen, before: answers.get(seen.path, Do.ANSWER))
    trust(server)
    for path in ("/chunked", "/empty", "/missing", "/usual"):
        with requests.get(server.url + path, stream=stream) as answer:
            assert answer.content is not None

    assert used(server) == [1, 1, 1, 1]


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_refusal_during_the_body_ends_the_connection(serve: MakeServer, method: str) -> None:
    """The server may still answer what it reads of the body."""
    early = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
    server = serve(lambda seen, before: early if seen.path == "/early" else Do.ANSWER)
    trust(server)
    assert requests.request(method, f"{server.url}/early", data=b"body").status_code == 413
    assert requests.get(f"{server.url}/next").text == "GET /next "

    assert used(server) == [1, 2]


LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000


def test_an_answer_can_be_read_after_its_connection_was_returned(serve: MakeServer) -> None:
    server = serve(lambda seen, before: LONG if seen.path == "/long" else Do.ANSWER)
    trust(server)
    answer = requests.get(f"{server.url}/long", stream=True)
    start = answer.raw.read(10)
    answer.raw.release_conn()

    assert requests.get(f"{server.url}/next").text == "GET /next "
    assert start + answer.raw.read() == b"x" * 100_000
    assert used(server) == [1, 2]


@pytest.mark.parametrize("end", ["close", "drop", "with"])
def test_a_half_read_answer_leaves_no_connection(serve: MakeServer, end: str) -> None:
    server = serve(lambda seen, before: LONG if seen.path == "/long" else Do.ANSWER)
    trust(server)
    answer = requests.get(f"{server.url}/long", stream=True)
    answer.raw.read(10)
    if end == "close":
        answer.close()
    elif end == "with":
        with answer:
            pass
    del answer

    assert requests.get(f"{server.url}/next").text == "GET /next "
    assert used(server) == [1, 2]


def test_a_half_received_answer_leaves_no_connection(serve: MakeServer) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b"x" * 10
    server = serve(lambda seen, before: half if seen.path == "/half" else Do.ANSWER)
    trust(server)
    answer = requests.get(f"{server.url}/half", stream=True)
    assert answer.raw.read(10) == b"x" * 10
    answer.raw._fp.close()  # the reader, and not its connection
    answer.raw.release_conn()

    assert requests.get(f"{server.url}/next").text == "GET /next "
    assert used(server) == [1, 2]


# --- how long, and how many ----------------------------------------------------------------------


def test_connections_idle_for_30_seconds_are_closed_by_the_next_request(
    serve: MakeServer, clock: Callable[[float], None]
) -> None:
    first, second = serve(), serve()
    trust(first, second)
    requests.get(f"{first.url}/x")
    clock(29)
    requests.get(f"{second.url}/x")
    assert not first.closed.acquire(timeout=0.1)
    clock(1.1)
    requests.head(f"{second.url}/x")

    assert first.closed.acquire(timeout=10)
    assert used(second) == [1, 1]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_an_unsafe_request_uses_only_connections_idle_for_less_than_a_second(
    serve: MakeServer, clock: Callable[[float], None], method: str
) -> None:
    server = serve()
    trust(server)
    requests.get(f"{server.url}/x")
    clock(0.5)
    requests.request(method, f"{server.url}/x", data=b"body")
    clock(1)
    requests.request(method, f"{server.url}/x", data=b"body")

    assert used(server) == [1, 1, 2]


def test_a_body_that_cannot_be_replayed_gets_a_new_connection(serve: MakeServer) -> None:
    server = serve()
    trust(server)
    requests.get(f"{server.url}/x")
    body: Iterator[bytes] = iter([b"a", b"b"])
    requests.post(f"{server.url}/x", data=body)

    assert used(server) == [1, 2]


def test_48_threads_and_6_hosts_need_fewer_than_256_descriptors(
    serve: MakeServer, python: Any
) -> None:
    pytest.importorskip("resource")
    together = threading.Barrier(48)  # so that each thread has a connection of its own

    def plan(seen: Seen, before: int) -> Do:
        together.wait(60)
        return Do.ANSWER

    servers = [serve(plan) for _ in range(6)]
    ran = python(
        """
        import resource, sys
        from concurrent.futures import ThreadPoolExecutor
        import requests
        from cave_auth_adapter import CaveAuth, install
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        urls = sys.argv[1:]
        install(CaveAuth("0123456789abcdef0123456789abcdef", hosts=[u[8:] for u in urls]))
        def work(number):
            return [requests.get(url + "/x").status_code for url in urls]
        with ThreadPoolExecutor(48) as executor:
            print(set(sum(executor.map(work, range(48)), [])))
        """,
        *[server.url for server in servers],
    )
    assert (ran.stdout, ran.stderr) == ("{200}\n", "")


def test_no_socket_is_left_open_at_the_end_of_a_program(serve: MakeServer, python: Any) -> None:
    server = serve()
    code = f"""
        import requests
        from cave_auth_adapter import CaveAuth, install
        install(CaveAuth("0123456789abcdef", hosts=["{server.host}"]))
        requests.get("{server.url}/x", stream=True).raw.release_conn()
        assert requests.get("{server.url}/x").ok
    """
    ran = python(code, PYTHONWARNINGS="always::ResourceWarning")
    assert ran.stderr == ""


# --- errors are those of requests ----------------------------------------------------------------


class Deaf:
    """Answers on the first connection and closes it, then accepts connections in silence."""

    def __init__(self, authority: Authority):
        self._listener = socket.create_server(("localhost", 0))
        self.host = f"localhost:{self._listener.getsockname()[1]}"
        self.url = f"https://{self.host}"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.certificate.configure_cert(self._context)
        self.go = threading.Event()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        plain, _ = self._listener.accept()
        with self._context.wrap_socket(plain, server_side=True) as first:
            first.recv(65536)
            first.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            first.recv(65536)  # the second request, which gets no answer
        while not self.go.is_set():
            self._open.append(self._listener.accept()[0])

    def close(self) -> None:
        self.go.set()
        with socket.create_connection(self._listener.getsockname()):
            pass
        for each in (*self._open, self._listener):
            each.close()


@pytest.fixture
def deaf(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deaf]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    server = Deaf(authority)
    yield server
    server.close()


@pytest.mark.parametrize("how", ["aged", "closed under the request"])
def test_a_handshake_that_times_out_raises_what_requests_raises(
    deaf: Deaf, clock: Callable[[float], None], how: str
) -> None:
    """The connect time-out applies, not the longer read time-out."""
    install(CaveAuth(TOKEN, hosts=[deaf.host]))
    assert requests.get(deaf.url).ok
    if how == "aged":
        clock(600)
    errors = []
    for plain in (False, True):
        if plain:
            uninstall()
        start = time.monotonic()
        with pytest.raises(requests.RequestException) as caught:
            requests.get(deaf.url, timeout=(0.5, 60))
        assert time.monotonic() - start < 20
        errors.append((type(caught.value), str(caught.value)))

    assert errors[0] == errors[1]


def test_a_server_that_is_gone_raises_the_error_of_requests(serve: MakeServer) -> None:
    server = serve()
    server.close()
    trust(server)
    errors = []
    for plain in (False, True):
        if plain:
            uninstall()
        with pytest.raises(requests.ConnectionError) as caught:
            requests.get(f"{server.url}/x")
        errors.append(re.sub(r"0x\w+", "0x…", str(caught.value)))

    assert errors[0] == errors[1]


def test_closing_the_pool_in_an_error_affects_no_one_else(serve: MakeServer, deaf: Deaf) -> None:
    install(CaveAuth(TOKEN, hosts=[deaf.host]))
    assert requests.get(deaf.url).ok
    with pytest.raises(requests.Timeout) as caught:
        requests.get(deaf.url, timeout=(0.3, 60))
    caught.value.args[0].pool.close()

    with pytest.raises(requests.Timeout):
        requests.get(deaf.url, timeout=(0.3, 60))


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
