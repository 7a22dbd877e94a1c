"""Several accounts at one server: ``login --as``, ``accounts``, ``switch``."""

from __future__ import annotations

import json
import os
import re
import shlex
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from cave_auth_adapter import CaveAuth, TokenStore, shells
from cave_auth_adapter.login import accounts, login
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import is_alive, saved
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


COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))


def test_a_new_name_is_saved_in_its_composed_form(run: Run, sandbox: Sandbox, bob: str) -> None:
    """A terminal of macOS may paste "ë" as two characters; to people it is the same name."""
    TokenStore().save(sandbox.token, sandbox.auth_server)
    client = login(sandbox.auth_server, account=DECOMPOSED, token=bob)
    assert client.token == bob
    assert content(sandbox) == {"token": sandbox.token, COMPOSED: bob}


@pytest.mark.parametrize("saved_as", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("typed", [COMPOSED, DECOMPOSED])
def test_a_name_is_found_in_either_form(
    run: Run,
    sandbox: Sandbox,
    bob: str,
    typed: str,
    saved_as: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    TokenStore().save(sandbox.token, sandbox.auth_server)
    TokenStore().save(bob, sandbox.auth_server, saved_as)
    assert login(sandbox.auth_server, account=typed).token == bob
    assert list(content(sandbox)) == ["token", saved_as]
    with monkeypatch.context() as changed:
        changed.setenv("CAVE_AUTH_ACCOUNT", typed)
        assert CaveAuth().token_for(sandbox.auth_server) == bob
        assert "is the login of the account" in run("login", sandbox.auth_server).stdout
    assert list(content(sandbox)) == ["token", saved_as]
    assert run("switch", typed).exit_code == 0
    assert content(sandbox)["token"] == bob
    assert run("logout", "--as", typed).exit_code == 0
    assert saved_as not in content(sandbox)


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
    monkeypatch.setenv("CAVE_TOKEN", bob)
    result = run("switch", "bob")
    assert "CAVE_AUTH_ACCOUNT is set" in result.stderr
    assert "CAVE_TOKEN is set, and still gives a token" in result.stderr
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


# --- careless users ------------------------------------------------------------------------


def tokens_at(secrets: Path) -> set[str]:
    """All tokens in all secret files, under any key."""
    files = [json.loads(path.read_text()) for path in secrets.glob("*cave-secret.json")]
    return {value for each in files for value in each.values() if isinstance(value, str)}


def pasted(command: str) -> list[str]:
    """The words of a command line, as a POSIX shell or PowerShell reads them."""
    if not shells.WINDOWS:
        return shlex.split(command)
    words = re.findall(r"'((?:[^']|'')*)'|(\S+)", command)
    return [quoted.replace("''", "'") or plain for quoted, plain in words]


@pytest.mark.parametrize("name", ["my lab", "Łódź 神", "it's", "a" * 60, "$HOME", "token2", "é"])
def test_a_name_may_have_any_characters(run: Run, sandbox: Sandbox, bob: str, name: str) -> None:
    server = host(sandbox.auth_server)
    TokenStore().save(sandbox.token, server)
    result = run("login", server, "--as", name, "--token-stdin", input=bob)
    (command,) = re.findall(r"cave-auth (switch .+)", result.stdout)
    assert run(*pasted(command)).exit_code == 0
    assert content(sandbox)["token"] == content(sandbox)[name] == bob
    assert run("switch", name).exit_code == 0  # which is in use already
    assert set(content(sandbox).values()) == {bob, sandbox.token}
    assert run("logout", server, "--as", name).exit_code == 0
    assert set(content(sandbox).values()) == {sandbox.token}


@pytest.mark.parametrize("name", [" bob", "bob ", "-bob", "--server", "bob\u202e"])
def test_a_name_that_misleads_is_refused(
    run: Run, sandbox: Sandbox, bob: str, secrets: Path, name: str
) -> None:
    result = run("login", sandbox.auth_server, f"--as={name}", "--token-stdin", input=bob)
    assert result.exit_code == 3
    assert "can't be the name of an account" in result.stderr
    assert not secrets.exists()


def test_files_written_by_caveclient_are_kept(
    run: Run, sandbox: Sandbox, bob: str, secrets: Path
) -> None:
    """CAVEclient saves under ``token_key=``, anything, and nulls; people add notes."""
    path = TokenStore().save(sandbox.token, sandbox.auth_server)
    written = {
        "minnie65": bob,
        "token": sandbox.token,
        "old": None,
        "note": "for the lab, see mail",
        "sandbox.user@sandbox.example": "some note",
        "number": 7,
    }
    path.write_text(json.dumps(written))
    assert run("switch", "minnie65").exit_code == 0
    mine = "sandbox.user@sandbox.example 2"
    assert content(sandbox) == {**written, "token": bob, mine: sandbox.token}
    for name in ("note", "old", "number", "token"):
        assert run("switch", name).exit_code == 3
    assert content(sandbox) == {**written, "token": bob, mine: sandbox.token}


def test_an_account_in_cave_secret_json_counts_as_in_use(
    run: Run, bob: str, sandbox: Sandbox, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As CAVEclient leaves it, who knows no files of servers."""
    monkeypatch.setattr("cave_auth_adapter.saving.DEFAULT_DEPLOYMENT", host(sandbox.auth_server))
    monkeypatch.setattr(
        "cave_auth_adapter.cli.switch.DEFAULT_DEPLOYMENT", host(sandbox.auth_server)
    )
    TokenStore().save(sandbox.token)
    (told,) = parsed(run("accounts", "--json"))
    assert (told["name"], told["in_use"]) == ("(no name)", True)
    result = run("login", sandbox.auth_server, "--as", "bob", "--token-stdin", input=bob)
    assert "Another token is still in use" in result.stdout
    assert content(sandbox) == {"bob": bob}
    assert run("switch", "bob").exit_code == 0
    mine = "sandbox.user@sandbox.example"
    assert content(sandbox) == {"token": bob, "bob": bob, mine: sandbox.token}
    assert saved(secrets)["cave-secret.json"] == bob


@pytest.mark.parametrize("writes", range(6))
def test_a_switch_that_is_killed_drops_nothing_and_can_be_done_again(
    run: Run, sandbox: Sandbox, bob: str, secrets: Path, writes: int
) -> None:
    for server in (sandbox.auth_server, sandbox.data_server, "zz.my-lab.org"):
        TokenStore().save(sandbox.token, server)
    TokenStore().save(bob, sandbox.auth_server, "bob")
    before, real = tokens_at(secrets), os.replace

    def replace(*arguments: Any) -> None:
        nonlocal writes
        if writes == 0:
            raise KeyboardInterrupt  # nothing that comes after it is written
        writes -= 1
        real(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "replace", replace)
        killed = run("switch", "bob").exit_code
    assert tokens_at(secrets) == before
    assert CaveAuth().token_for(sandbox.auth_server) == (bob if killed == 0 else sandbox.token)
    assert run("switch", "bob").exit_code == 0
    assert tokens_at(secrets) == before
    assert set(saved(secrets).values()) == {bob}


def test_a_file_that_cant_be_written(run: Run, sandbox: Sandbox, bob: str, secrets: Path) -> None:
    TokenStore().save(bob, sandbox.auth_server, "bob")
    path = TokenStore().save(sandbox.token, sandbox.auth_server)
    before = content(sandbox)
    lock = path.with_name(f".{path.name}.lock")
    lock.unlink(missing_ok=True)
    lock.mkdir()  # nobody can lock it now, not even root
    result = run("switch", "bob")
    assert (result.exit_code, content(sandbox)) == (1, before)
    assert "can't be used: " in result.stderr


def test_another_process_that_saves_meanwhile_loses_nothing(
    run: Run, sandbox: Sandbox, bob: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    TokenStore().save(sandbox.token, sandbox.auth_server)
    TokenStore().save(bob, sandbox.auth_server, "bob")
    carol = sandbox.create_token(sandbox.create_user("Carol"))
    real = accounts._free_name

    def free_name(*arguments: str) -> str:
        TokenStore().save(carol, sandbox.auth_server, overwrite=True)
        return real(*arguments)

    monkeypatch.setattr(accounts, "_free_name", free_name)
    assert run("switch", "bob").exit_code == 1
    assert content(sandbox)["token"] == carol
    assert {bob, sandbox.token} <= set(content(sandbox).values())


def test_the_variable_names_the_account_of_a_login(
    run: Run, sandbox: Sandbox, bob: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login that took the variable's token for the one in use would replace that."""
    TokenStore().save(sandbox.token, sandbox.auth_server)
    TokenStore().save("0123456789abcdef", sandbox.auth_server, "bob")  # dead
    monkeypatch.setenv("CAVE_AUTH_ACCOUNT", "bob")
    result = run("login", sandbox.auth_server, "--token-stdin", input=bob)
    assert "the login of the account 'bob'" in result.stdout
    assert content(sandbox) == {"token": sandbox.token, "bob": bob}
    assert run("keys", "rotate", "--yes", "--server", host(sandbox.auth_server)).exit_code == 0
    assert content(sandbox)["token"] == sandbox.token
    assert content(sandbox)["bob"] not in (bob, sandbox.token)


def test_logging_out_of_one_account_keeps_the_others(run: Run, sandbox: Sandbox, bob: str) -> None:
    server = host(sandbox.auth_server)
    TokenStore().save(sandbox.token, server)
    TokenStore().save(bob, server, "bob")
    result = run("logout", "--as", "bob", "--revoke")
    assert result.exit_code == 0, result.output
    assert content(sandbox) == {"token": sandbox.token}
    assert not is_alive(sandbox, bob)
    for name in ("bob", "token", ""):
        assert run("logout", "--as", name).exit_code == 3
    assert content(sandbox) == {"token": sandbox.token}
    TokenStore().save("0123456789abcdef", server, "carol")
    result = run("logout", server)
    assert f"Still saved for {server}: carol." in result.stdout


def test_a_data_server_stands_for_its_auth_server(run: Run, bob: str) -> None:
    TokenStore().save(bob, "global.daf-apis.com", "bob")
    assert run("switch", "bob", "--server", "minnie.microns-daf.com").exit_code == 0
    assert TokenStore().load("global.daf-apis.com") == bob
