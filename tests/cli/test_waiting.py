"""A command that waits for a server says so on a terminal only."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pexpect
import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.service.waiting import waits_told, within

from ..support.answering import Answer, StubServer
from .conftest import host

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
