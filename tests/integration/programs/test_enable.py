"""``cave-auth enable`` and ``disable``, in an environment made for the test."""

from __future__ import annotations

import os
import sysconfig
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner

from cave_auth_adapter.cli import main
from cave_auth_adapter.sandbox import Sandbox

from ...support.sandbox import Tokens
from .environments import GET, Environment, Script, Start


def test_enable_and_disable_report_what_they_did(environment: Environment) -> None:
    outputs = [
        environment.cave_auth(*command.split())
        for command in (
            "enable --status",
            "disable",
            "enable",
            "enable",
            "enable --status",
            "disable",
            "enable --status",
        )
    ]
    assert [output.returncode for output in outputs] == [0] * 7
    assert [output.stderr for output in outputs] == [""] * 7
    assert [output.stdout.splitlines()[0] for output in outputs] == [
        f"not enabled in {environment.purelib}",
        "It was not enabled; nothing to do.",
        f"Enabled: {environment.hook}",
        f"Enabled: {environment.hook}",
        f"enabled in {environment.purelib}",
        "Disabled.",
        f"not enabled in {environment.purelib}",
    ]
    assert [path.name for path in environment.purelib.rglob("*cave*")] == []


TOOLS = {
    "requests": 'requests.get(echo).json()["cookies"]["middle_auth_token"] and "signed"',
    "CloudVolume": 'set(CloudVolume(graphene, use_https=True).get_roots(supervoxels)) and "signed"',
    "CAVEclient": 'CAVEclient(datastack, server_address=auth).info.get_datastacks() and "signed"',
}
IMPORTS = {
    "requests": "import requests",
    "CloudVolume": "from cloudvolume import CloudVolume",
    "CAVEclient": "from caveclient import CAVEclient",
}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_plain_script_is_signed_while_enabled_only(
    environment: Environment, sandbox: Sandbox, tool: str
) -> None:
    trusted = {
        "CAVE_TOKEN": sandbox.token,
        "CAVE_AUTH_HOSTS": f"{sandbox.auth_server},{sandbox.data_server}",
    }
    code = "\n".join(
        [
            IMPORTS[tool],
            f"echo, graphene = {sandbox.data_server + '/echo'!r}, {sandbox.graphene_path!r}",
            f"auth, datastack = {sandbox.auth_server!r}, {sandbox.datastack!r}",
            f"supervoxels = {list(sandbox.supervoxels)!r}",
            f"print({TOOLS[tool]})",
        ]
    )
    assert environment.cave_auth("enable").returncode == 0
    result = environment("-c", code, environ=trusted)
    assert result.stdout.splitlines()[-1:] == ["signed"], result.stderr

    assert environment.cave_auth("disable").returncode == 0
    assert "signed" not in environment("-c", code, environ=trusted).stdout


def test_the_cloudfiles_command_is_signed_while_enabled_only(
    environment: Environment, info: str, start: Start
) -> None:
    assert environment.cave_auth("enable").returncode == 0
    result = start([environment.cloudfiles, "cat", info])
    assert '"segmentation"' in result.stdout, result.stderr

    assert environment.cave_auth("disable").returncode == 0
    assert '"segmentation"' not in start([environment.cloudfiles, "cat", info]).stdout


def test_run_in_an_enabled_environment_signs_once(
    enabled: Environment, url: str, tokens: Tokens, script: Script
) -> None:
    result = enabled("-m", "cave_auth_adapter", "run", script(GET), url)

    assert (result.stdout, result.stderr) == (f"{tokens.data}\n", "")


@pytest.fixture
def unwritable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "file").write_text("")
    purelib = tmp_path / "file" / "site-packages"
    monkeypatch.setattr(sysconfig, "get_path", lambda *_: str(purelib))
    return purelib


@pytest.mark.parametrize("command", ["enable", "disable"])
def test_an_unwritable_environment_is_an_error_with_a_remedy(
    unwritable: Path, command: str
) -> None:
    result = CliRunner().invoke(main, [command])

    assert result.exit_code == 1
    assert f"{unwritable} can't be written" in result.output
    assert "cave-auth run" in result.output
    assert "Traceback" not in result.output


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("command", ["enable", "disable"])
def test_another_users_environment_is_an_error_with_a_remedy(
    environment: Environment, command: str
) -> None:
    if command == "disable":
        assert environment.cave_auth("enable").returncode == 0
    code = f"""
        import os, sys
        from cave_auth_adapter import cli, programs
        import click.exceptions, click.shell_completion, encodings.idna
        os.chmod(programs.hook_file().parent, 0o755)
        os.setuid(65534)
        cli.main(["{command}"])
    """
    result = environment("-c", textwrap.dedent(code))

    assert result.returncode == 1, result.stderr
    assert f"{environment.purelib} can't be written: permission denied" in result.stderr
    assert "Traceback" not in result.stderr


def test_status_works_in_an_unwritable_environment(unwritable: Path) -> None:
    result = CliRunner().invoke(main, ["enable", "--status"])

    assert result.exit_code == 0
    assert result.output.startswith("not enabled in")
