"""``cave-auth keys rotate``: a new key replaces one that somebody may have seen."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.errors import ServerUnreachable
from cave_auth_adapter.login.dialogue import Dialogue
from cave_auth_adapter.sandbox import Sandbox
from cave_auth_adapter.service import AuthServer

from ..support.sandbox import is_alive, keys_of, saved
from .conftest import Run, host


@pytest.fixture
def old(sandbox: Sandbox) -> str:
    token = sandbox.create_token()
    for server in (sandbox.auth_server, sandbox.data_server):
        TokenStore().save(token, server)
    return token


def test_the_new_key_replaces_the_old_one_in_every_file(
    run: Run, sandbox: Sandbox, secrets: Path, old: str
) -> None:
    TokenStore().save(old, sandbox.auth_server, "work")
    TokenStore().save("0123456789abcdef", "elsewhere.example.org")
    result = run("keys", "rotate", "--server", host(sandbox.auth_server), "--yes")
    assert result.exit_code == 0, result.output
    new = TokenStore().load(sandbox.auth_server)
    assert new is not None
    assert saved(secrets) == {
        TokenStore().path_for(sandbox.auth_server).name: new,
        TokenStore().path_for(sandbox.data_server).name: new,
        "elsewhere.example.org-cave-secret.json": "0123456789abcdef",
    }
    assert TokenStore().load(sandbox.auth_server, "work") == new
    assert not is_alive(sandbox, old)
    assert is_alive(sandbox, new)
    assert not {old, new} & set(result.output.split())


def test_without_yes_the_old_key_is_not_revoked(run: Run, sandbox: Sandbox, old: str) -> None:
    result = run("keys", "rotate")
    assert result.exit_code == 0
    assert is_alive(sandbox, old)
    (command,) = [line for line in result.stderr.splitlines() if "keys revoke" in line]
    assert run(*command.partition("cave-auth ")[2].split()).exit_code == 0
    assert not is_alive(sandbox, old)


def test_ctrl_c_at_the_question_tells_how_to_revoke_the_old_key(
    run: Run, sandbox: Sandbox, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(talk: Dialogue, question: str) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(Dialogue, "confirm", interrupt)
    result = run("keys", "rotate")
    assert result.exit_code == 130
    (command,) = [line for line in result.stderr.splitlines() if "keys revoke" in line]
    assert run(*command.partition("cave-auth ")[2].split()).exit_code == 0
    assert not is_alive(sandbox, old)


def test_a_key_that_cannot_be_saved_replaces_nothing(
    run: Run, sandbox: Sandbox, secrets: Path, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = keys_of(sandbox, old)
    before = saved(secrets)

    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    assert run("keys", "rotate", "--yes").exit_code == 1
    monkeypatch.undo()
    assert saved(secrets) == before
    assert keys_of(sandbox, old) == keys


def test_a_server_that_fails_before_the_old_key_is_revoked_is_reported(
    run: Run, sandbox: Sandbox, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(server: AuthServer, key_id: int) -> None:
        raise ServerUnreachable("It is gone.")

    monkeypatch.setattr(AuthServer, "revoke_key", gone)
    result = run("keys", "rotate", "--yes")
    assert result.exit_code == 5
    assert "The old key may still work. To revoke it: cave-auth keys revoke" in result.stderr
    new = TokenStore().load(sandbox.auth_server)
    assert new not in (None, old)
    assert is_alive(sandbox, str(new))


def test_login_tokens_and_variables_cannot_be_rotated(
    run: Run, sandbox: Sandbox, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    TokenStore().save(sandbox.create_token(ttl=60), sandbox.auth_server, overwrite=True)
    server = host(sandbox.auth_server)
    result = run("keys", "rotate", "--server", server)
    assert result.exit_code == 3
    assert f"cave-auth login {server} --overwrite" in result.stderr
    monkeypatch.setenv("CAVE_TOKEN", old)
    result = run("keys", "rotate", "--server", server)
    assert result.exit_code == 3
    assert "from the variable CAVE_TOKEN" in result.stderr
    assert is_alive(sandbox, old)


@pytest.fixture
def elsewhere(old: str) -> list[Path]:
    """Files of other servers, and of no server, that also hold the old key."""
    store = TokenStore()
    copies = [store.save(old, "proofreading.zetta.ai", "mine")]
    for name in ("backup-cave-secret.json", "chunkedgraph-secret.json"):
        copies.append(store.directory / name)
        copies[-1].write_text(json.dumps({"token": old}))
    return copies


def test_the_old_key_is_kept_while_another_file_holds_it(
    run: Run, sandbox: Sandbox, old: str, elsewhere: list[Path]
) -> None:
    before = [path.read_text() for path in elsewhere]
    result = run("keys", "rotate", "--server", host(sandbox.auth_server), "--yes")
    assert result.exit_code == 1
    assert [path.read_text() for path in elsewhere] == before
    assert all(path.name in result.stderr for path in elsewhere)
    assert is_alive(sandbox, old)
    assert TokenStore().load(sandbox.auth_server) != old
    (command,) = [line for line in result.stderr.splitlines() if "keys revoke" in line]
    assert run(*command.partition("cave-auth ")[2].split()).exit_code == 0
    assert not is_alive(sandbox, old)


@pytest.mark.parametrize("word", ["y", "n"])
def test_a_person_may_revoke_the_old_key_anyway(
    run: Run,
    sandbox: Sandbox,
    old: str,
    elsewhere: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    word: str,
) -> None:
    asked: list[str] = []

    def confirm(question: str) -> bool:
        asked.append(question)
        return word == "y"

    monkeypatch.setattr(import_module("cave_auth_adapter.cli.keys"), "_confirm", confirm)
    assert run("keys", "rotate", "--server", host(sandbox.auth_server)).exit_code == 0
    assert asked == ["Revoke the old key anyway, for everything that uses it?"]
    assert is_alive(sandbox, old) is (word == "n")


def test_cave_secret_json_gets_the_new_key_under_each_name(
    run: Run, sandbox: Sandbox, old: str
) -> None:
    TokenStore().save(old)
    TokenStore().save(old, key="work")
    assert run("keys", "rotate", "--server", host(sandbox.auth_server), "--yes").exit_code == 0
    new = TokenStore().load(sandbox.auth_server)
    assert [TokenStore().load(key=key) for key in ("token", "work")] == [new, new]
    assert not is_alive(sandbox, old)
