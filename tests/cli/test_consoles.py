"""What the commands print where a console is narrow, dumb, full, or writes few characters."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click
import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.cli import main
from cave_auth_adapter.sandbox import Sandbox
from cave_auth_adapter.words import wrapped
from cave_auth_startup.command import main as console_script

from ..support.systems import needs_dev_full, posix_only
from .conftest import Run

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
    """A user whose name few encodings can write is logged in."""
    token = sandbox.create_token(sandbox.create_user(NAME, permissions={"sandbox": ["view"]}))
    for server in (sandbox.auth_server, sandbox.data_server):
        TokenStore().save(token, server)
    TokenStore().save(token, sandbox.auth_server, key="Łukasz")
    return sandbox


def in_console(
    sandbox: Sandbox, command: str, **options: Any
) -> subprocess.CompletedProcess[bytes]:
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
    done = in_console(lukasz, command, environ={"PYTHONIOENCODING": f"{encoding}:strict"})
    said = (done.stdout + done.stderr).decode(encoding, "replace")
    assert said.strip()
    assert "Traceback" not in said
    assert "codec" not in said


@needs_dev_full
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_reported(lukasz: Sandbox, command: str) -> None:
    with open("/dev/full", "wb") as full:
        done = in_console(lukasz, command, stdout=full)
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


def on_terminal(
    columns: int, *words: str, command: Sequence[str] = ("-m", "cave_auth_adapter"), **environ: str
) -> str:
    import pexpect

    child = pexpect.spawn(
        sys.executable,
        [*command, *words],
        env={**environ_of_a_person(), "TERM": "xterm", **environ},
        dimensions=(50, columns),
        encoding="utf-8",
        timeout=60,
    )
    child.expect(pexpect.EOF)
    child.close()
    said: str = child.before
    return said


_ALL = """
import json, sys
from cave_auth_adapter.cli import main
for words in json.loads(sys.argv[1]):
    try:
        main(words, prog_name="cave-auth")
    except SystemExit:
        print("\\x1e", flush=True)
"""


def all_on_terminal(columns: int, asked: list[tuple[str, ...]], **environ: str) -> list[str]:
    """What each of some commands shows on a terminal, without colours."""
    said = on_terminal(columns, json.dumps(asked), command=["-c", _ALL], **environ)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said.replace("\r\n", "\n"))
    *shown, rest = plain.split("\x1e\n")
    assert (len(shown), rest) == (len(asked), ""), plain
    return shown


def every_command(
    command: click.Command = main, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield words, command
    for name, each in getattr(command, "commands", {}).items():
        yield from every_command(each, (*words, name))


def commands_in(text: str) -> set[str]:
    """The command lines in a text without wrapped lines."""
    ends = r"(?=[.,;:)]*(?: +[A-Z(]|  |$)|`|, )"
    programs = "cave-auth|python -m|pip|rm|chmod|unset|export|keyring del|curl"
    return set(re.findall(rf"(?:^ *|[:`] |`)((?:{programs}) [^`\n]+?){ends}", text, re.MULTILINE))


def check_that_it_fits(shown: str, columns: int, wide: str) -> None:
    """Check that no line is too long, and no word or command is broken.

    :param wide: the same text, as a console without end shows it.
    """
    commands, lines = commands_in(wide), shown.splitlines()
    for line in lines:
        # What is longer than the console stands on a line of its own.
        alone = " " not in line.strip() or line.strip() in commands
        assert len(line) <= columns or alone, line
    assert shown.split() == wide.split()
    for command in commands:
        assert command in shown, command


@posix_only
@pytest.mark.parametrize("columns", [60, 100])
def test_help_fits_the_width_of_the_terminal(run: Run, columns: int) -> None:
    asked = [(*words, "--help") for words, _ in every_command()]
    for words, shown in zip(asked, all_on_terminal(columns, asked), strict=True):
        wide = run(*words, prog_name="cave-auth", terminal_width=500).stdout
        check_that_it_fits(shown, columns, wide)
        assert all(len(line) <= columns for line in shown.splitlines())


@posix_only
def test_the_help_of_options_fits_a_narrow_terminal() -> None:
    shown = on_terminal(40, "login", "--help")
    options = shown.partition("Options:")[2].splitlines()
    assert len(options) > 10
    assert max(map(len, options)) <= 40


@pytest.mark.parametrize("words", [words for words, _ in every_command()], ids=" ".join)
def test_help_breaks_no_word_or_command_at_any_width(run: Run, words: tuple[str, ...]) -> None:
    """Which words come to the end of a line changes with each word of the text."""
    wide = run(*words, "--help", terminal_width=500).stdout
    for width in range(48, 100):
        shown = run(*words, "--help", terminal_width=width).stdout
        assert shown.split() == wide.split(), width
        assert {each for each in commands_in(wide) if each not in shown} == set(), width


def test_messages_break_no_command_at_any_width(monkeypatch: pytest.MonkeyPatch) -> None:
    message = (
        "Do this. Your token is from elsewhere: cave-auth login cave.example.org --as project b. "
        "To end it: cave-auth keys revoke 17 --server minnie.microns-daf.com. Or `cave-auth switch "
        "anna --server example.org`, and after that: pip install 'requests[socks] >= 2'. Or: "
        'keyring del cave-auth-adapter "any server". Or: unset CAVE_TOKEN and log in. '
        "To see form and rights: cave-auth permissions minnie65_public, then cave-auth terms."
    )
    commands = {
        "cave-auth login cave.example.org --as project",
        "cave-auth keys revoke 17 --server minnie.microns-daf.com.",
        "cave-auth switch anna --server example.org",
        "pip install 'requests[socks] >= 2'.",
        'keyring del cave-auth-adapter "any server".',
        "unset CAVE_TOKEN",
        "cave-auth permissions minnie65_public,",
    }
    for columns in range(40, 100):
        monkeypatch.setenv("COLUMNS", str(columns))
        shown = wrapped(message)
        assert shown.split() == message.split()
        assert {each for each in commands if each not in shown} == set()
        # Words of a sentence are not taken for a part of the command before them.
        assert all(
            len(line) <= columns or line.strip("`,") in commands for line in shown.splitlines()
        )


def wrong_lines() -> Iterator[tuple[str, ...]]:
    """A few for each command; none gets so far as to do anything."""
    for words, command in every_command():
        if words != ("run",):  # it takes any option as one of the program's
            yield (*words, "--nope")
            yield (*words, "x", "y", "z")
        if any(isinstance(each, click.Argument) and each.required for each in command.params):
            yield words
    yield from (("login", "a b"), ("login", "0123456789abcdef0123456789abcdef"), ("check", "a b"))


@posix_only
@pytest.mark.parametrize("columns", [60, 100])
def test_usage_errors_fit_the_width_of_the_terminal(run: Run, columns: int) -> None:
    asked = [*wrong_lines()]
    for words, shown in zip(asked, all_on_terminal(columns, asked), strict=True):
        result = run(*words, prog_name="cave-auth", terminal_width=500)
        assert result.exit_code == 2, words
        check_that_it_fits(shown, columns, result.output)


#: Commands whose cells are cut where the console is narrow.
TABLES = ["hosts", "accounts", "keys list", "permissions"]
TOLD = [
    *("status", "whoami", "doctor", "terms", "enable --status", "trust {data} --yes"),
    *("check {data}/echo", "check {data}/needs-permission", "check {data}/needs-tos"),
    *("check {foreign}/x", "check https://global.daf-apis.com.evil.example/a"),
    *("check https://minnie.microns-daf.com/x", "token https://www.example.org/"),
    *("keys revoke 99999", "switch nobody", "logout global.daf-apis.com", "permissions nothing"),
    *("login minnie.microns-daf.com", "login github.com", "login globl.daf-apis.com", "login Nix"),
    *("login {auth}", "trust --undo www.example.org", "keys list --server cave.my-lab.org"),
]


@posix_only
@pytest.mark.parametrize("columns", [60, 100])
@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_output_fits_the_width_of_the_terminal(
    run: Run, lukasz: Sandbox, columns: int, term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # only the sandbox is reached
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    servers = {
        "data": lukasz.data_server,
        "auth": lukasz.auth_server,
        "foreign": lukasz.foreign_server,
    }
    asked = [tuple(line.format(**servers).split()) for line in (*TOLD, *TABLES)]
    shown = all_on_terminal(columns, asked, TERM=term)
    monkeypatch.setattr("cave_auth_adapter.words._WIDE", 5000)
    monkeypatch.setenv("COLUMNS", "5000")
    for words, text in zip(asked, shown, strict=True):
        if " ".join(words) in TABLES:
            assert all(len(line) <= columns for line in text.splitlines()), text
        else:
            check_that_it_fits(text, columns, run(*words).output)


@posix_only
def test_a_login_fits_a_narrow_terminal_of_few_characters(lukasz: Sandbox) -> None:
    import pexpect

    child = pexpect.spawn(
        sys.executable,
        ["-m", "cave_auth_adapter", "login", lukasz.auth_server, "--overwrite", "--no-browser"],
        env={**environ_of_a_person(), "PYTHONIOENCODING": "latin-1:strict", "TERM": "xterm"},
        dimensions=(50, 60),
        encoding="latin-1",
        timeout=60,
    )
    shown = ""
    for answer in (lukasz.create_token(lukasz.create_user("Ž 神")), "yes"):
        child.expect(": $")
        shown += child.before + child.after
        child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    shown = re.sub(r"\x1b\[[0-9;]*m", "", shown + child.before)
    assert "Until now you were Lukasz Cerný ?" in shown
    for line in shown.splitlines():
        assert len(line) <= 60 or " " not in line.strip(), line


@posix_only
def test_a_dumb_terminal_gets_no_control_characters() -> None:
    said = on_terminal(80, "logout", TERM="dumb")
    assert "no token" in said
    assert "\x1b" not in said
    assert "\r" not in said.replace("\r\n", "")
    assert "\x1b[" in on_terminal(80, "logout")
