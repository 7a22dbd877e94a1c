"""A command that waits for a server says so on a terminal only."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator

import pexpect
import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.service.waiting import waits_told, within

from ..support.answering import Answer, StubServer
from .conftest import Run, host

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts connections and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"localhost:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    "command",
    [
        "login SERVER --no-browser",
        "status",
        "whoami",
        "check https://SERVER/",
        "doctor",
        "keys list",
        "keys rotate",
        "permissions",
        "terms",
        "accounts",
        "logout --revoke",
    ],
)
def test_a_silent_server_is_announced(silent: str, command: str) -> None:
    TokenStore().save("0123456789abcdef", silent)
    arguments = ["-m", "cave_auth_adapter", *command.replace("SERVER", silent).split()]
    child = pexpect.spawn(sys.executable, arguments, timeout=20, encoding="utf-8")
    child.expect(f"Waiting for (https://)?{silent} ... Ctrl-C gives up.")
    child.sendintr()
    child.expect("interrupted")
    assert "Waiting" not in child.before.rpartition("\r")[2]  # it is taken away
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130


@pytest.mark.parametrize(
    ("columns", "shown"),
    [(20, "Waiting ...^C"), (40, "Waiting ... Ctrl-C ends.^C"), (80, "Waiting for 2 servers ... ")],
)
def test_the_announcement_is_one_line(silent: str, columns: int, shown: str) -> None:
    for server in (silent, silent.replace("localhost", "127.0.0.1")):
        TokenStore().save("0123456789abcdef", server)
    arguments = ["-m", "cave_auth_adapter", "accounts"]
    child = pexpect.spawn(
        sys.executable, arguments, timeout=20, encoding="utf-8", dimensions=(24, columns)
    )
    child.expect("Waiting")
    child.sendintr()
    child.expect("interrupted")
    assert shown in f"Waiting{child.before}"
    assert child.before.count("Waiting") == 0  # one line for all servers


class Together(StubServer):
    """An auth server that answers once another server has been asked the same, too."""

    def __init__(self, context: ssl.SSLContext, both: threading.Barrier, user: str):
        super().__init__(context)
        self._both, self._user = both, {"id": 1, "name": user}
        self.token = f"0123456789abcdef-{user[-1]}"

    def answer_to(self, method: str, path: str) -> Answer:
        if (method, path) not in [request[:2] for request in self.requests]:
            self._both.wait(20)
        keys = [{"id": 1, "token": self.token}]
        body = keys if path.endswith("/user/token") else self._user
        return Answer(body=json.dumps(body).encode())


@pytest.mark.parametrize("command", ["accounts", "status", "whoami", "doctor"])
def test_all_servers_are_asked_at_the_same_time(
    run: Run, stub_context: ssl.SSLContext, command: str
) -> None:
    both = threading.Barrier(2)
    servers = [Together(stub_context, both, f"User {number}") for number in range(2)]
    for server in servers:
        TokenStore().save(server.token, host(server.address))
    out = run(command).output
    assert not both.broken
    in_order = sorted(servers, key=lambda server: server.address)
    assert re.findall("User [01]", out)[:2] == [f"User {servers.index(s)}" for s in in_order]
    for server in servers:
        server.close()


def test_the_announcement_is_removed_again(stub_server: StubServer) -> None:
    stub_server.answer = Answer(delay=1.8)
    server = host(stub_server.address)
    TokenStore().save("0123456789abcdef", server)
    arguments = ["-m", "cave_auth_adapter", "check", stub_server.address]
    out = pexpect.run(" ".join([sys.executable, *arguments]), timeout=30, encoding="utf-8")
    text = f"Waiting for {server} ... Ctrl-C gives up."
    assert f"{text}\r{' ' * len(text)}\r" in out
    assert "1. trusted?" in out


def test_nothing_is_announced_where_stderr_is_no_terminal(stub_server: StubServer) -> None:
    stub_server.answer = Answer(delay=1.8)
    TokenStore().save("0123456789abcdef", host(stub_server.address))
    done = subprocess.run(
        [sys.executable, "-m", "cave_auth_adapter", "check", stub_server.address],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "200 OK" in done.stdout
    assert done.stderr == ""


def test_nothing_is_announced_in_a_library(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with pytest.raises(TimeoutError):
        within(0.8, threading.Event().wait, "cave.my-lab.org")
    assert capsys.readouterr().err == ""
    with waits_told(), pytest.raises(TimeoutError):
        within(0.8, threading.Event().wait, "cave.my-lab.org")
    assert "Waiting for cave.my-lab.org" in capsys.readouterr().err


def test_an_error_passes_through() -> None:
    def fail() -> None:
        raise TimeoutError("its own")

    with waits_told(), pytest.raises(TimeoutError):
        within(5, fail, "cave.my-lab.org")


def test_a_quick_answer_is_not_announced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with waits_told():
        assert within(5, lambda: 7, "cave.my-lab.org") == 7
    assert capsys.readouterr().err == ""
