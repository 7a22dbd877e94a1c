"""Several accounts at one server: ``login --as``, ``accounts``, ``switch``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cave_auth_adapter import CaveAuth, TokenStore
from cave_auth_adapter.login import login
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import saved
from .conftest import Run, host, parsed


@pytest.fixture
def bob(sandbox: Sandbox) -> str:
    return sandbox.create_token(sandbox.create_user("Bob"))


def content(sandbox: Sandbox) -> dict[str, str]:
    return json.loads(TokenStore().path_for(sandbox.auth_server).read_text())


def test_a_second_account_can_be_added_and_used(
    run: Run, sandbox: Sandbox, bob: str, secrets: Path
) -> None:
    for server in (sandbox.auth_server, sandbox.data_server):
        TokenStore().save(sandbox.token, server)
    result = run("login", sandbox.auth_server, "--as", "bob", "--token-stdin", input=bob)
    assert result.exit_code == 0, result.output
    assert content(sandbox) == {"token": sandbox.token, "bob": bob}
    command = f"cave-auth switch bob --server {host(sandbox.auth_server)}"
    assert command in result.stdout

    result = run(*command.split()[1:])
    assert result.exit_code == 0, result.output
    mine = "sandbox.user@sandbox.example"
    assert f"is now named {mine!r}" in result.stdout
    assert content(sandbox) == {"token": bob, "bob": bob, mine: sandbox.token}
    assert set(saved(secrets).values()) == {bob}  # at the data server, too
    assert CaveAuth().token_for(sandbox.data_server) == bob

    assert run("switch", mine).exit_code == 0
    assert content(sandbox) == {"token": sandbox.token, "bob": bob, mine: sandbox.token}
    assert not {bob, sandbox.token} & set(result.output.split())


def test_the_first_named_account_is_in_use(
    run: Run, sandbox: Sandbox, bob: str, secrets: Path
) -> None:
    assert (
        run("login", sandbox.auth_server, "--as", "bob", "--token-stdin", input=bob).exit_code == 0
    )
    assert content(sandbox) == {"token": bob, "bob": bob}
    result = run("login", sandbox.auth_server, "--as", "bob", "--token-stdin", input=bob)
    assert "already" in result.stdout


def test_login_returns_a_client_of_the_named_account(sandbox: Sandbox, bob: str) -> None:
    TokenStore().save(sandbox.token, sandbox.auth_server)
    assert login(sandbox.auth_server, account="bob", token=bob).token == bob


def test_accounts_are_listed(run: Run, sandbox: Sandbox, bob: str) -> None:
    TokenStore().save(sandbox.token, sandbox.auth_server)
    TokenStore().save(sandbox.token, sandbox.data_server)
    TokenStore().save(bob, sandbox.auth_server, "bob")
    TokenStore().save("0123456789abcdef", sandbox.auth_server, "dead")
    told = parsed(run("accounts", "--json"))
    assert [(each["name"], each["in_use"]) for each in told] == [
        ("(no name)", True),
        ("bob", False),
        ("dead", False),
    ]
    assert told[1]["who"].startswith("Bob")
    lines = run("accounts", sandbox.auth_server).stdout.splitlines()
    assert lines[1].endswith("in use")
    assert "refuses" in lines[3]


def test_switch_keeps_every_token(run: Run, sandbox: Sandbox, bob: str) -> None:
    """It also keeps a dead one, whose account is unknown."""
    TokenStore().save("0123456789abcdef", sandbox.auth_server)
    TokenStore().save("fedcba9876543210", sandbox.auth_server, "previous")
    TokenStore().save(bob, sandbox.auth_server, "bob")
    assert run("switch", "bob").exit_code == 0
    assert content(sandbox) == {
        "token": bob,
        "previous": "fedcba9876543210",
        "bob": bob,
        "previous 2": "0123456789abcdef",
    }


def test_switch_warns_of_a_variable_that_takes_precedence(
    run: Run, sandbox: Sandbox, bob: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    TokenStore().save(bob, sandbox.auth_server, "bob")
    monkeypatch.setenv("CAVE_AUTH_ACCOUNT", "other\x1b[2J")
    result = run("switch", "bob")
    assert "CAVE_AUTH_ACCOUNT is set" in result.stderr
    assert "\x1b" not in result.output


@pytest.mark.parametrize("name", ["", " ", "token", "description", "a\nb", "x" * 61])
def test_a_malformed_account_name_is_refused(
    run: Run, sandbox: Sandbox, bob: str, secrets: Path, name: str
) -> None:
    result = run("login", sandbox.auth_server, "--as", name, "--token-stdin", input=bob)
    assert result.exit_code == 3
    assert "name of an account" in result.stderr
    assert not secrets.exists()


def test_an_unknown_or_ambiguous_account_is_refused(run: Run, sandbox: Sandbox, bob: str) -> None:
    assert run("switch", "bob").exit_code == 3
    assert run("accounts").exit_code == 3
    for server in (sandbox.auth_server, "cave.my-lab.org"):
        TokenStore().save(bob, server, "bob")
    result = run("switch", "bob")
    assert result.exit_code == 2
    assert "--server cave.my-lab.org" in result.stderr
    assert run("switch", "alice", "--server", host(sandbox.auth_server)).exit_code == 3
