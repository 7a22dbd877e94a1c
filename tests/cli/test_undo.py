"""Removing everything: what `cave-auth doctor` and docs/undo.md name leaves nothing behind."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from keyring import get_keyring, set_keyring
from keyring.backend import KeyringBackend

from cave_auth_adapter import programs
from cave_auth_adapter.bridges import keyring
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import is_alive
from .conftest import Run, host, parsed


@pytest.fixture
def small_keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[tuple[str, str], str]]:
    """The real keyring package, with entries in memory."""
    entries: dict[tuple[str, str], str] = {}

    class Memory(KeyringBackend):
        priority = 1

        def get_password(self, service: str, name: str) -> str | None:
            return entries.get((service, name))

        def set_password(self, service: str, name: str, value: str) -> None:
            entries[service, name] = value

        def delete_password(self, service: str, name: str) -> None:
            del entries[service, name]

    before = get_keyring()
    set_keyring(Memory())
    monkeypatch.setenv("CAVE_AUTH_KEYRING", "1")
    yield entries
    set_keyring(before)


def listing(*places: Path) -> set[Path]:
    return {path for place in places for path in place.rglob("*") if not path.is_dir()}


def commands(run: Run) -> list[str]:
    """What doctor says removes each thing."""
    texts = [each["text"] for each in parsed(run("doctor", "--json"))]
    return [found[1] for text in texts if (found := re.search(r"To remove it: (.+)", text))]


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are those of a POSIX shell")
def test_following_doctor_leaves_nothing(
    run: Run,
    sandbox: Sandbox,
    tmp_path: Path,
    small_keyring: dict[tuple[str, str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setattr(programs, "hook_file", lambda: site / "zz-cave-auth-adapter.pth")
    before = listing(tmp_path)
    token = sandbox.create_token()
    server = host(sandbox.auth_server)
    assert run("login", server, "--token-stdin", input=token).exit_code == 0
    programs.enable()
    keyring.save(token)
    keyring.save(token, server)
    (secrets := tmp_path / ".cloudvolume" / "secrets").joinpath("cave-secret.json").write_text(
        f'{{"token": "{token}"}}'
    )
    assert len(listing(tmp_path) - before) >= 6

    for _ in range(3):  # a command may leave a lock file, which is listed then
        for command in commands(run):
            program, *arguments = shlex.split(command)
            if program == "cave-auth":
                run(*arguments)
            elif program == "keyring":
                small_keyring.pop((arguments[1], arguments[2]), None)
            else:
                subprocess.run([program, *arguments], check=False, timeout=20)
    assert commands(run) == []
    assert listing(tmp_path) == before
    assert small_keyring == {}
    assert not is_alive(sandbox, token)
    assert secrets.is_dir()


def test_the_page_names_each_of_these() -> None:
    page = (Path(__file__).parents[2] / "docs" / "undo.md").read_text("utf-8")
    for command in ("logout --revoke", "keys list", "disable", f"keyring del {keyring.SERVICE}"):
        assert command in page
