"""Unexpected callbacks, from real sockets: a login accepts none and neither crashes nor stalls."""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import pytest
import requests

from cave_auth_adapter import TokenStore
from cave_auth_adapter.errors import InvalidHostSpec, LoginFailed, TokenFileError, TokenRefused
from cave_auth_adapter.login import callback, login, pages
from cave_auth_adapter.login.callback import CallbackServer
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import is_alive, keys_of, saved
from ..support.systems import posix_only
from .conftest import Answers, Command, Login, consent, token_of


@pytest.fixture
def waiting(start_login: Callable[..., Login]) -> Login:
    login = start_login(timeout=20)
    login.callback  # noqa: B018 - wait for it
    return login


def connect(url: SplitResult) -> socket.socket:
    return socket.create_connection((url.hostname or "", url.port or 0), timeout=20)


def send(login: Login, data: bytes, hang_up: bool = False) -> bytes:
    """Send bytes to the port, and return the answer until the connection ends."""
    url = urlsplit(login.callback)
    received = b""
    with connect(url) as connection:
        try:
            connection.sendall(data)
            if hang_up:
                return b""
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionError:
            pass  # we may close while there is more to read
    return received


def request(
    login: Login,
    method: str = "GET",
    path: str | None = None,
    query: str = "token={token}",
    host: str = "{host}",
    token: str = "0" * 32,
) -> bytes:
    url = urlsplit(login.callback)
    target = (url.path if path is None else path) + "?" + query.format(token=token)
    return (
        f"{method} {target} HTTP/1.1\r\nHost: {host.format(host=url.netloc, port=url.port)}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def complete(login: Login, sandbox: Sandbox, secrets: Path) -> None:
    """Check that nothing was saved so far, and that the real login still works."""
    assert not secrets.exists()
    answer = requests.get(consent(login.address, sandbox), timeout=20)
    assert answer.status_code == 200
    assert "You are logged in" in answer.text
    client = login.finish()
    assert client is not None
    assert client.token in set(saved(secrets).values())
    assert is_alive(sandbox, client.token)


HOSTILE = {
    "wrong path": ({"path": "/callback"}, 404),
    "root": ({"path": "/"}, 404),
    "path with more behind it": ({"path": "{}x"}, 404),
    "half of the path": ({"path": "{half}"}, 404),
    "absolute form": ({"path": "http://{host}{}"}, 404),
    "POST": ({"method": "POST"}, 405),
    "HEAD": ({"method": "HEAD"}, 405),
    "OPTIONS": ({"method": "OPTIONS"}, 405),
    "lower case": ({"method": "get"}, 405),
    "no token": ({"query": ""}, 400),
    "empty token": ({"query": "token="}, 400),
    "token that can't be one": ({"query": "token=%0d%0aSet-Cookie:%20a"}, 400),
    "markup": ({"query": "token=<script>alert(1)</script>"}, 400),
    "two tokens": ({"query": "token=0123&token=4567"}, 400),
    "two names, two tokens": ({"query": "token=0123&middle_auth_token=4567"}, 400),
    "many fields": ({"query": "&".join(f"a{n}=1" for n in range(1000))}, 400),
    "rebinding": ({"host": "evil.example"}, 403),
    "rebinding with the port": ({"host": "evil.example:{port}"}, 403),
    "localhost": ({"host": "localhost:{port}"}, 403),
    "without the port": ({"host": "127.0.0.1"}, 403),
    "another port": ({"host": "127.0.0.1:1"}, 403),
    "no host": ({"host": ""}, 403),
    "two hosts": ({"host": "{host}\r\nHost: evil.example"}, 403),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_is_turned_away(
    waiting: Login, sandbox: Sandbox, secrets: Path, name: str
) -> None:
    changes, status = HOSTILE[name]
    url = urlsplit(waiting.callback)
    if path := changes.get("path"):
        half = url.path[: len(url.path) // 2]
        changes = {**changes, "path": path.format(url.path, half=half, host=url.netloc)}
    # With a token that the server accepts, so that not the token prevents the login.
    answer = send(waiting, request(waiting, token=sandbox.token, **changes))

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    for header in (
        b"Cache-Control: no-store",
        b"Content-Security-Policy: default-src 'none'",
        b"Referrer-Policy: no-referrer",
        b"X-Content-Type-Options: nosniff",
        b"X-Frame-Options: DENY",
    ):
        assert header in head
    assert b"Access-Control" not in head
    assert sandbox.token.encode() not in answer
    assert b"<script>alert" not in body
    assert url.path.encode() not in answer
    complete(waiting, sandbox, secrets)


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200 + b"\r\n\r\n",  # TLS
        b"\xff\xfe\x00" * 100 + b"\r\n\r\n",
    ],
)
def test_a_malformed_request_is_turned_away(
    waiting: Login, sandbox: Sandbox, secrets: Path, data: bytes
) -> None:
    assert send(waiting, data).startswith(b"HTTP/1.1 400 ")
    complete(waiting, sandbox, secrets)


@pytest.mark.parametrize("ending", [b"", b" HTTP/1.1\r\n\r\n"])
def test_a_huge_request_line_is_turned_away(
    waiting: Login, sandbox: Sandbox, secrets: Path, ending: bytes
) -> None:
    answer = send(waiting, b"GET /" + b"a" * 5_000_000 + ending)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    complete(waiting, sandbox, secrets)


def test_a_hundred_silent_clients_do_not_stall_the_login(
    waiting: Login, sandbox: Sandbox, secrets: Path
) -> None:
    url = urlsplit(waiting.callback)
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(connect(url))
        start = time.monotonic()
        complete(waiting, sandbox, secrets)
        assert time.monotonic() - start < 20  # each would be waited for in turn


def test_the_oldest_silent_client_is_dropped() -> None:
    with CallbackServer() as server, ExitStack() as stack:
        url = urlsplit(server.address)
        clients = [stack.enter_context(connect(url)) for _ in range(100)]
        assert server.wait(0.1) is None
        assert clients[0].recv(1) == b""
        clients[-1].settimeout(0.1)
        with pytest.raises(TimeoutError):
            clients[-1].recv(1)


def test_a_slow_client_does_not_stall_the_login(
    waiting: Login, sandbox: Sandbox, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback, "_REQUEST_SECONDS", 0.5)
    url = urlsplit(waiting.callback)
    with connect(url) as connection:
        start = time.monotonic()
        with contextlib.suppress(ConnectionError):  # it is cut off
            while time.monotonic() - start < 10:
                connection.sendall(b"G")
                time.sleep(0.05)
        assert time.monotonic() - start < 5
    complete(waiting, sandbox, secrets)


def test_clients_that_hang_up_do_not_stall_the_login(
    waiting: Login, sandbox: Sandbox, secrets: Path
) -> None:
    for data in (b"", b"GET", request(waiting, path="/"), request(waiting, query="")):
        send(waiting, data, hang_up=True)
    complete(waiting, sandbox, secrets)


def test_a_hundred_parallel_guesses_are_turned_away(
    waiting: Login, sandbox: Sandbox, secrets: Path
) -> None:
    guesses = [request(waiting, path=f"/{n}", token=sandbox.token) for n in range(100)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda data: send(waiting, data), guesses))
    assert all(answer.startswith(b"HTTP/1.1 404 ") for answer in answers)
    complete(waiting, sandbox, secrets)


def test_of_a_hundred_parallel_callbacks_one_is_accepted(
    waiting: Login, sandbox: Sandbox, secrets: Path
) -> None:
    """A client that knows the path can end the login, but not log in; one request is made."""
    tokens = [f"{n:032x}" for n in range(100)]

    def attack(token: str) -> bytes:
        try:
            return send(waiting, request(waiting, token=token))
        except OSError:
            return b""  # it is over already

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(attack, tokens))
    waiting.finish()
    assert isinstance(waiting.error, TokenRefused)
    assert sum(answer.startswith(b"HTTP/1.1 403 ") for answer in answers) == 1
    assert not any(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
    assert not secrets.exists()
    asked = [r for r in sandbox.requests(sandbox.auth_server) if "user/me" in r.url]
    assert [bool(r.header("Authorization")) for r in asked] == [False, True]  # is it there; whose


def test_a_second_callback_is_turned_away(
    waiting: Login, sandbox: Sandbox, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mallory = sandbox.create_token(sandbox.create_user("Mallory"), ttl=60)
    first = consent(waiting.address, sandbox)
    with ThreadPoolExecutor(2) as pool:
        answer = pool.submit(requests.get, first, timeout=20)
        try:
            second = send(waiting, request(waiting, token=mallory))
        except ConnectionError:
            second = b""
        page = answer.result()
    waiting.finish()
    # Either of the two may be first; the other is not accepted.
    accepted = [p for p in (page.text, second.decode()) if "You are logged in" in p]
    assert len(accepted) == 1
    assert len(set(saved(secrets).values())) == 1
    with pytest.raises(requests.ConnectionError):
        requests.get(first, timeout=20)


def test_a_second_callback_during_the_first_is_turned_away() -> None:
    with CallbackServer() as server:
        url = urlsplit(server.address)
        lines = f"HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n"
        first = connect(url)
        first.sendall(f"GET {url.path}?token=0123 {lines}".encode())
        callback = server.wait(20)
        second = connect(url)
        second.sendall(f"GET {url.path}?token=4567 {lines}".encode())
        assert callback is not None
        assert callback.token == "0123"
        assert "0123" not in repr(callback)
        callback.show(pages.logged_in("New User", "cave.example.org"))
    with first, second:
        assert first.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert second.recv(65536).startswith(b"HTTP/1.1 410 ")


def test_a_login_without_a_callback_times_out(
    start_login: Callable[..., Login], secrets: Path
) -> None:
    login = start_login(timeout=0.3)
    address = login.callback
    login.finish()
    assert isinstance(login.error, LoginFailed)
    assert "--no-browser" in str(login.error)
    assert login.talk.ticks
    assert not secrets.exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=20)


def test_a_token_of_another_server_is_refused(
    waiting: Login, sandbox: Sandbox, secrets: Path
) -> None:
    answer = send(waiting, request(waiting))
    waiting.finish()
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"does not know this login" in answer
    assert isinstance(waiting.error, TokenRefused)
    assert not secrets.exists()


def test_a_server_that_goes_away_ends_the_login(
    waiting: Login, sandbox: Sandbox, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    answer = send(waiting, request(waiting))
    waiting.finish()
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert not secrets.exists()


def test_a_login_that_cannot_be_saved_leaves_no_key(
    start_login: Callable[..., Login],
    sandbox: Sandbox,
    secrets: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = keys_of(sandbox, sandbox.token)

    def full(self: TokenStore, *_: object, **__: object) -> None:
        raise TokenFileError(self.path_for(), "can't be used: no space left on device", "…")

    monkeypatch.setattr(TokenStore, "save", full)
    waiting = start_login(timeout=20)
    callback = consent(waiting.address, sandbox)
    answer = requests.get(callback, timeout=20)
    waiting.finish()
    assert answer.status_code == 500
    assert "could not be saved" in answer.text
    assert isinstance(waiting.error, TokenFileError)
    assert keys_of(sandbox, sandbox.token) == before
    assert not is_alive(sandbox, token_of(callback))


@pytest.mark.parametrize("yes", [True, False])
def test_another_account_needs_a_confirmation(
    start_login: Callable[..., Login], sandbox: Sandbox, secrets: Path, yes: bool
) -> None:
    TokenStore().save(sandbox.token, sandbox.auth_server)
    talk = Answers(yes=yes)
    waiting = start_login(overwrite=True, dialogue=talk)
    callback = consent(waiting.address, sandbox, sandbox.create_user("Mallory"))
    answer = requests.get(callback, timeout=20)
    waiting.finish()
    assert "One more question" in answer.text
    assert any("Mallory" in told for told in talk.told)
    assert "Sandbox User" in talk.asked[0]
    assert (sandbox.token in saved(secrets).values()) is not yes
    assert not is_alive(sandbox, token_of(callback))
    if not yes:
        assert isinstance(waiting.error, LoginFailed)


def test_logs_hold_no_token(
    waiting: Login,
    sandbox: Sandbox,
    secrets: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="urllib3")
    callback = consent(waiting.address, sandbox)
    with connect(urlsplit(callback)) as raw:
        connection = http.client.HTTPConnection(urlsplit(callback).netloc)
        connection.sock = raw
        connection.request("GET", urlsplit(callback).path + "?" + urlsplit(callback).query)
        assert connection.getresponse().status == 200
    client = waiting.finish()
    assert client is not None
    ours = [r.getMessage() for r in caplog.records if "authorize?" not in r.getMessage()]
    out, err = capfd.readouterr()
    for token in (token_of(callback), client.token):
        assert token is not None
        assert token not in "\n".join(ours) + out + err + "\n".join(waiting.talk.told)


@pytest.fixture
def unanswered(start_command: Callable[..., Command]) -> Command:
    command = start_command()
    command.address  # noqa: B018 - wait for it
    return command


@posix_only  # signals
def test_ctrl_c_saves_nothing(unanswered: Command, secrets: Path) -> None:
    unanswered.interrupt()
    code, _, err = unanswered.finish()
    assert code == 130
    assert "Nothing was saved." in err
    assert "cave-auth: interrupted." in err
    assert "Traceback" not in err
    assert not secrets.exists()


def test_the_command_has_a_time_out(start_command: Callable[..., Command], secrets: Path) -> None:
    code, _, err = start_command("--timeout", "0.5").finish()
    assert code == 3
    assert "You did not log in within" in err
    assert not secrets.exists()


@pytest.mark.parametrize(
    "server", ["http://cave.example.org", "a b", "*.example.org", "", "ftp://x"]
)
def test_a_malformed_server_is_refused(server: str) -> None:
    with pytest.raises(InvalidHostSpec):
        login(server)
