"""``cave-auth run`` with other things that an interpreter reads when it starts."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

import pytest

from ...support.sandbox import Tokens
from .environments import CAVE_AUTH, GET, OUR_PATH, OURS, Other, Script, Start


def test_an_existing_pythonpath_still_works(
    url: str, tokens: Tokens, run: Start, site_directory: Path, script: Script
) -> None:
    code = textwrap.dedent(GET) + "import their_module; print(their_module.name)"
    result = run("-c", code, url, environ={"PYTHONPATH": str(site_directory)})

    assert result.stdout == f"{tokens.data}\ntheirs\n"


def test_an_existing_sitecustomize_still_runs(
    url: str, tokens: Tokens, run: Start, site_directory: Path
) -> None:
    (site_directory / "sitecustomize.py").write_text("import sys; sys.theirs = __name__\n")
    code = textwrap.dedent(GET) + "print(sys.theirs, sys.modules['sitecustomize'].__file__)"
    result = run("-c", code, url, environ={"PYTHONPATH": str(site_directory)})

    assert result.stdout == f"{tokens.data}\nsitecustomize {site_directory}/sitecustomize.py\n"


@pytest.mark.parametrize("fault", ["import no_such_module", "1/0", "raise SystemExit(5)", "("])
def test_a_failing_sitecustomize_behaves_as_without_us(
    run: Start, start: Start, site_directory: Path, fault: str
) -> None:
    (site_directory / "sitecustomize.py").write_text(fault + "\n")
    environ = {"PYTHONPATH": str(site_directory)}
    without = start([sys.executable, "-c", "print('on')"], environ=environ)

    result = run("-c", "print('on')", environ=environ)

    # cave-auth itself starts in the same environment, and fails as any Python program does
    assert result.returncode == without.returncode
    assert result.stdout == without.stdout
    assert (without.stderr == "") == (result.stderr == "")


def test_sys_path_is_as_without_us(run: Start, start: Start) -> None:
    code = "import sys; print(*sys.path, sep='|')"

    assert run("-c", code).stdout == start([sys.executable, "-c", code]).stdout


def test_a_usercustomize_still_runs(run: Start, site_directory: Path) -> None:
    (site_directory / "usercustomize.py").write_text("print('user')\n")
    environ = {"PYTHONPATH": str(site_directory)}
    code = "import sys; sys.path.insert(0, sys.argv[1]); import usercustomize"

    assert "user" in run("-c", code, str(site_directory), environ=environ).stdout


def test_pythonstartup_does_no_harm(url: str, tokens: Tokens, run: Start, script: Script) -> None:
    startup = script("print('started')", "startup.py")
    result = run(script(GET), url, environ={"PYTHONSTARTUP": str(startup)})

    assert result.stdout == f"{tokens.data}\n"


@pytest.mark.parametrize("option", ["-I", "-S", "-E", "-s", "-B", "-O", "-u", "-Wdefault"])
def test_interpreter_options_do_no_harm(run: Start, option: str) -> None:
    result = run("python", option, "-c", "import json; print('on')", environ=OUR_PATH)

    assert (result.returncode, result.stdout, result.stderr) == (0, "on\n", "")


@pytest.mark.parametrize("option", ["-B", "-u", "-Wdefault", "-s", "-Xdev"])
def test_a_program_with_interpreter_options_is_signed(
    url: str, tokens: Tokens, run: Start, script: Script, option: str
) -> None:
    result = run("python", option, script(GET), url, environ=OUR_PATH)

    assert result.stdout == f"{tokens.data}\n", result.stderr


def test_a_program_of_another_environment_is_signed(
    url: str, tokens: Tokens, start: Start, script: Script, other: Other
) -> None:
    """The plugin is taken from where `cave-auth` is installed, and nothing else is."""
    result = start([*CAVE_AUTH, "run", other.python, script(GET), url])
    assert (result.stdout, result.stderr) == (f"{tokens.data}\n", "")

    code = "import requests, sys; print(sys.modules['cave_auth_adapter'].__file__); import click"
    result = start([*CAVE_AUTH, "run", other.python, "-c", code])
    assert result.stdout == f"{OURS}/cave_auth_adapter/__init__.py\n"
    assert result.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'click'"


def test_a_plugin_that_fails_in_another_environment_is_one_line(
    start: Start, bare_environment: Path, tmp_path: Path
) -> None:
    (tmp_path / "requests.py").write_text("name = 'too old'\n")
    result = start(
        [*CAVE_AUTH, "run", bare_environment, "-c", "import requests as r; print(r.name)"]
    )

    assert (result.returncode, result.stdout) == (0, "too old\n")
    assert re.fullmatch(r"cave-auth: not active in .*\n", result.stderr)
