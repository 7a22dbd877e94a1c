"""Notebooks, commands in notebooks, and places whose browser can't reach this computer."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import subprocess
import sys
import traceback
import types
from pathlib import Path
from typing import Any

import pexpect
import pytest
from IPython.core.error import StdinNotImplementedError
from IPython.core.interactiveshell import InteractiveShell

from cave_auth_adapter.errors import CaveAuthError, InvalidToken, LoginFailed
from cave_auth_adapter.login import dialogue, login, places
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import saved
from .conftest import consent

ELSEWHERE = {
    "BINDER_LAUNCH_HOST": "Binder",
    "JUPYTERHUB_API_URL": "JupyterHub",
    "COLAB_RELEASE_TAG": "Google Colab",
    "CODESPACES": "Codespaces",
    "REMOTE_CONTAINERS": "a dev container",
    "VSCODE_IPC_HOOK_CLI": "VS Code",
    "SSH_CONNECTION": "SSH",
    "SSH_TTY": "SSH",
}


class Shell:
    kernel = object()


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What is displayed in the notebook that we are in."""
    displayed: list[dict[str, str]] = []

    def display(data: dict[str, str], raw: bool) -> None:
        displayed.append(data)

    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=Shell))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    return displayed


def addresses(shown: list[dict[str, str]]) -> tuple[str, str]:
    """The address behind the link, and in the text of a front end without HTML."""
    found = re.search(r'href="([^"]+)"', shown[0]["text/html"])
    assert found
    return found[1].replace("&amp;", "&"), shown[0]["text/plain"].partition("CAVE: ")[2]


# --- In a cell -----------------------------------------------------------------------------


def test_a_notebook_shows_a_link_and_a_prompt(
    shown: list[dict[str, str]], sandbox: Sandbox, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")  # of a computer that may be elsewhere

    def paste(prompt: str) -> str:
        link, plain = addresses(shown)
        assert link == plain
        return consent(link, sandbox)

    monkeypatch.setattr("getpass.getpass", paste)
    monkeypatch.setattr("builtins.input", lambda prompt: "yes")
    client = login(sandbox.auth_server)
    assert 'rel="noopener noreferrer"' in shown[0]["text/html"]
    assert set(saved(secrets).values()) == {client.token}
    assert len(saved(secrets)) == 2


def test_a_wrong_paste_can_be_followed_by_the_right_one(
    shown: list[dict[str, str]],
    sandbox: Sandbox,
    secrets: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pastes = iter(["two words", "http://127.0.0.1:1/other?token=0123456789abcdef"])
    monkeypatch.setattr(
        "getpass.getpass", lambda prompt: next(pastes, "") or consent(addresses(shown)[0], sandbox)
    )
    monkeypatch.setattr("builtins.input", lambda prompt: "no")
    login(sandbox.auth_server)
    assert len(shown) == 1  # the same address stays good
    assert capsys.readouterr().err.count("Try again; the address above is still valid.") == 2
    assert len(saved(secrets)) == 1


def in_ipython(error: BaseException) -> str:
    """What IPython shows of an error."""
    lines: list[str] = []

    class Quiet(InteractiveShell):
        def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
            lines.extend(stb)

    Quiet().showtraceback((type(error), error, error.__traceback__))
    return "\n".join(lines)


def test_three_wrong_pastes_end_in_one_line(
    shown: list[dict[str, str]], sandbox: Sandbox, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pastes = ["two words"] * 3
    monkeypatch.setattr("getpass.getpass", lambda prompt: pastes.pop())
    with pytest.raises(InvalidToken) as caught:
        login(sandbox.auth_server)
    assert pastes == []
    assert in_ipython(caught.value) == f"InvalidToken: {caught.value}"
    assert "two words" not in str(caught.value)
    assert "log_in" in "".join(traceback.format_exception(caught.value))  # else as it is
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert not secrets.exists()


@pytest.mark.parametrize("server", ["https://localhost:1", "no host"])
def test_a_wrong_server_is_one_line_of_error(shown: list[dict[str, str]], server: str) -> None:
    with pytest.raises(CaveAuthError) as caught:
        login(server)
    assert in_ipython(caught.value) == f"{type(caught.value).__name__}: {caught.value}"


def test_an_interrupted_cell_ends_the_login(
    shown: list[dict[str, str]],
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("getpass.getpass", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        login(sandbox.auth_server)
    assert in_ipython(caught.value) == "KeyboardInterrupt"
    assert "Nothing was saved." in capsys.readouterr().err


def test_outside_a_notebook_errors_have_their_traceback(sandbox: Sandbox) -> None:
    with pytest.raises(LoginFailed) as caught:
        login(sandbox.auth_server, open_browser=False, dialogue=dialogue.Dialogue(asks=False))
    assert "Traceback" in in_ipython(caught.value)


def test_a_notebook_run_without_a_person_does_not_wait(
    shown: list[dict[str, str]], sandbox: Sandbox, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with nbconvert --execute."""

    def refuse(prompt: str) -> str:
        raise StdinNotImplementedError("this frontend does not support input requests")

    monkeypatch.setattr("getpass.getpass", refuse)
    monkeypatch.setattr("builtins.input", refuse)
    with pytest.raises(LoginFailed, match="in a terminal: cave-auth login"):
        login(sandbox.auth_server)
    assert not secrets.exists()
    assert dialogue.default_dialogue().confirm("Really?") is False


# --- A command in a cell -------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(
    ("variable", "value"),
    [("JPY_PARENT_PID", "1"), ("MPLBACKEND", "module://matplotlib_inline.backend_inline")],
)
def test_a_command_in_a_notebook_prints_the_lines_for_a_cell(variable: str, value: str) -> None:
    """IPython gives ``!command`` a terminal at which nobody can type. No server is asked."""
    command = f"{sys.executable} -m cave_auth_adapter login localhost:1 --overwrite --as lab_b"
    child = pexpect.spawn(command, env={**os.environ, variable: value}, timeout=20)
    child.expect(pexpect.EOF)
    child.close()
    told = re.sub(rb"\x1b\[\d+m", b"", child.before).decode().split("\r\n")
    assert told[-3:] == [
        "from cave_auth_adapter import login",
        "login('localhost:1', overwrite=True, account='lab_b')",
        "",
    ]
    assert child.exitstatus == 3


@pytest.mark.skipif(sys.platform == "win32", reason="IPython gives a command no terminal there")
@pytest.mark.parametrize("prefix", ["", "true && ", "env X=1 "])
def test_a_kernel_is_known_without_any_variable(prefix: str, tmp_path: Path) -> None:
    """As VS Code starts one for a user who sets MPLBACKEND; here it is IPython's ``system()``."""
    command = f"{prefix}{sys.executable} -m cave_auth_adapter login localhost:1"
    kernel = tmp_path / "ipykernel_launcher.py"
    kernel.write_text(f"from IPython.utils.process import system\nsystem({command!r})\n")
    done = subprocess.run(
        [sys.executable, kernel],
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "login('localhost:1')" in done.stdout, done
    other = kernel.rename(tmp_path / "terminal.py")
    done = subprocess.run([sys.executable, other], capture_output=True, text=True, timeout=60)
    assert "localhost:1 can't be reached" in done.stdout, done


@pytest.mark.skipif(sys.platform == "win32", reason="IPython gives a command no terminal there")
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/usr/bin/python3\0-m\0ipykernel_launcher\0--f=kernel.json\0", True),
        ("/usr/bin/python3 -m ipykernel -f kernel.json\n", True),
        ("python /lib/site-packages/ipykernel_launcher.py", True),
        ("python -m spyder_kernels.console --matplotlib=inline", True),
        ("/envs/ipykernel/bin/python /envs/ipykernel/bin/jupyter-lab", False),
        ("sshd: anna@pts/0", False),
        ("", False),
    ],
)
def test_a_kernel_is_known_by_its_command_line(
    command: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal of JupyterLab is one that a person can type at."""
    monkeypatch.setattr(places, "_opener_of_terminal", lambda: command)
    assert places.below_notebook() is expected


@pytest.mark.skipif(sys.platform == "win32", reason="there is no ps")
@pytest.mark.parametrize("platform", [sys.platform, "darwin"])
def test_the_parent_of_a_process_and_its_command_line(
    platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("ps") is None:
        pytest.skip("there is no ps here")
    monkeypatch.setattr(places.sys, "platform", platform)
    with subprocess.Popen([sys.executable, "-c", "input()", "a b"], stdin=subprocess.PIPE) as child:
        assert int(places._about(child.pid, "ppid")) == os.getpid()
        assert "a b" in places._about(child.pid, "command")
        child.communicate()


def test_the_lines_for_a_cell_are_short() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cave_auth_adapter", "login"],
        env={**os.environ, "JPY_PARENT_PID": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 3
    assert done.stderr.endswith("\nlogin()\n")
    assert done.stdout == ""


def test_a_command_in_a_notebook_accepts_a_token_on_stdin(
    sandbox: Sandbox, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cave_auth_adapter", "login", sandbox.auth_server, "--token-stdin"],
        env={**os.environ, "JPY_PARENT_PID": "1"},
        input=sandbox.token,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    assert set(saved(secrets).values()) == {sandbox.token}


def test_a_command_in_a_notebook_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert dialogue.default_dialogue().asks
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    assert not dialogue.default_dialogue().asks
    assert not dialogue.default_dialogue().confirm("Really?")


# --- Where the browser is ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, sys.platform in ("win32", "darwin")),
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True),
        ({"BROWSER": "firefox"}, True),
        *(({"DISPLAY": ":0", "BROWSER": "firefox", name: "x"}, False) for name in ELSEWHERE),
        ({"DISPLAY": ":0", "JPY_PARENT_PID": "1"}, False),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_a_browser_is_found_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], expected: bool
) -> None:
    for each, value in environ.items():
        monkeypatch.setenv(each, value)
    assert places.has_browser() is expected


def test_a_notebook_opens_no_browser(
    shown: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    assert not places.has_browser()
    assert not places.below_notebook()
    assert isinstance(dialogue.default_dialogue(), dialogue.NotebookDialogue)


@pytest.mark.parametrize("variable", [None, *ELSEWHERE])
def test_the_instructions_name_the_place_of_the_browser(
    shown: list[dict[str, str]],
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str | None,
) -> None:
    told: list[Any] = []

    def paste(prompt: str) -> str:
        told.append(capsys.readouterr().out)
        return sandbox.token

    monkeypatch.setattr("getpass.getpass", paste)
    monkeypatch.setattr("builtins.input", lambda prompt: "no")
    if variable:
        monkeypatch.setenv(variable, "something")
    login(sandbox.auth_server)
    assert ("your browser can't reach the kernel" in told[0]) == bool(variable)
    if variable:
        assert ELSEWHERE[variable] in told[0]
