"""A login without a browser: an address to open elsewhere, and a pasted line."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pexpect
import pytest
import requests

from cave_auth_adapter.errors import InvalidToken, LoginFailed
from cave_auth_adapter.login import login
from cave_auth_adapter.sandbox import Sandbox
from cave_auth_adapter.shells import quoted

from ..support.sandbox import is_alive, keys_of, saved
from ..support.systems import posix_only
from .conftest import Answers, consent, token_of

PROMPT = r"Paste the last page\'s address, even if it fails to load \(not shown\): "


@pytest.fixture
def terminal(sandbox: Sandbox) -> Iterator[Callable[..., Any]]:
    """`cave-auth login SERVER …` on a terminal of its own."""
    started = []

    def start(*arguments: str) -> Any:
        child = pexpect.spawn(
            sys.executable,
            ["-m", "cave_auth_adapter", "login", sandbox.auth_server, *arguments],
            encoding="utf-8",
            timeout=20,
            dimensions=(24, 80),
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def address_shown(child: Any) -> str:
    child.expect(PROMPT)
    assert "Open this address in any browser" in child.before
    lines = "".join(child.before.split())  # a terminal may break the line
    callback = r"http%3A%2F%2F127\.0\.0\.1%3A\d+%2F[\w-]{43}"
    found = re.search(
        rf"https://localhost:\d+/sticky_auth/api/v1/authorize\?redirect={callback}", lines
    )
    assert found
    return found[0]


def end(child: Any) -> str:
    child.expect(pexpect.EOF)
    child.close()
    return child.before


def interrupt(child: Any) -> str:
    """Press Ctrl-C, and again if need be: input() misses one that comes just before it reads."""
    for _ in range(3):
        child.sendintr()
        if child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=5) == 0:
            break
    child.close()
    return str(child.before)


@posix_only  # pexpect
@pytest.mark.parametrize("how", ["asked for", "no display", "SSH"])
def test_the_address_of_the_failed_page_can_be_pasted(
    terminal: Callable[..., Any],
    sandbox: Sandbox,
    secrets: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    if how == "SSH":
        monkeypatch.setenv("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")
        monkeypatch.setenv("DISPLAY", ":10")  # X forwarding: a browser is slow there
    child = terminal(*(["--no-browser"] if how == "asked for" else []))
    callback = consent(address_shown(child), sandbox)
    assert callback.startswith("http://127.0.0.1:")
    child.sendline(callback)
    child.expect("Logged in to")
    child.expect("Send your token there, too")
    child.sendline("y")
    out = child.before + end(child)

    assert child.exitstatus == 0
    (key,) = set(saved(secrets).values())
    assert len(saved(secrets)) == 2
    assert keys_of(sandbox, key)
    assert not is_alive(sandbox, token_of(callback))
    assert key not in out
    assert token_of(callback) not in out


@posix_only  # pexpect
def test_a_token_can_be_pasted(
    terminal: Callable[..., Any], sandbox: Sandbox, secrets: Path
) -> None:
    child = terminal("--no-browser")
    child.expect(PROMPT)
    child.sendline(f"  {sandbox.token} ")
    child.expect("Send your token there, too")
    child.sendline("")  # the default is no
    out = end(child)
    assert child.exitstatus == 0
    assert set(saved(secrets).values()) == {sandbox.token}
    assert sandbox.token not in out


@posix_only  # pexpect
@pytest.mark.parametrize(
    ("pasted", "said"),
    [
        ("", "Nothing was pasted"),
        ("two words", "white space"),
        ("0" * 32, "refuses"),
        ("http://127.0.0.1:1/other?token=0123", "not the address of this login's last page"),
        ("https://[evil?token=0123", "not the address"),
    ],
)
def test_other_pastes_are_explained(
    terminal: Callable[..., Any], secrets: Path, pasted: str, said: str
) -> None:
    child = terminal("--no-browser")
    out = ""
    for attempt in range(3):  # the same address stays good
        child.expect(PROMPT)
        assert child.before.count("Open this address") == (attempt == 0)
        assert attempt == 0 or said in " ".join(child.before.split())
        child.sendline(pasted)
        out += child.before
    out += end(child)
    assert child.exitstatus == 3
    assert "Traceback" not in out
    assert "0123" not in out
    assert not secrets.exists()


@posix_only  # pexpect
def test_a_wrong_paste_can_be_followed_by_the_right_one(
    terminal: Callable[..., Any], sandbox: Sandbox, secrets: Path
) -> None:
    child = terminal("--no-browser")
    callback = consent(address_shown(child), sandbox)
    child.sendline("http://127.0.0.1:1/other?token=0123")
    child.expect(PROMPT)
    child.sendline(callback + callback)
    child.expect("Logged in to")
    child.sendline("")
    end(child)
    assert child.exitstatus == 0
    assert saved(secrets)


@posix_only  # pexpect
def test_the_port_stays_open_until_the_end(
    terminal: Callable[..., Any], sandbox: Sandbox, secrets: Path
) -> None:
    """A browser on this computer ends the login, and nobody else can listen for it."""
    child = terminal("--no-browser")
    callback = consent(address_shown(child), sandbox)
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", urlsplit(callback).port))
    assert requests.get(callback, timeout=20).status_code == 200
    child.expect("Logged in to")
    child.sendline("")
    end(child)
    assert child.exitstatus == 0


@posix_only  # pexpect
@pytest.mark.parametrize(
    "environ",
    [{"DISPLAY": ":99", "PATH": "/nowhere"}, {"BROWSER": "/mnt/c/nowhere.exe"}],
    ids=lambda environ: min(environ),
)
def test_a_browser_that_does_not_open_is_reported(
    terminal: Callable[..., Any],
    sandbox: Sandbox,
    secrets: Path,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
) -> None:
    """The person may paste anyway."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    child = terminal()
    child.expect("--no-browser")
    child.expect("No browser could be opened")
    child.sendline(sandbox.token)
    child.expect("Logged in to")
    child.sendline("")
    out = child.before + end(child)
    assert child.exitstatus == 0
    assert sandbox.token not in out
    assert set(saved(secrets).values()) == {sandbox.token}


@posix_only  # pexpect
def test_a_browser_in_the_foreground_does_not_block_the_login(
    terminal: Callable[..., Any], sandbox: Sandbox, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", "sleep 30 # %s")
    child = terminal()
    child.expect("Waiting for your browser")
    child.sendline("")  # an empty line ends nothing
    child.sendline(sandbox.token)
    child.expect("Logged in to")
    child.sendline("")
    end(child)
    assert child.exitstatus == 0


@posix_only  # pexpect
def test_a_late_paste_does_not_reach_the_shell(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", "true")
    login = f"{sys.executable} -m cave_auth_adapter login {sandbox.auth_server} --timeout 2"
    child = pexpect.spawn("sh", ["-c", f"{login}; cat"], encoding="utf-8", timeout=20)
    child.expect("Waiting for your browser")
    child.send(sandbox.token)  # without Enter
    child.expect("You did not log in")
    child.sendline("end")
    child.expect("end\r\nend")
    assert sandbox.token not in child.before
    child.close(force=True)


@posix_only  # pexpect
@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_ctrl_c_at_the_prompt_ends_the_login(
    terminal: Callable[..., Any], secrets: Path, key: str
) -> None:
    child = terminal("--no-browser")
    child.expect(PROMPT)
    child.send(key)
    out = end(child)
    assert child.exitstatus == (130 if key == "\x03" else 3)
    assert "othing was" in out
    assert "Traceback" not in out
    assert not secrets.exists()


@posix_only  # pexpect
def test_a_terminal_shows_progress_and_ctrl_c_ends_it(
    terminal: Callable[..., Any], secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", "true")
    child = terminal()
    child.expect("Waiting for your browser, 5:00 left. Press Ctrl-C to stop.")
    child.expect("4:59 left")
    out = interrupt(child)
    assert child.exitstatus == 130
    assert "Nothing was saved." in out
    assert not secrets.exists()


@posix_only  # pexpect
@pytest.mark.parametrize("columns", [20, 40, 58, 59])
def test_the_progress_fits_any_terminal(
    terminal: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """A line that wraps can't be rewritten: each second would leave another one."""
    monkeypatch.setenv("BROWSER", "true")
    child = terminal("--timeout", "601")
    child.setwinsize(24, columns)
    child.expect(r"9:5\d[^\r]*\r")
    _, *lines = re.findall(r"[^\r]*\d:\d\d[^\r]*", child.before + child.after)
    lengths = [len(line) for line in lines]  # the first may be older than the window
    assert max(lengths) < columns
    assert lengths == sorted(lengths)  # "10:00" is longer than "9:59", and nothing of it is left
    interrupt(child)


@posix_only  # pexpect
@pytest.mark.parametrize("colour", [True, False])
def test_a_terminal_gets_colour(
    terminal: Callable[..., Any],
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    colour: bool,
) -> None:
    if not colour:
        monkeypatch.setenv("NO_COLOR", "1")
    child = terminal("--no-browser")
    child.expect(PROMPT)
    child.sendline(sandbox.token)
    child.expect("Logged in to")
    child.expect("Send your token")
    assert ("\x1b[" in child.before) is colour
    child.sendline("n")
    end(child)


def on_stdin(sandbox: Sandbox, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cave_auth_adapter", "login", sandbox.auth_server, *options],
        input=text,
        capture_output=True,
        text=True,
        timeout=20,
    )


@pytest.mark.parametrize("form", ["{}\n", "Bearer {}", '{{\n  "token": "{}"\n}}\n'])
def test_a_token_on_stdin_is_saved(sandbox: Sandbox, secrets: Path, form: str) -> None:
    done = on_stdin(sandbox, form.format(sandbox.token), "--token-stdin")
    assert done.returncode == 0, done.stderr
    assert set(saved(secrets).values()) == {sandbox.token}
    assert sandbox.token not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_another_accounts_token_on_stdin_is_saved_with_overwrite(
    sandbox: Sandbox, secrets: Path
) -> None:
    on_stdin(sandbox, sandbox.token, "--token-stdin")
    other = sandbox.create_token(sandbox.create_user("Bob"))
    assert on_stdin(sandbox, other, "--token-stdin").returncode == 3
    done = on_stdin(sandbox, other, "--token-stdin", "--overwrite")
    assert done.returncode == 0, done.stderr
    assert set(saved(secrets).values()) == {other}


@pytest.mark.parametrize(
    ("text", "code"), [("", 3), ("\n", 3), ("a b", 3), ("0" * 32, 3), ("x" * 100_000, 3)]
)
def test_an_empty_stdin_is_an_error(sandbox: Sandbox, secrets: Path, text: str, code: int) -> None:
    done = on_stdin(sandbox, text, "--token-stdin")
    assert done.returncode == code
    assert done.stderr.count("cave-auth: ") == 1
    assert "Traceback" not in done.stderr
    assert "000000" not in done.stderr
    assert not secrets.exists()


def test_without_a_terminal_the_login_does_not_wait(sandbox: Sandbox) -> None:
    done = on_stdin(sandbox, "", "--no-browser", "--as", "my lab", "--default")
    assert done.returncode == 3
    server = sandbox.auth_server.removeprefix("https://")
    next_step = f"cave-auth login {server} --as {quoted('my lab')} --default --token-stdin"
    assert done.stderr.rstrip().endswith(next_step)


def test_an_address_without_a_token_is_explained(sandbox: Sandbox, secrets: Path) -> None:
    class Pastes(Answers):
        def show_address(self, address: str, *, opened: bool) -> None:
            import urllib.parse

            self.pasted = urllib.parse.unquote(address.partition("redirect=")[2])

    with pytest.raises(InvalidToken, match="Copy all of it"):
        login(sandbox.auth_server, open_browser=False, dialogue=Pastes())
    with pytest.raises(LoginFailed, match="nobody to ask"):
        login(sandbox.auth_server, open_browser=False, dialogue=Answers(asks=False))


@posix_only  # pexpect
def test_ctrl_c_at_the_last_question_keeps_the_saved_key(
    terminal: Callable[..., Any], sandbox: Sandbox, secrets: Path
) -> None:
    """By then the key is saved, and the message must not deny it."""
    child = terminal("--no-browser")
    child.expect(PROMPT)
    child.sendline(sandbox.token)
    child.expect("Send your token there, too")
    out = interrupt(child)
    assert child.exitstatus == 130
    assert "interrupted." in out
    assert "Nothing was saved" not in out
    assert set(saved(secrets).values()) == {sandbox.token}
