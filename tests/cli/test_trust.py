"""``cave-auth trust``: another host gets a deployment's token after the person agrees."""

from __future__ import annotations

from pathlib import Path

import pytest

from cave_auth_adapter import CaveAuth, TokenStore
from cave_auth_adapter.login.dialogue import Dialogue
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import saved
from .conftest import Run, host


@pytest.fixture
def home(sandbox: Sandbox) -> Sandbox:
    TokenStore().save(sandbox.token, sandbox.auth_server)
    return sandbox


@pytest.mark.parametrize("how", ["--yes", "yes", "no"])
def test_a_data_server_is_trusted_after_a_yes(
    run: Run, home: Sandbox, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dialogue, "confirm", lambda self, question: how == "yes")
    data = host(home.data_server)
    result = run("trust", data, "--server", host(home.auth_server), *["--yes"] * (how == "--yes"))
    assert TokenStore().path_for(data).name in result.stdout  # shown before, whatever is answered
    assert "Sandbox User" in result.stdout
    assert home.token not in result.output
    assert CaveAuth().trusts(home.data_server) is (how != "no")
    assert result.exit_code == (1 if how == "no" else 0)
    if how != "no":
        assert "already" in run("trust", data).stdout
        undo = result.stdout.rpartition("To undo it: cave-auth ")[2].split()
        assert run(*undo).exit_code == 0
        assert not CaveAuth().trusts(home.data_server)
        assert TokenStore().load(home.auth_server) == home.token
        assert run(*undo).exit_code == 3


def test_undo_changes_no_other_file(run: Run, home: Sandbox, secrets: Path) -> None:
    """The auth server's file holds the same token, and cave-secret.json may."""
    store = TokenStore()
    store.save(home.token)
    before = saved(secrets)
    store.save("0123456789abcdef", home.data_server, "other")
    store.save(home.token, home.data_server)
    assert run("trust", "--undo", home.data_server).exit_code == 0
    assert store.load(home.data_server) is None
    assert store.load(home.data_server, "other") == "0123456789abcdef"
    assert store.delete(home.data_server, "other")
    assert saved(secrets) == before


def test_without_a_yes_nothing_is_saved(run: Run, home: Sandbox, secrets: Path) -> None:
    before = saved(secrets)
    result = run("trust", home.data_server)
    assert result.exit_code == 1
    assert "--yes" in result.stderr
    assert saved(secrets) == before


def test_replacing_another_token_is_announced(run: Run, home: Sandbox) -> None:
    TokenStore().save("0123456789abcdef", home.data_server)
    server = host(home.auth_server)
    result = run("trust", home.data_server, "--server", server, "--yes")
    assert "It replaces another token" in result.stdout
    assert TokenStore().load(home.data_server) == home.token


def test_a_dead_token_is_not_saved_for_another_host(run: Run, sandbox: Sandbox) -> None:
    TokenStore().save("0123456789abcdef", sandbox.auth_server)
    result = run("trust", sandbox.data_server, "--yes")
    assert result.exit_code == 3
    assert TokenStore().load(sandbox.data_server) is None


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["data.my-lab.org"], 3, "not logged in"),
        (["minnie.microns-daf.com"], 3, "cave-auth login global.daf-apis.com"),
        (
            ["minnie.microns-daf.com", "--server", "proofreading.zetta.ai"],
            2,
            "accepts only",
        ),
        (["*.my-lab.org"], 2, "many servers"),
        (["http://data.my-lab.org"], 2, "https"),
        (["cave", "--server", "global.daf-apis.com"], 2, "CAVE_AUTH_HOSTS"),
        (["old.dynamicannotationframework.com"], 3, "cave-auth login"),
        (["0123456789abcdef" * 2], 2, "That is a token"),
    ],
)
def test_unsuitable_hosts_are_refused(run: Run, arguments: list[str], code: int, said: str) -> None:
    result = run("trust", *arguments, "--yes")
    assert result.exit_code == code
    assert said in " ".join(result.stderr.split())


def test_with_several_servers_one_must_be_named(run: Run, home: Sandbox) -> None:
    TokenStore().save("0123456789abcdef", "cave.my-lab.org")
    result = run("trust", home.data_server, "--yes")
    assert result.exit_code == 2
    assert f"--server {host(home.auth_server)}" in result.stderr
    assert "--server cave.my-lab.org" in result.stderr
