"""What the commands print where a console is narrow, dumb, full, or writes few characters."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.cli import main
from cave_auth_adapter.sandbox import Sandbox
from cave_auth_startup.command import main as console_script

from ..support.systems import needs_dev_full, posix_only

NAME = "Łukasz Černý 神"
COMMANDS = [
    *("status", "whoami", "accounts", "hosts", "doctor", "permissions", "terms", "keys list"),
    *("status --json", "token {data}", "header {data}/x", "check {data}/echo", "check {data}/nö"),
    *("keys create Š", "keys revoke 99999", "login {auth} --token-stdin", "logout a.example"),
    *(
        "switch Łukasz",
        "trust {data} --yes",
        "login Łódź",
        "check ä",
        "--help",
        "login --help",
        "Ł",
    ),
    *("enable --status", "run łukasz.py", "logout"),
]


@pytest.fixture
def lukasz(sandbox: Sandbox) -> Sandbox:
    """Somebody whose name few encodings can write is logged in, under such a name."""
    token = sandbox.create_token(sandbox.create_user(NAME, permissions={"sandbox": ["view"]}))
    for server in (sandbox.auth_server, sandbox.data_server):
        TokenStore().save(token, server)
    TokenStore().save(token, sandbox.auth_server, key="Łukasz")
    return sandbox


def run(sandbox: Sandbox, command: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    words = command.format(data=sandbox.data_server, auth=sandbox.auth_server).split()
    token = TokenStore().load(sandbox.auth_server) or ""
    environ = {**os.environ, "PYTHONUTF8": "0", **options.pop("environ", {})}
    return subprocess.run(
        [sys.executable, "-m", "cave_auth_adapter", *words],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        input=token.encode(),
        env=environ,
        timeout=60,
        check=False,
    )


def test_every_command_is_tested() -> None:
    assert {*main.commands} - {"disable"} <= {command.split()[0] for command in COMMANDS}


ENCODINGS = ["ascii", "latin-1", "cp1252", "cp850", "cp437"]  # the last two: of cmd.exe


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_print_in_every_encoding(
    lukasz: Sandbox, command: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, _ = run_here(lukasz, command, "utf-8", monkeypatch)
    if command.startswith(("keys create", "logout")):  # not the same a second time
        there = -1
        TokenStore().save(lukasz.token, lukasz.auth_server, overwrite=True)
    code, said = run_here(lukasz, command, encoding, monkeypatch)
    assert said.strip()
    assert "codec" not in said
    assert code == there or there == -1
    if command in ("status", "whoami"):
        assert "Lukasz Cern" in said


def run_here(
    sandbox: Sandbox, command: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str]:
    """The console script in this process, as a new one for each takes seconds on Windows."""
    words = command.format(data=sandbox.data_server, auth=sandbox.auth_server).split()
    token = TokenStore().load(sandbox.auth_server) or ""
    streams = {
        name: io.TextIOWrapper(io.BytesIO(content), encoding=encoding, errors=errors)
        for name, content, errors in (
            ("stdin", token.encode(), "strict"),
            ("stdout", b"", "strict"),
            ("stderr", b"", "backslashreplace"),  # as Python opens it
        )
    }
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["cave-auth", *words])
        for name, stream in streams.items():
            patch.setattr(sys, name, stream)
        with pytest.raises(SystemExit) as ended:
            console_script()
    said = b""
    for stream in (streams["stdout"], streams["stderr"]):
        stream.flush()
        said += stream.buffer.getvalue()
    # click writes UTF-8 for ASCII
    return int(ended.value.code or 0), said.decode(encoding, "replace")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437"])
@pytest.mark.parametrize("command", ["status", "check {data}/nö", "run łukasz.py"])
def test_commands_print_in_every_encoding_as_a_process(
    lukasz: Sandbox, command: str, encoding: str
) -> None:
    done = run(lukasz, command, environ={"PYTHONIOENCODING": f"{encoding}:strict"})
    said = (done.stdout + done.stderr).decode(encoding, "replace")
    assert said.strip()
    assert "Traceback" not in said
    assert "codec" not in said


@needs_dev_full
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_reported(lukasz: Sandbox, command: str) -> None:
    with open("/dev/full", "wb") as full:
        done = run(lukasz, command, stdout=full)
    said = done.stderr.decode()
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert done.returncode in (1, 2, 3, 5, 127)
    if done.returncode == 1 and "no space left" in said:
        assert said.splitlines()[-1] == (
            "cave-auth: the output can't be written or read: no space left on device."
        )


# --- on a terminal -------------------------------------------------------------------------


def environ_of_a_person() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}


def on_terminal(columns: int, *words: str, **environ: str) -> str:
    import pexpect

    child = pexpect.spawn(
        sys.executable,
        ["-m", "cave_auth_adapter", *words],
        env={**environ_of_a_person(), "TERM": "xterm", **environ},
        dimensions=(50, columns),
        encoding="utf-8",
        timeout=60,
    )
    child.expect(pexpect.EOF)
    child.close()
    said: str = child.before
    return said


@posix_only
@pytest.mark.parametrize("columns", [60, 100])
@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["hosts"],
        ["doctor"],
        ["check", "https://minnie.microns-daf.com/x"],
        ["logout", "global.daf-apis.com"],
        ["token", "https://global.daf-apis.com.evil.example/a"],
        ["login", "a b"],
    ],
)
def test_help_fits_the_width_of_the_terminal(
    columns: int, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # nobody is reached
    said = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(columns, *words))
    for line in said.replace("\r\n", "\n").split("\n"):
        line = line.rpartition("\r")[2]
        # A command that is longer than the line stands on a line of its own, whole.
        is_command = line.strip().startswith("cave-auth ")
        assert len(line) <= columns or is_command or " " not in line.strip(), line
    for command in re.findall(r"cave-auth login[^\n]*", said):
        assert not command.rstrip().endswith("cave-auth login --"), command
    assert "cave-auth\r\n" not in said


@posix_only
def test_a_dumb_terminal_gets_no_control_characters() -> None:
    said = on_terminal(80, "logout", TERM="dumb")
    assert "no token" in said
    assert "\x1b" not in said
    assert "\r" not in said.replace("\r\n", "")
    assert "\x1b[" in on_terminal(80, "logout")
