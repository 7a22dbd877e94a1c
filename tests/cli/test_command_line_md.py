"""``docs/command-line.md``: its terminal session is run, and its tables are compared."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cave_auth_adapter.cli import common, main
from cave_auth_adapter.sandbox import Sandbox

from .conftest import host

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text("utf-8")
SESSION = "".join(re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL))
STEPS = [
    (step.partition("\n")[0], step.partition("\n")[2])
    for step in re.split(r"^\$ ", SESSION, flags=re.MULTILINE)[1:]
]


@pytest.fixture
def shell(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """A shell on a computer where the browser logs a user in, and CAVE is the sandbox."""
    user = sandbox.create_user("New User", permissions={"sandbox": ["view", "edit"]})
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\ncurl -sL --cacert "{sandbox.ca_bundle}" -d user={user} -o /dev/null "$1" &\n'
    )
    browser.chmod(0o755)
    (tmp_path / "cave-auth").write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m cave_auth_adapter "$@"\n'
    )
    (tmp_path / "cave-auth").chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    names = {
        host(sandbox.auth_server): "cave.my-lab.org",
        host(sandbox.data_server): "data.my-lab.org",
        f"cave-auth on {socket.gethostname()}": "cave-auth on my-laptop",
        f"id {user}\n": "id 5\n",
    }

    def run(command: str) -> str:
        for real, shown in names.items():
            command = command.replace(shown, real)
        done = subprocess.run(
            ["sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
        )
        out = done.stdout
        for real, shown in names.items():
            out = out.replace(real, shown)
        return out

    return run


def normal(text: str) -> str:
    """What is told, whatever the names in it: they break lines elsewhere, and sort differently."""
    files = iter(sorted(re.findall(r"^  ~.*$", text, re.MULTILINE)))
    return " ".join(re.sub(r"^  ~.*$", lambda _: next(files), text, flags=re.MULTILINE).split())


@pytest.mark.skipif(not shutil.which("curl"), reason="curl plays the browser, and is not here")
def test_the_session_of_a_newcomer(shell: Callable[[str], str]) -> None:
    commands = [command.split()[1] for command, _ in STEPS]
    assert commands[0] == "login"
    assert {"status", "check", "logout"} <= set(commands)
    for command, expected in STEPS:
        pattern = re.escape(normal(expected)).replace("…", ".*")
        out = normal(shell(command))
        # Files are in the order of their names, and so, in the sandbox, of its ports.
        same_words = sorted(out.split()) == sorted(expected.split())
        assert same_words or re.fullmatch(pattern, out), f"$ {command}\n{out}"


def test_every_command_is_told() -> None:
    told = set(re.findall(r"^\| `([a-z]+)", PAGE, re.MULTILINE))
    assert told >= set(main.commands)


def test_the_exit_codes() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    known = {
        value
        for name, value in vars(common).items()
        if name.isupper() and name[0] != "_" and isinstance(value, int)
    }
    assert told == {0, 126, 127, *known}
