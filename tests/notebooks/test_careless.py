"""login() and `!cave-auth login` in the cells of somebody who does all that can go wrong."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import saved
from .kernel import Kernel, running_kernel
from .lab import NAME, SECONDS, write_notebook


@pytest.fixture
def kernel(sandbox: Sandbox) -> Iterator[Kernel]:
    with running_kernel() as kernel:
        yield kernel


@pytest.fixture
def cell(sandbox: Sandbox) -> str:
    return f"from cave_auth_adapter import login\nlogin({sandbox.auth_server!r})"


def last_line(shown: str) -> str:
    return shown.rstrip("\n").rpartition("\n")[2]


def test_an_interrupt_at_the_first_prompt_saves_nothing(
    kernel: Kernel, cell: str, sandbox: Sandbox, secrets: Path
) -> None:
    shown = kernel.run(cell, None)
    assert "Nothing was saved.\n" in shown
    assert last_line(shown).startswith("KeyboardInterrupt")
    assert "Traceback" not in shown
    assert not secrets.exists()
    assert "Logged in to" in kernel.run(cell, sandbox.token, "n")


def test_an_interrupt_at_the_last_question_leaves_the_key_saved(
    kernel: Kernel, cell: str, sandbox: Sandbox, secrets: Path
) -> None:
    shown = kernel.run(cell, sandbox.token, None)
    assert "Nothing was saved" not in shown
    assert last_line(shown).startswith("KeyboardInterrupt")
    assert "Traceback" not in shown
    assert set(saved(secrets).values()) == {sandbox.token}
    again = kernel.run(cell)
    assert "You are already logged in" in again
    assert sandbox.token not in shown + again


def test_an_interrupt_ends_the_wait_for_a_silent_server(kernel: Kernel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        kernel.start(f"from cave_auth_adapter import login\nlogin('localhost:{port}')")
        connection, _ = silent.accept()  # the kernel waits for an answer now
        kernel.interrupt()
        began = time.monotonic()
        assert last_line(kernel.finish()).startswith("KeyboardInterrupt")
        assert time.monotonic() - began < 5  # a server has ten seconds and more
        connection.close()


def test_a_cell_that_runs_twice_asks_once(kernel: Kernel, cell: str, sandbox: Sandbox) -> None:
    assert "Logged in to" in kernel.run(cell, sandbox.token, "n")
    again = kernel.run(cell)
    assert "You are already logged in" in again
    assert "Logged in to" not in again


@pytest.mark.parametrize(
    ("pastes", "error"),
    [
        (["two words", "https://github.com/", ""], "InvalidToken: Nothing was pasted."),
        (["", "0" * 32, "\x16"], "InvalidToken: What you pasted has a control character in it"),
        (["a", "b", "f" * 32], "TokenRefused: localhost:"),
        (["{", '{"a": 1}', "<html>"], "InvalidToken: What you pasted has the HTML of a page"),
    ],
)
def test_three_wrong_pastes_end_in_one_line(
    kernel: Kernel, cell: str, secrets: Path, pastes: list[str], error: str
) -> None:
    shown = kernel.run(cell, *pastes)
    assert shown.count("Try again; the address above is still valid.\n") == 2
    assert last_line(shown).startswith(error)
    assert "Traceback" not in shown
    assert not any(len(paste) > 8 and paste in shown for paste in pastes)
    assert not secrets.exists()


def test_a_refused_paste_is_not_told_to_start_again(kernel: Kernel, cell: str) -> None:
    shown = kernel.run(cell, "f" * 32, None)
    assert "refuses the token that you pasted: it is invalid or has expired. Try again;" in shown
    assert "cave-auth login" not in shown


def test_a_closed_tab_needs_an_interrupt_and_another_run(
    kernel: Kernel, cell: str, sandbox: Sandbox, secrets: Path
) -> None:
    kernel.start(cell)
    kernel.wait_for_prompt()
    kernel.interrupt()  # which JupyterLab offers in another tab, too
    kernel.reconnect()
    assert not secrets.exists()
    assert "Logged in to" in kernel.run(cell, sandbox.token, "n")


@pytest.mark.parametrize("wrong", ["localhost:1", "no host", "github.com/x", ""])
def test_a_wrong_server_is_told_in_one_line(kernel: Kernel, wrong: str) -> None:
    shown = kernel.run(f"from cave_auth_adapter import login\nlogin({wrong!r})")
    assert shown.count("\n") == 1
    assert "Error" in shown or "Invalid" in shown or "Unreachable" in shown


# --- without anybody -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        "jupyter nbconvert --to notebook --execute --allow-errors --inplace",
        "papermill --no-progress-bar",
    ],
    ids=["nbconvert", "papermill"],
)
def test_a_notebook_that_runs_by_itself_says_to_log_in_first(
    command: str, cell: str, sandbox: Sandbox, tmp_path: Path, secrets: Path
) -> None:
    write_notebook(tmp_path, cell)
    program, *options = command.split()
    done = subprocess.run(
        [Path(sys.executable).parent / program, *options, NAME, *[NAME][: program == "papermill"]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    ran = nbformat.read(tmp_path / NAME, as_version=4)
    (error,) = [
        output
        for each in ran.cells
        for output in each.get("outputs", ())
        if output.output_type == "error"
    ]
    server = sandbox.auth_server.removeprefix("https://")
    assert error.ename == "LoginFailed", done.stderr
    assert error.evalue.endswith(f"Log in first, in a terminal: cave-auth login {server}")
    assert len(error.traceback) == 1
    assert not secrets.exists()


# --- a command in a cell -------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        "!cave-auth login {}",
        "!{{sys.executable}} -m cave_auth_adapter login {}",
        "%%bash\ncave-auth login {} || true",
        "%%sh\ncave-auth login {} || true",
        "%sx cave-auth login {}",
        "import subprocess, time\nsubprocess.run(['cave-auth', 'login', '{}'])\ntime.sleep(0.5)",
        "import subprocess\nprint(subprocess.run(['cave-auth', 'login', '{}'], text=True,"
        " stderr=subprocess.PIPE).stderr)",
        "import os, time\nos.system('cave-auth login {}')\ntime.sleep(0.5)",
    ],
    ids=["!", "! python -m", "%%bash", "%%sh", "%sx", "run", "run with pipes", "system"],
)
def test_a_command_in_a_cell_ends_with_the_lines_to_run(
    kernel: Kernel, sandbox: Sandbox, cell: str
) -> None:
    server = sandbox.auth_server.removeprefix("https://")
    kernel.run("import sys")
    began = time.monotonic()
    shown = kernel.run(cell.format(server))
    assert time.monotonic() - began < 15  # it asks nobody and waits for nothing; usually 0.5
    assert "from cave_auth_adapter import login" in shown
    assert f"login('{server}')" in shown.replace("\\", "")


def test_a_command_in_a_cell_ends_where_the_variables_of_kernels_are_missing(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VS Code starts kernels by itself; MPLBACKEND is then the only sign."""
    with running_kernel() as kernel:
        kernel.run("import os; os.environ.pop('JPY_PARENT_PID', None)")
        assert "from cave_auth_adapter import login" in kernel.run(
            f"!cave-auth login {sandbox.auth_server}"
        )
