"""``CAVE_AUTH_DISABLE`` switches ``cave-auth run`` and ``enable`` off."""

from __future__ import annotations

import textwrap

import pytest

from .environments import SIGNED, Environment, Start


@pytest.mark.parametrize(
    ("value", "signed"), [("1", False), ("yes", False), ("0", True), ("", True)]
)
def test_cave_auth_disable_switches_run_off(run: Start, value: str, signed: bool) -> None:
    result = run("-c", SIGNED, environ={"CAVE_AUTH_DISABLE": value})

    assert (result.stdout, result.stderr) == (f"{signed}\n", "")


def test_cave_auth_disable_switches_child_processes_off(run: Start) -> None:
    code = f"""
        import os, subprocess, sys
        environ = {{**os.environ, "CAVE_AUTH_DISABLE": "1"}}
        sys.exit(subprocess.call([sys.executable, "-c", {SIGNED!r}], env=environ))
    """
    assert run("-c", textwrap.dedent(code)).stdout == "False\n"


def test_cave_auth_disable_switches_enable_off(enabled: Environment) -> None:
    off = {"CAVE_AUTH_DISABLE": "1"}

    assert enabled("-c", SIGNED).stdout == "True\n"
    assert enabled("-c", SIGNED, environ=off).stdout == "False\n"
    status = enabled("-m", "cave_auth_adapter", "enable", "--status", environ=off).stdout
    assert status.startswith("enabled in ")
    assert "CAVE_AUTH_DISABLE" in status
