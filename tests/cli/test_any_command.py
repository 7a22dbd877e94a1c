"""What every command does where something is wrong, and what none does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.cli import main
from cave_auth_adapter.sandbox import Sandbox
from cave_auth_adapter.shells import unset

from ..support.answering import Answer, StubServer
from ..support.systems import needs_dev_full
from .conftest import Run, host

ASKING = ["status", "whoami", "keys list", "logout --revoke"]


# --- What can go wrong with any ------------------------------------------------------------


@pytest.mark.parametrize("command", ASKING)
def test_a_server_that_is_down_is_reported(run: Run, command: str) -> None:
    TokenStore().save("0123456789abcdef", "localhost:1")
    result = run(*command.split())
    assert result.exit_code == 5
    assert "localhost:1 can't be reached" in " ".join(result.output.split())
    assert "0123456789abcdef" not in result.output


@pytest.mark.parametrize(
    ("command", "next_step"),
    [
        ("login SERVER --token-stdin", "cave-auth login SERVER --token-stdin < FILE"),
        ("accounts SERVER", "cave-auth login SERVER --as NAME"),
        ("permissions --server SERVER", "cave-auth login SERVER"),
        ("logout SERVER", "cave-auth status"),
        ("trust SERVER", "cave-auth login AUTH_SERVER"),
    ],
)
def test_who_is_not_logged_in_is_told_how_at_that_server(
    run: Run, sandbox: Sandbox, command: str, next_step: str
) -> None:
    server = host(sandbox.auth_server)
    result = run(*command.replace("SERVER", server).split())
    assert result.exit_code
    assert result.stderr.rstrip().endswith(f": {next_step}".replace(" SERVER", f" {server}"))


def test_logout_tells_how_to_remove_a_variable(
    run: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAVE_TOKEN", sandbox.token)
    result = run("logout")
    assert result.exit_code == 1
    assert f"To remove it: {unset('CAVE_TOKEN')}\n" in result.stderr


def test_a_host_of_another_deployment_is_named_without_a_scheme(run: Run) -> None:
    result = run("trust", "minnie.microns-daf.com", "--server", "proofreading.zetta.ai")
    assert result.exit_code == 2
    assert result.stderr.endswith(": cave-auth trust minnie.microns-daf.com\n")


@pytest.mark.parametrize(
    ("command", "next_step"),
    [
        ("keys revoke 99999", "cave-auth keys list"),
        ("permissions nothing", "cave-auth permissions"),
        ("permissions", "cave-auth terms"),
        ("keys rotate", "cave-auth keys revoke ID"),
    ],
)
def test_with_two_servers_the_next_command_names_one(
    run: Run, logged_in: Sandbox, command: str, next_step: str
) -> None:
    """Without --server it would only ask which one is meant."""
    TokenStore().save("0123456789abcdef", "localhost:1")
    server = host(logged_in.auth_server)
    result = run(*command.split(), "--server", server)
    said = re.sub(r"revoke \d+", "revoke ID", result.output).rstrip()
    assert said.endswith(f": {next_step} --server {server}")
    assert run(*next_step.replace("ID", "1").split()[1:], "--server", server).exit_code in (0, 1)


@pytest.mark.parametrize("command", ASKING)
def test_an_untrusted_certificate_is_reported(
    run: Run, logged_in: Sandbox, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.delenv("CURL_CA_BUNDLE")
    result = run(*command.split())
    assert result.exit_code == 5
    assert "certificate is not valid" in " ".join(result.output.split())
    assert run("check", logged_in.data_server).exit_code == 5


@pytest.mark.parametrize("command", ASKING)
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(500, b"Internal Server Error", "text/html"), 1),
        (Answer(200, b"<html>", "text/html"), 1),
        (Answer(200, b"[]"), 1),
        (Answer(401, b'{"error": "invalid_token"}'), 3),
        (Answer(403, b"Requires membership of group: x", "text/plain"), 4),
    ],
)
def test_each_kind_of_answer_has_its_exit_code(
    run: Run, stub_server: StubServer, command: str, answer: Answer, code: int
) -> None:
    token = "0123456789abcdef"
    TokenStore().save(token, host(stub_server.address))
    stub_server.answer = answer
    result = run(*command.split())
    if command == "logout --revoke" and code == 3:
        code = 0  # a dead token needs no revoking
    assert result.exit_code == code, result.output
    assert token not in result.output
    assert result.stderr.count("cave-auth:") <= 1


@pytest.mark.parametrize("server", ["http://cave.example.org", "a b", "*.example.org", "https://"])
@pytest.mark.parametrize("command", ["login", "logout", "whoami"])
def test_a_malformed_server_is_a_usage_error(run: Run, command: str, server: str) -> None:
    result = run(command, server)
    assert result.exit_code == 2
    assert "Usage" in result.stderr


@pytest.mark.parametrize("command", ["login", "logout", "whoami"])
def test_an_unknown_server_is_reported_in_one_line(run: Run, command: str) -> None:
    result = (
        run(command, "localhost:1", "--token-stdin", input="0" * 32)
        if command == "login"
        else (run(command, "localhost:1"))
    )
    assert result.exit_code == {"login": 5, "logout": 3, "whoami": 6}[command]
    assert result.stderr.count("cave-auth: ") == 1


def test_a_malformed_file_is_reported(run: Run, secrets: Path, sandbox: Sandbox) -> None:
    secrets.mkdir(parents=True)
    TokenStore().path_for(sandbox.auth_server).write_text("{")
    result = run("status")
    assert result.exit_code == 1
    assert "is not JSON" in " ".join(result.stdout.split())
    assert run("token", sandbox.auth_server).exit_code == 1
    assert run("check", sandbox.auth_server).exit_code == 1


def test_no_command_takes_a_token_as_argument() -> None:
    """It would be in the shell's history, and in the list of processes."""
    for command in main.commands.values():
        nested = command.commands.values() if isinstance(command, click.Group) else [command]
        for each in nested:
            assert not {"token", "key"} & {p.name for p in each.params}


def test_the_help_of_every_command_has_an_example(run: Run) -> None:
    for name in main.commands:
        text = run(name, "--help").stdout
        assert max(map(len, text.splitlines())) <= 80
        if name not in ("enable", "disable", "hosts"):
            assert f"cave-auth {name}" in text, name
    assert "Exit codes" in run("--help").stdout


# --- what every command does ---------------------------------------------------------------


@needs_dev_full
@pytest.mark.parametrize("arguments", [["token"], ["hosts"], ["--help"]])
def test_output_that_cannot_be_written_is_one_line_of_error(arguments: list[str]) -> None:
    TokenStore().save("0123456789abcdef0123456789abcdef")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cave_auth_adapter", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
        )
    assert done.returncode == 1
    assert (
        done.stderr == "cave-auth: the output can't be written or read: no space left on device.\n"
    )


@pytest.mark.parametrize("url", ["no address", "https://", "https:///path", "ftp://host/", "a\nb"])
def test_a_malformed_address_is_a_usage_error(run: Run, url: str) -> None:
    result = run("check", url)
    assert result.exit_code == 2
    assert "Write https://HOST/PATH" in result.stderr
