"""Sessions and adapters of requests-toolbelt, requests-futures, and of callers."""

from __future__ import annotations

import io
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests_futures.sessions import FuturesSession
from requests_toolbelt import (
    GuessAuth,
    MultipartEncoder,
    MultipartEncoderMonitor,
    SourceAddressAdapter,
)
from requests_toolbelt.adapters.host_header_ssl import HostHeaderSSLAdapter
from requests_toolbelt.sessions import BaseUrlSession
from requests_toolbelt.utils import dump

from cave_auth_adapter import CaveAuth, install, mount
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import Tokens
from .conftest import MakeServer

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def url(sandbox: Sandbox, tokens: Tokens) -> str:
    return f"{sandbox.data_server}/echo"


def signed_with(answer: requests.Response) -> Any:
    return answer.json()["cookies"].get("middle_auth_token")


# requests-toolbelt


@pytest.mark.parametrize("monitored", [False, True])
def test_a_multipart_upload_arrives_whole(
    url: str, tokens: Tokens, on: None, monitored: bool
) -> None:
    fields = {"a": "1", "file": ("name", io.BytesIO(b"x" * 100_000), "text/plain")}
    encoder = MultipartEncoder(fields)
    read: list[int] = []
    body = (
        MultipartEncoderMonitor(encoder, lambda monitor: read.append(monitor.bytes_read))
        if monitored
        else encoder
    )

    answer = requests.post(url, data=body, headers={"Content-Type": encoder.content_type})

    assert answer.json()["length"] == encoder.len
    assert answer.json()["body"].count("x" * 100_000) == 1
    assert signed_with(answer) == tokens.data
    assert not monitored or read[-1] == encoder.len


def test_a_base_url_session_is_signed(sandbox: Sandbox, tokens: Tokens, on: None) -> None:
    session = BaseUrlSession(base_url=f"{sandbox.data_server}/")

    assert signed_with(session.get("echo")) == tokens.data


def test_a_prepared_request_of_a_base_url_session_is_signed(
    sandbox: Sandbox, tokens: Tokens, on: None
) -> None:
    session = BaseUrlSession(base_url=f"{sandbox.data_server}/")
    request = session.prepare_request(requests.Request("GET", "echo"))

    assert signed_with(session.send(request, verify=sandbox.ca_bundle)) == tokens.data


@pytest.mark.parametrize("way", ["install", "mount"])
def test_a_host_header_adapter_still_checks_the_name_it_was_given(
    serve: MakeServer, way: str
) -> None:
    """Such an adapter is for a server known by its address, with a certificate for a name."""
    server = serve()
    address = server.host.replace("localhost", "127.0.0.1")
    auth = CaveAuth(TOKEN, hosts=[address])
    session = requests.Session()
    session.mount("https://", HostHeaderSSLAdapter())
    install(auth) if way == "install" else mount(session, auth)

    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"https://{address}/x")
    answer = session.get(f"https://{address}/x", headers={"Host": "localhost"})

    assert answer.text == "GET /x "
    [seen] = server.requests
    assert (seen.headers["host"], seen.headers["authorization"]) == ("localhost", f"Bearer {TOKEN}")


@pytest.mark.parametrize("way", ["install", "mount"])
def test_a_source_address_adapter_still_binds(serve: MakeServer, way: str) -> None:
    """A foreign address can't be bound, so a request that uses it fails."""
    server = serve()
    auth = CaveAuth(TOKEN, hosts=[server.host])
    session = requests.Session()
    session.mount("https://", SourceAddressAdapter("192.0.2.1"))
    install(auth) if way == "install" else mount(session, auth)

    with pytest.raises(requests.ConnectionError):
        session.get(f"{server.url}/x")
    assert server.connections == 0


@pytest.mark.parametrize("trusted", [False, True])
def test_guess_auth_answers_a_challenge(serve: MakeServer, trusted: bool) -> None:
    server = serve(status="401 Unauthorized", headers=('WWW-Authenticate: Basic realm="x"',))
    install(CaveAuth(TOKEN, hosts=[server.host] if trusted else ["localhost:1"]))

    requests.get(f"{server.url}/x", auth=GuessAuth("user", "pass"))

    assert len(server.requests) == 2
    assert server.requests[1].headers["authorization"] == "Basic dXNlcjpwYXNz"


def test_a_digest_challenge_is_answered(serve: MakeServer) -> None:
    server = serve(
        status="401 Unauthorized",
        headers=('WWW-Authenticate: Digest realm="x", nonce="n", qop="auth"',),
    )
    install(CaveAuth(TOKEN, hosts=[server.host]))

    requests.get(f"{server.url}/x", auth=requests.auth.HTTPDigestAuth("user", "pass"))

    assert server.requests[1].headers["authorization"].startswith('Digest username="user"')


def test_a_dump_of_an_exchange_shows_no_token(sandbox: Sandbox, tokens: Tokens, on: None) -> None:
    answer = requests.get(f"{sandbox.data_server}/volume/sandbox/info")

    assert answer.ok
    assert not any(token.encode() in dump.dump_all(answer) for token in tokens)


# requests-futures


def test_futures_arrive_each_with_its_answer(url: str, tokens: Tokens, on: None) -> None:
    with FuturesSession(max_workers=8) as session:
        futures = {str(n): session.post(url, data=str(n)) for n in range(40)}
        answers = {body: future.result() for body, future in futures.items()}

    assert all(answer.json()["body"] == body for body, answer in answers.items())
    assert {signed_with(answer) for answer in answers.values()} == {tokens.data}


def test_futures_over_a_mounted_session(url: str, tokens: Tokens) -> None:
    with FuturesSession(session=mount(requests.Session()), max_workers=4) as session:
        futures = [session.get(url) for _ in range(8)]
        assert {signed_with(future.result()) for future in futures} == {tokens.data}


def test_a_hook_of_a_future_sees_the_answer(url: str, on: None) -> None:
    def hook(answer: requests.Response, *_: object, **__: object) -> None:
        answer.data = answer.json()["method"]  # type: ignore[attr-defined]

    with FuturesSession() as session:
        assert session.get(url, hooks={"response": hook}).result().data == "GET"


# Subclasses of Session


class Sending(requests.Session):
    """Overrides one method, and records the call; the other classes here do the same."""

    called = 0

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        self.called += 1
        return super().send(request, **kwargs)


class Requesting(requests.Session):
    called = 0

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        self.called += 1
        return super().request(*args, **kwargs)


class Getting(requests.Session):
    called = 0

    def get_adapter(self, url: str) -> BaseAdapter:
        self.called += 1
        return super().get_adapter(url)


class Preparing(requests.Session):
    called = 0

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        self.called += 1
        return super().prepare_request(request)


class Rebuilding(requests.Session):
    called = 0

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        self.called += 1
        super().rebuild_auth(prepared_request, response)


@pytest.mark.parametrize("kind", [Sending, Requesting, Getting, Preparing])
def test_a_subclass_that_calls_super_is_signed(
    url: str, tokens: Tokens, on: None, kind: Any
) -> None:
    session = kind()

    assert signed_with(session.get(url)) == tokens.data
    assert session.called == 1


def test_a_subclass_made_before_install_is_signed(url: str, tokens: Tokens) -> None:
    session = Getting()
    install()

    assert signed_with(session.get(url)) == tokens.data


class Elsewhere(requests.Session):
    """Sends without any method of Session, so there is nothing to hook into."""

    def get_adapter(self, url: str) -> HTTPAdapter:
        return HTTPAdapter()


def test_a_get_adapter_that_does_not_call_super_is_left_alone(url: str, on: None) -> None:
    assert Elsewhere().get(url, allow_redirects=False).status_code == 302


def test_a_mounted_session_that_does_not_call_super_is_left_alone(url: str) -> None:
    assert mount(Elsewhere()).get(url, allow_redirects=False).status_code == 302


class KeepingAuth(requests.Session):
    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        """Keep the header, whatever the host."""


@pytest.mark.parametrize("kind", [Rebuilding, KeepingAuth])
@pytest.mark.parametrize("way", ["install", "mount", "auth"])
def test_a_subclass_that_rebuilds_auth_leaks_nothing(
    sandbox: Sandbox, tokens: Tokens, kind: Any, way: str
) -> None:
    session = kind()
    if way == "install":
        install()
    elif way == "mount":
        mount(session)
    else:
        session.auth = CaveAuth()

    session.get(f"{sandbox.data_server}/auth-redirect?to={sandbox.foreign_server}/x")

    [received] = sandbox.requests(sandbox.foreign_server)
    assert not tokens.found_in(received)


@pytest.mark.parametrize("kind", [Rebuilding, KeepingAuth])
def test_a_subclass_that_rebuilds_auth_is_signed_at_the_next_cave_host(
    sandbox: Sandbox, tokens: Tokens, on: None, kind: Any
) -> None:
    target = f"{sandbox.other_data_server}/echo"
    answer = kind().get(f"{sandbox.data_server}/auth-redirect?to={target}")

    assert signed_with(answer) == tokens.other


# Adapters


class Counting(HTTPAdapter):
    def __init__(self, **options: Any) -> None:
        self.sent = 0
        super().__init__(**options)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        self.sent += 1
        return super().send(request, **kwargs)


class Bare(BaseAdapter):
    """An adapter that is not an HTTPAdapter."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        self.seen.append(request)
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = 200, str(request.url), request
        answer.raw = io.BytesIO(b"bare")
        return answer

    def close(self) -> None:
        pass


@pytest.mark.parametrize("prefix", ["https://", "https://localhost"])
def test_an_adapter_of_the_caller_does_the_sending(
    url: str, tokens: Tokens, on: None, prefix: str
) -> None:
    session, adapter = requests.Session(), Counting()
    session.mount(prefix, adapter)

    assert [signed_with(session.get(url)) for _ in range(3)] == [tokens.data] * 3
    assert adapter.sent == 3
    assert session.adapters[prefix] is adapter


def test_an_adapter_that_is_no_http_adapter_is_signed(on: None, monkeypatch: Any) -> None:
    monkeypatch.setenv("CAVE_TOKEN", TOKEN)
    session, adapter = requests.Session(), Bare()
    session.mount("https://", adapter)

    answer = session.get("https://global.daf-apis.com/x")

    assert answer.text == "bare"
    assert adapter.seen[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert "Authorization" not in answer.request.headers


def test_an_adapter_mounted_while_installed_is_returned_unchanged(on: None) -> None:
    session, adapter = requests.Session(), HTTPAdapter(max_retries=3)
    session.mount("https://global.daf-apis.com", adapter)

    assert session.adapters["https://global.daf-apis.com"] is adapter


@pytest.mark.parametrize("url", ["https://global.daf-apis.com/x", "https://elsewhere.example/x"])
def test_get_adapter_returns_an_http_adapter_with_its_attributes(on: None, url: str) -> None:
    """Programs ask `session.get_adapter(url)` for its pool manager or its retries."""
    session = requests.Session()
    own: Any = session.adapters["https://"]
    found = session.get_adapter(url)

    assert isinstance(found, HTTPAdapter)
    assert found.max_retries is own.max_retries
    assert found.poolmanager is own.poolmanager
    assert found.config is own.config


def test_a_setting_on_a_returned_adapter_is_kept(on: None) -> None:
    session = requests.Session()
    adapter: Any = session.get_adapter("https://global.daf-apis.com")
    adapter.max_retries = 7

    own: Any = session.adapters["https://"]
    assert own.max_retries == 7


def test_an_unknown_scheme_fails_as_without_us(on: None) -> None:
    with pytest.raises(requests.exceptions.InvalidSchema):
        requests.get("gopher://global.daf-apis.com/x")


@pytest.mark.parametrize("address", ["https://", "http:///x", "x", "https://[::1", None, b"x"])
def test_a_bad_url_fails_as_without_us(address: Any) -> None:
    with pytest.raises(Exception) as plain:  # noqa: PT011 - the point is which
        requests.get(address)
    install()
    with pytest.raises(type(plain.value)) as ours:
        requests.get(address)

    assert str(ours.value) == str(plain.value)
