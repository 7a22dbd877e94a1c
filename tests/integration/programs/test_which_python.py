"""Which Python ``cave-auth run`` takes, and how little it costs to start."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from cave_auth_startup import command

from .environments import COMMAND, Environment, Other, Script, Start

PREFIX = "import sys; print(sys.prefix)"
NONE_ACTIVE = {"VIRTUAL_ENV": "", "CONDA_PREFIX": "", "PATH": os.defpath}


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX"])
@pytest.mark.parametrize("way", ["-c", "-m", "script"])
def test_the_active_environments_python_is_used_and_named(
    run: Start, other: Other, script: Script, variable: str, way: str
) -> None:
    path = script(PREFIX)
    commands: dict[str, list[Any]] = {
        "-c": ["-c", PREFIX],
        "-m": ["-m", path.stem],
        "script": [path],
    }
    result = run(*commands[way], environ={**NONE_ACTIVE, variable: str(other.prefix)})

    assert result.stdout == f"{other.prefix}\n"
    assert result.stderr == f"{other.message}{sys.prefix}.\n"


def test_an_environment_on_the_path_alone_is_used(run: Start, other: Other) -> None:
    path = f"{other.python.parent}{os.pathsep}{os.defpath}"
    result = run("-c", PREFIX, environ={**NONE_ACTIVE, "PATH": path})

    assert result.stdout == f"{other.prefix}\n"
    assert result.stderr.startswith(other.message)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"VIRTUAL_ENV": sys.prefix},
        {"VIRTUAL_ENV": "/nowhere"},
        {"CONDA_PREFIX": "OTHER", "CONDA_DEFAULT_ENV": "base"},
        {"VIRTUAL_ENV": sys.prefix, "CONDA_PREFIX": "OTHER"},
    ],
)
def test_our_own_python_is_used_without_an_active_environment(
    run: Start, other: Other, environ: dict[str, str]
) -> None:
    environ = {name: value.replace("OTHER", str(other.prefix)) for name, value in environ.items()}
    result = run("-c", PREFIX, environ={**NONE_ACTIVE, **environ})

    assert (result.stdout, result.stderr) == (f"{sys.prefix}\n", "")


@pytest.mark.parametrize("mark", ["pipx_metadata.json", "uv-receipt.toml"])
def test_installed_by_pipx_or_uv_the_python_on_the_path_is_used(
    start: Start, other: Other, tmp_path: Path, mark: str
) -> None:
    tool = Environment(tmp_path / "tool").renew(start)
    (tmp_path / "tool" / mark).write_text("")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(f'#!/bin/sh\nexec {other.python} "$@"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    environ = {**NONE_ACTIVE, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.defpath}"}

    result = tool("-c", COMMAND, "run", "-c", PREFIX, environ=environ)
    assert result.stdout == f"{other.prefix}\n"
    assert result.stderr.startswith(f"cave-auth: using {tmp_path / 'bin' / 'python'}, ")

    result = tool("-c", COMMAND, "enable")
    assert result.returncode == 1
    assert "Install cave-auth-adapter in the environment" in result.stderr
    assert not tool.hook.exists()


def test_run_imports_almost_nothing(start: Start) -> None:
    """Time is measured by `make bench`; an import is what would cost it."""
    seen = [
        {line.rpartition("|")[2].strip() for line in start(command).stderr.splitlines()}
        for command in (
            [sys.executable, "-X", "importtime", "-c", "pass"],
            [sys.executable, "-X", "importtime", "-c", COMMAND, "run", "-c", "pass"],
        )
    ]
    added = seen[1] - seen[0]

    assert {"cave_auth_startup", "cave_auth_startup.command"} <= added
    assert added <= {"cave_auth_startup", "cave_auth_startup.command", "__future__"}


def test_on_windows_it_waits_and_returns_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no exec there; this is what stands in for it."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        code = command._wait_for([sys.executable, "-c", "raise SystemExit(7)"], dict(os.environ))
        assert (code, signal.getsignal(signal.SIGINT)) == (7, signal.SIG_IGN)
    finally:
        signal.signal(signal.SIGINT, handler)
