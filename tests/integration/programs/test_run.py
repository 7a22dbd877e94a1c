"""Programs that know nothing of us, under ``cave-auth run``: signed, and otherwise unchanged."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ...support.sandbox import Tokens
from ...support.systems import needs_tools, posix_only
from .environments import CAVE_AUTH, GET, Script, Start


def test_a_script_is_refused_without_us(url: str, start: Start, script: Script) -> None:
    assert start([sys.executable, script(GET), url]).stdout == "refused\n"


def test_a_script_is_signed(url: str, tokens: Tokens, run: Start, script: Script) -> None:
    result = run(script(GET), url)

    assert (result.stdout, result.stderr) == (f"{tokens.data}\n", "")


def test_a_script_with_a_relative_path_is_signed(
    url: str, tokens: Tokens, run: Start, script: Script
) -> None:
    script(GET)
    assert run("script.py", url).stdout == f"{tokens.data}\n"


def test_a_module_is_signed(url: str, tokens: Tokens, run: Start, script: Script) -> None:
    script(GET, "some_module.py")
    assert run("-m", "some_module", url).stdout == f"{tokens.data}\n"


def test_code_on_the_command_line_is_signed(url: str, tokens: Tokens, run: Start) -> None:
    assert run("-c", textwrap.dedent(GET), url).stdout == f"{tokens.data}\n"


def test_a_child_process_is_signed(url: str, tokens: Tokens, run: Start, script: Script) -> None:
    script(GET)
    parent = script(
        """
        import subprocess, sys
        sys.exit(subprocess.call([sys.executable, "script.py", *sys.argv[1:]]))
        """,
        "parent.py",
    )
    assert run(parent, url).stdout == f"{tokens.data}\n"


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_multiprocessing_workers_are_signed(
    url: str, tokens: Tokens, run: Start, script: Script, method: str
) -> None:
    """Nothing is called in the children: `run` reaches the spawned ones too."""
    pool = script(
        f"""
        import multiprocessing, sys
        def work(url):
            import requests
            return requests.get(url).json()["cookies"]["middle_auth_token"]
        if __name__ == "__main__":
            with multiprocessing.get_context("{method}").Pool(2) as pool:
                print(*set(pool.map(work, [sys.argv[1]] * 4)))
        """
    )
    result = run(pool, url)

    assert result.stdout == f"{tokens.data}\n", result.stderr


@needs_tools
def test_the_cloudfiles_command_is_signed(info: str, run: Start) -> None:
    result = run("cloudfiles", "cat", info)

    assert '"segmentation"' in result.stdout, result.stderr
    assert "cave-auth" not in result.stderr  # its own libraries may warn, of an old Python say


@needs_tools
def test_the_cloudfiles_command_can_copy(info: str, run: Start, tmp_path: Path) -> None:
    result = run("cloudfiles", "cp", info, f"{tmp_path}/copy")

    assert result.returncode == 0, result.stderr
    assert '"segmentation"' in (tmp_path / "copy").read_text()


def test_without_a_command_it_is_a_usage_error(run: Start) -> None:
    assert run().returncode == 2


@pytest.mark.parametrize("command", ["no-such-command", "./no-such-file", "no_such_script.py"])
def test_a_missing_command_is_an_error(run: Start, command: str) -> None:
    result = run(command)

    assert result.returncode == 127
    assert re.fullmatch(rf"cave-auth: .*{re.escape(command)}.*\n", result.stderr)


@posix_only
def test_a_command_that_is_not_executable_is_an_error(run: Start, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    result = run("./plain")

    assert result.returncode == 126
    assert result.stderr.count("\n") == 1


@posix_only
def test_a_command_with_a_missing_interpreter_is_an_error(run: Start, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/nowhere/python\n")
    broken.chmod(0o755)
    result = run("./broken")

    assert result.returncode in (126, 127)
    assert result.stderr.startswith("cave-auth: ")
    assert result.stderr.count("\n") == 1


def test_a_directory_is_an_error(run: Start, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    result = run("./directory")

    assert result.returncode in (126, 127)
    assert "Traceback" not in result.stderr


def test_a_missing_module_fails_as_in_python(run: Start) -> None:
    result = run("-m", "no_such_module")

    assert result.returncode == 1
    assert "No module named no_such_module" in result.stderr


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_exit_codes_pass_through(run: Start, code: int) -> None:
    assert run("-c", f"raise SystemExit({code})").returncode == code


def test_arguments_pass_through(run: Start) -> None:
    arguments = [
        "--help",
        "-h",
        "--version",
        "-x",
        "--",
        "a b",
        "",
        "*",
        "é",
        'c"d',
        "it's",
        "e\\",
        "%PATH%",
    ]
    result = run("-c", "import sys; print(ascii(sys.argv[1:]))", *arguments)

    assert result.stdout == f"{arguments!a}\n"


def test_a_path_with_blanks_and_umlauts_is_run(run: Start, script: Script, tmp_path: Path) -> None:
    (tmp_path / "mein Ordner ü").mkdir()
    path = script("import sys; sys.exit(9)", "mein Ordner ü/skript ä.py")
    for form in (path, path.relative_to(tmp_path), path.as_posix()):
        result = run(form)
        assert (result.returncode, result.stderr) == (9, "")


def test_stdin_passes_through(run: Start) -> None:
    assert run("-c", "print(input())", input="from stdin\n").stdout == "from stdin\n"


@posix_only
def test_the_program_replaces_the_command(run: Start) -> None:
    """So that signals, job control and the limits of a queue reach the program itself."""
    result = run("-c", "import os; print(os.getppid())")

    assert result.stdout == f"{os.getpid()}\n"


WAITING = """
    import signal, sys, time
    try:
        print("ready", flush=True)
        time.sleep(30)
    except KeyboardInterrupt:
        sys.exit(7)
"""


@posix_only
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -15), (signal.SIGINT, 7)])
def test_signals_pass_through(
    script: Script, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    command = [*CAVE_AUTH, "run", str(script(WAITING))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(number)
            assert process.wait(timeout=30) == code
        finally:
            process.kill()


@posix_only
@pytest.mark.parametrize("number", ["SIGINT", "SIGPIPE", "SIGTERM"])
def test_signal_handlers_are_as_without_us(run: Start, start: Start, number: str) -> None:
    code = f"import signal; print(signal.getsignal(signal.{number}))"
    default = start([sys.executable, "-c", code]).stdout

    assert re.sub("0x.*", "", run("-c", code).stdout) == re.sub("0x.*", "", default)


@posix_only
def test_a_program_that_is_not_python_runs_with_a_warning(run: Start) -> None:
    result = run("echo", "hello")

    assert result.stdout == "hello\n"
    assert result.stderr.count("\n") == 1
    assert "echo is not a Python program" in result.stderr


@posix_only
def test_python_started_by_a_shell_script_is_signed(
    url: str, tokens: Tokens, run: Start, script: Script, tmp_path: Path
) -> None:
    script(GET)
    shell = script(f'#!/bin/sh\nexec {sys.executable} script.py "$@"\n', "run.sh")
    shell.chmod(0o755)

    assert run("./run.sh", url).stdout == f"{tokens.data}\n"
