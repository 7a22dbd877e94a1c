"""``%load_ext cave_auth_adapter`` in a real IPython."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from IPython.core.interactiveshell import InteractiveShell

from cave_auth_adapter import TokenStore, set_token_source
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import Tokens

TOKEN = "0123456789abcdef"
Loaded = Callable[[], str]


@pytest.fixture
def shell() -> InteractiveShell:
    return InteractiveShell()


def test_loading_starts_signing_and_unloading_ends_it(
    shell: InteractiveShell, sandbox: Sandbox, tokens: Tokens
) -> None:
    url = f"{sandbox.data_server}/echo"

    shell.run_line_magic("load_ext", "cave_auth_adapter")
    try:
        assert requests.get(url).json()["cookies"] == {"middle_auth_token": tokens.data}
    finally:
        shell.run_line_magic("unload_ext", "cave_auth_adapter")

    assert requests.get(url, allow_redirects=False).status_code == 302


# --- the line that it prints ---------------------------------------------------------------


@pytest.fixture
def loaded(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> Loaded:
    """What loading prints, which is one line, and no token."""

    def load() -> str:
        shell.run_line_magic("load_ext", "cave_auth_adapter")
        shell.run_line_magic("unload_ext", "cave_auth_adapter")
        told, errors = capsys.readouterr()
        assert errors == ""
        assert told.count("\n") == 1
        assert TOKEN not in told
        return told

    return load


def test_without_a_token_the_next_step_is_shown(loaded: Loaded) -> None:
    assert "once you log in: from cave_auth_adapter import login; login()" in loaded()


def test_the_token_file_and_the_number_of_hosts_are_shown(loaded: Loaded, secrets: Path) -> None:
    TokenStore().save(TOKEN, "cave.my-lab.org")
    told = loaded()
    assert "12 trusted hosts and domains are signed, with the token from ~" in told
    assert "cave.my-lab.org-cave-secret.json." in told


def test_several_files_are_summed_up(loaded: Loaded) -> None:
    for number in range(4):
        TokenStore().save(f"{TOKEN}{number}", f"cave{number}.my-lab.org")
    assert "and from" in (told := loaded())
    assert "and 2 more; see status()" in told


def test_a_token_in_a_variable_is_named(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAVE_TOKEN", TOKEN)
    assert "from the variable CAVE_TOKEN." in loaded()


def test_no_command_and_no_source_is_called(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server is the command's last argument: where it runs, it makes a file of that name, too.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAVE_TOKEN_COMMAND", "touch asked")
    assert "the command in the variable CAVE_TOKEN_COMMAND" in loaded()
    asked = []
    set_token_source(lambda *_: asked.append(1))
    try:
        assert "set_token_source()" in loaded()
    finally:
        set_token_source(None)
    assert not asked
    assert not (tmp_path / "asked").exists()


def test_no_server_is_contacted(loaded: Loaded, sandbox: Sandbox, tokens: Tokens) -> None:
    loaded()
    assert sandbox.requests() == []


@pytest.mark.parametrize("content", ["{", '{"token": "two words"}'])
def test_a_broken_file_is_named(loaded: Loaded, secrets: Path, content: str) -> None:
    path = TokenStore().save(TOKEN)
    path.write_text(content)
    assert f"{path}: " in loaded()


def test_cave_auth_disable_is_reported(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAVE_AUTH_DISABLE", "1")
    assert "CAVE_AUTH_DISABLE is set, so no request is signed." in loaded()
