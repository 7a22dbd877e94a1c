"""The keyring of the operating system, through the real library with a backend in memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from cave_auth_adapter import CaveAuth, TokenStore, tokens_changed
from cave_auth_adapter.bridges import keyring as ours
from cave_auth_adapter.shells import unset

from ..support.stub import OTHER_TOKEN, TOKEN

URL = "https://minnie.microns-daf.com/x"


class InMemory(KeyringBackend):
    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.failure: BaseException | None = None
        self.asked = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
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
def test_a_servers_entry_outranks_the_general_entry(backend: InMemory, server: str) -> None:
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


def test_the_keyring_is_not_read_unless_switched_on(
    backend: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours.save(TOKEN)
    monkeypatch.delenv("CAVE_AUTH_KEYRING")
    assert CaveAuth().token_for(URL) is None
    assert backend.asked == 0


def test_switching_the_keyring_on_is_noticed_at_once(
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


def test_a_deleted_token_is_not_found(backend: InMemory) -> None:
    ours.save(TOKEN)
    ours.delete()
    ours.delete()
    assert CaveAuth().token_for(URL) is None


# A backend raises errors of D-Bus, ctypes and its own, beside those of the library.
FAILURES = [KeyringLocked("it is locked"), RuntimeError("no session"), OSError("x"), KeyError("x")]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_any_keyring_error_gives_one_warning(
    backend: InMemory, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    backend.failure = failure
    assert [CaveAuth().token_for(URL) for _ in range(3)] == [None] * 3
    assert CaveAuth().token_for("https://proofreading.zetta.ai/") is None
    (warning,) = caplog.messages
    assert type(failure).__name__ in warning
    assert f"Unlock it, or {unset('CAVE_AUTH_KEYRING')}" in warning


def test_a_bad_token_in_the_keyring_gives_one_warning(
    backend: InMemory, caplog: pytest.LogCaptureFixture
) -> None:
    ours.save(f"Bearer {TOKEN}")
    assert CaveAuth().token_for(URL) is None
    (warning,) = caplog.messages
    assert "the keyring, entry 'any server'" in warning
    assert TOKEN not in warning


def test_system_exit_is_not_swallowed(backend: InMemory) -> None:
    backend.failure = SystemExit(3)
    with pytest.raises(SystemExit):
        CaveAuth().token_for(URL)
    backend.failure = None
    ours.save(TOKEN)
    tokens_changed()
    assert CaveAuth().token_for(URL) == TOKEN


@pytest.mark.parametrize("name", ["keyring", "secretstorage"])
def test_a_missing_library_gives_one_warning(
    backend: InMemory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    def find(module: str, *_: object) -> None:
        if module == "keyring":
            error = ModuleNotFoundError if name == module else ImportError
            raise error(f"{name} is missing", name=name)

    monkeypatch.delitem(sys.modules, "keyring")
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=find), *sys.meta_path])
    assert CaveAuth().token_for(URL) is None
    (warning,) = caplog.messages
    remedy = unset("CAVE_AUTH_KEYRING")
    if name == "keyring":
        remedy = 'pip install "cave-auth-adapter[keyring]"'
    assert remedy in warning
