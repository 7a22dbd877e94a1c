"""Completion in real shells, those that are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.cli import main
from cave_auth_adapter.cli.completion import PowerShell

from ..support.systems import CAVE_AUTH, posix_only

POWERSHELL = shutil.which("pwsh") or shutil.which("powershell")
SOURCE = {
    "bash": 'eval "$(_CAVE_AUTH_COMPLETE=bash_source cave-auth)"\n',
    "zsh": 'eval "$(_CAVE_AUTH_COMPLETE=zsh_source cave-auth)"\n',
    "fish": "_CAVE_AUTH_COMPLETE=fish_source cave-auth | source\n",
    "powershell": (
        "$env:_CAVE_AUTH_COMPLETE = 'powershell_source'; cave-auth | Out-String | "
        "Invoke-Expression; Remove-Item Env:_CAVE_AUTH_COMPLETE\n"
    ),
}


def asked(shell: str, words: str, word: str) -> list[str]:
    """What a shell is answered when it asks for the rest of a word."""
    number = str(len(words.split()) - bool(word))
    done = subprocess.run(
        [CAVE_AUTH],
        env={
            **os.environ,
            "_CAVE_AUTH_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": word if shell in ("fish", "powershell") else number,
        },
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def in_shell(command: list[str], script: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {Path(command[0]).name} here")
    path = f"{CAVE_AUTH.parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [*command, script],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("shell", SOURCE)
def test_servers_are_completed(shell: str) -> None:
    TokenStore().save("0123456789abcdef", "cave.my-lab.org")
    answer = asked(shell, "cave-auth status cave", "cave")
    assert any("cave.my-lab.org" in line for line in answer)


@posix_only  # modes
def test_a_warning_is_not_shown_while_a_line_is_typed(secrets: Path) -> None:
    """A shell shows what a completion writes to stderr in the middle of that line."""
    TokenStore().save("0123456789abcdef", "cave.my-lab.org")
    secrets.chmod(0o777)  # such a file makes no server trusted, which is a warning
    answer = asked("zsh", "cave-auth status cave", "cave")  # which insists on an empty stderr
    assert "cave.my-lab.org" not in answer


@pytest.mark.parametrize("shell", SOURCE)
def test_completion_prints_the_line_of_the_page(shell: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text("utf-8")
    assert SOURCE[shell] in page


def test_powershell_gets_a_value_and_its_help() -> None:
    (line,) = asked("powershell", "cave-auth key", "key")
    assert line == "keys\tList, make, replace and revoke your API keys."
    assert "login\tLog in to a CAVE server in your browser." in asked("powershell", "cave-auth", "")


@pytest.mark.parametrize(
    ("line", "word", "expected"),
    [
        (r"cave-auth run C:\my\tool.py --na", "--na", (["run", r"C:\my\tool.py"], "--na")),
        (r"cave-auth run .\to", r".\to", (["run"], r".\to")),
        (r'cave-auth run "C:\My Tools\to', r'"C:\My Tools\to', (["run"], r"C:\My Tools\to")),
        ("cave-auth switch 'my l", "'my l", (["switch"], "my l")),
        ("cave-auth switch my` l", "my` l", (["switch"], "my l")),
        ("cave-auth switch my` l", "my l", (["switch"], "my l")),
        ("cave-auth keys ", "", (["keys"], "")),
    ],
)
def test_a_line_of_powershell_keeps_its_backslashes(
    line: str, word: str, expected: tuple[list[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", word)
    complete = PowerShell(main, {}, "cave-auth", "_CAVE_AUTH_COMPLETE")
    assert complete.get_completion_args() == expected


def test_fish_shows_help_with_commas() -> None:
    script = SOURCE["fish"] + 'complete -C "cave-auth key"'
    done = in_shell(["fish", "--no-config", "-c"], script)
    assert done.stdout == "keys\tList, make, replace and revoke your API keys.\n", done.stderr


@pytest.mark.parametrize("is_loaded", [True, False])
def test_zsh_completes_with_and_without_compinit(is_loaded: bool) -> None:
    load = "autoload -Uz compinit && compinit -u\n" if is_loaded else ""
    script = load + SOURCE["zsh"] + "echo and on; echo ${_comps[cave-auth]}"
    done = in_shell(["zsh", "-f", "-c"], script)
    assert done.stdout.splitlines()[0] == "and on"
    if is_loaded:
        assert (done.stdout.splitlines()[1], done.stderr) == ("_cave_auth_completion", "")
    else:
        (line,) = done.stderr.splitlines()
        assert line.startswith("cave-auth: zsh completes nothing yet. ")
        assert line.endswith("autoload -Uz compinit && compinit")


def test_powershell_completes_servers() -> None:
    if POWERSHELL is None or b"works" not in subprocess.check_output(
        [POWERSHELL, "-NoProfile", "-Command", "echo works"]  # that of Wine does nothing
    ):
        pytest.skip("there is no PowerShell here")
    line = "cave-auth key"
    script = (
        f"{SOURCE['powershell']}(TabExpansion2 -inputScript '{line}' -cursorColumn {len(line)})"
        ".CompletionMatches | ForEach-Object { $_.CompletionText }"
    )
    done = in_shell([POWERSHELL, "-NoProfile", "-Command"], script)
    assert done.stdout.split() == ["keys"], done.stderr
