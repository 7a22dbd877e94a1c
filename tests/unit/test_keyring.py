"""The keyring of the operating system, through the real library with a backend in memory."""

from __future__ import annotations

from collections.abc import Iterator

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from cave_auth_adapter import CaveAuth, CaveAuthError, TokenStore
from cave_auth_adapter.bridges import keyring as ours

from ..support.stub import OTHER_TOKEN, TOKEN

URL = "https://minnie.microns-daf.com/x"


class InMemory(KeyringBackend):
    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.locked = False
        self.asked = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.asked += 1
        if self.locked:
            raise KeyringLocked("it is locked")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemory]:
    monkeypatch.setenv("CAVE_AUTH_KEYRING", "1")
    before, backend = keyring.get_keyring(), InMemory()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


def test_a_token_in_the_keyring_is_found(backend: InMemory) -> None:
    ours.save(TOKEN)
    assert CaveAuth().token_for(URL) == TOKEN


@pytest.mark.parametrize("server", ["minnie.microns-daf.com", "global.daf-apis.com"])
def test_the_entry_of_a_server_outranks_the_one_for_any(backend: InMemory, server: str) -> None:
    ours.save(OTHER_TOKEN)
    ours.save(TOKEN, server)
    assert CaveAuth().token_for(URL) == TOKEN


def test_a_file_outranks_the_keyring(backend: InMemory) -> None:
    ours.save(OTHER_TOKEN)
    TokenStore().save(TOKEN)
    assert CaveAuth().token_for(URL) == TOKEN


def test_a_host_that_is_not_trusted_gets_none(backend: InMemory) -> None:
    ours.save(TOKEN, "elsewhere.example.org")
    assert CaveAuth().token_for("https://elsewhere.example.org/") is None


def test_the_keyring_is_not_asked_unless_it_was_asked_for(
    backend: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours.save(TOKEN)
    monkeypatch.delenv("CAVE_AUTH_KEYRING")
    assert CaveAuth().token_for(URL) is None
    assert backend.asked == 0


def test_asking_for_the_keyring_is_noticed_at_once(
    backend: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours.save(TOKEN)
    monkeypatch.delenv("CAVE_AUTH_KEYRING")
    auth = CaveAuth()
    assert auth.token_for(URL) is None

    monkeypatch.setenv("CAVE_AUTH_KEYRING", "1")
    assert auth.token_for(URL) == TOKEN


def test_the_answer_is_remembered(backend: InMemory) -> None:
    ours.save(TOKEN)
    auth = CaveAuth()
    auth.token_for(URL)
    asked = backend.asked
    auth.token_for(URL)
    assert backend.asked == asked


def test_a_deleted_token_is_gone(backend: InMemory) -> None:
    ours.save(TOKEN)
    ours.delete()
    ours.delete()
    assert CaveAuth().token_for(URL) is None


def test_a_locked_keyring_is_said(backend: InMemory) -> None:
    backend.locked = True
    with pytest.raises(CaveAuthError, match="Unlock it, or unset CAVE_AUTH_KEYRING"):
        CaveAuth().token_for(URL)


def test_a_missing_library_is_said(backend: InMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "keyring", None)
    with pytest.raises(CaveAuthError, match=r"pip install 'cave-auth-adapter\[keyring\]'"):
        CaveAuth().token_for(URL)
