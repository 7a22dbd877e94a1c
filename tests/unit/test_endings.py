"""A login token's end is noted at login, and a warning comes once, on the last day."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cave_auth_adapter import CaveAuth, TokenStore
from cave_auth_adapter.sources import endings
from cave_auth_adapter.sources.endings import ENDS_FILE, end_of, note_end

DAY, HOST = 86400.0, "cave.example.org"
URL, LOGIN_TOKEN, KEY = f"https://{HOST}/x", "0123456789abcdef" * 2, "ab" * 16


@pytest.fixture
def store() -> TokenStore:
    store = TokenStore()
    store.save(LOGIN_TOKEN, HOST)
    return store


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that moves the clock ahead."""
    real, shift = (time.time, time.monotonic), [0.0]
    monkeypatch.setattr("time.time", lambda: real[0]() + shift[0])
    monkeypatch.setattr("time.monotonic", lambda: real[1]() + shift[0])

    def later(seconds: float) -> None:
        shift[0] += seconds

    return later


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def test_a_warning_comes_once_on_the_last_day(
    store: TokenStore, later: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    note_end(LOGIN_TOKEN, 7 * DAY)
    auth = CaveAuth()
    assert auth.token_for(URL) == LOGIN_TOKEN
    later(5.9 * DAY)
    assert auth.token_for(URL) == LOGIN_TOKEN
    assert warnings(caplog) == []
    later(0.2 * DAY)
    for each in (auth, auth, CaveAuth()):
        assert each.token_for(URL) == LOGIN_TOKEN
    (warning,) = warnings(caplog)
    assert "expires in 21 hours" in warning
    assert warning.endswith(f"cave-auth login {HOST} --overwrite")
    assert str(store.path_for(HOST)) in warning
    assert LOGIN_TOKEN not in warning


@pytest.mark.parametrize("hosts", [1, 8])
def test_threads_and_hosts_share_one_warning(
    store: TokenStore, caplog: pytest.LogCaptureFixture, hosts: int
) -> None:
    note_end(LOGIN_TOKEN, 3600)
    urls = [f"https://h{number}.example.org/" for number in range(hosts)]
    for url in urls:
        store.save(LOGIN_TOKEN, url.split("/")[2])
    auth = CaveAuth()
    threads = [threading.Thread(target=auth.token_for, args=(url,)) for url in urls * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(warnings(caplog)) == 1


def test_a_login_token_in_a_variable_gets_the_warning(
    store: TokenStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    note_end(LOGIN_TOKEN, 3600)
    monkeypatch.setenv("CAVE_TOKEN", LOGIN_TOKEN)
    CaveAuth().token_for(URL)
    assert "The login token from the variable CAVE_TOKEN expires in" in caplog.text


def test_a_key_that_replaced_the_login_token_gets_no_warning(
    store: TokenStore, caplog: pytest.LogCaptureFixture
) -> None:
    note_end(LOGIN_TOKEN, 3600)
    store.save(KEY, HOST, overwrite=True)
    assert CaveAuth().token_for(URL) == KEY
    assert warnings(caplog) == []


def test_without_a_noted_end_the_file_is_not_read(
    store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "read_secrets", lambda *_: pytest.fail("it was read"))
    assert CaveAuth().token_for(URL) == LOGIN_TOKEN


def test_a_note_holds_no_token_and_is_removed_after_the_end(
    store: TokenStore, secrets: Path, later: Callable[[float], None]
) -> None:
    note_end(LOGIN_TOKEN, 60)
    path = secrets / ENDS_FILE
    assert LOGIN_TOKEN not in path.read_text()
    later(61)
    note_end(KEY, 3600)
    assert len(json.loads(path.read_text())) == 1
    assert end_of(LOGIN_TOKEN, secrets) == float("inf")
    assert abs(end_of(KEY, secrets) - time.time() - 3600) < 5
    assert store.servers() == [HOST]  # it makes no host trusted


@pytest.mark.parametrize(
    "value", ["soon", 7, None, [], {}, "1e400", "0001-01-01T00:00:00", "9999-12-31T23:59:59-23:59"]
)
@pytest.mark.parametrize("wrap", [True, False])
def test_a_malformed_note_gives_no_warning(
    store: TokenStore, secrets: Path, caplog: pytest.LogCaptureFixture, value: Any, wrap: bool
) -> None:
    note_end(LOGIN_TOKEN, 60)
    path = secrets / ENDS_FILE
    noted = json.loads(path.read_text())
    path.write_text(json.dumps(dict.fromkeys(noted, value) if wrap else value))
    assert CaveAuth().token_for(URL) == LOGIN_TOKEN
    assert warnings(caplog) == []
