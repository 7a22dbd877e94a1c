"""The clock jumps, and files have time stamps from the future or the past; all is simulated."""

from __future__ import annotations

import os
import time

import pytest

from cave_auth_adapter import CaveAuth, TokenStore, sources, watch
from cave_auth_adapter.sources import memory

from ..support.doors import DOORS, session_through
from ..support.faulty import GOOD
from ..support.stub import TOKEN
from .conftest import Serve

OTHER = "fedcba9876543210fedcba9876543210"
YEAR = 365 * 86400.0
JUMPS = {"an hour back": -3600.0, "ten years back": -10 * YEAR, "ten years on": 10 * YEAR}

doors = pytest.mark.parametrize("door", DOORS)


@doors
@pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS)
def test_a_new_token_is_noticed_when_the_clock_jumps(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, door: str, jump: float
) -> None:
    monkeypatch.setattr(watch, "LOOK_INTERVAL", 0.05)
    monkeypatch.setattr(watch, "_LOOK_SHARE", 1.0)
    server, now = serve(lambda seen: GOOD), time.time
    path = TokenStore().save(TOKEN, server.host)
    with session_through(door, CaveAuth(hosts=[server.host])) as session:
        assert session.get(server.url).ok
        monkeypatch.setattr(time, "time", lambda: now() + jump)
        assert session.get(server.url).ok
        path.write_text(path.read_text().replace(TOKEN, OTHER))  # as another program does
        os.utime(path, (time.time(), time.time()))
        time.sleep(0.1)
        assert session.get(server.url).ok

    seen = [request.headers["authorization"] for request in server.requests]
    assert seen == [f"Bearer {TOKEN}", f"Bearer {TOKEN}", f"Bearer {OTHER}"]


@pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS)
def test_a_clock_jump_does_not_lengthen_the_pause_after_a_refusal(
    monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    monkeypatch.setattr(memory, "_QUIET", 0.05)
    monkeypatch.setattr(memory, "_POLL", 0.0)
    auth, now = CaveAuth(hosts=["cave.example.org"]), time.time
    origin = auth.hosts.trusted_origin("https://cave.example.org/")
    assert origin is not None
    TokenStore().save(TOKEN)
    refused = auth.credentials.token_for(origin)
    assert auth.credentials.after_refusal(origin, refused) is None

    monkeypatch.setattr(time, "time", lambda: now() + jump)
    searches: list[int] = []
    real = sources.Credentials._search_once
    monkeypatch.setattr(
        sources.Credentials,
        "_search_once",
        lambda *arguments: (searches.append(1), real(*arguments))[1],  # type: ignore[func-returns-value]
    )
    assert auth.credentials.after_refusal(origin, refused) is None
    assert len(searches) == 0
    time.sleep(0.1)
    assert auth.credentials.after_refusal(origin, refused) is None
    assert len(searches) == 1


@doors
@pytest.mark.parametrize("mtime", [1.0, 1e9, 4e9], ids=["1970", "2001", "2096"])
def test_a_file_with_any_time_stamp_is_read_and_its_change_noticed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, door: str, mtime: float
) -> None:
    """Backups, archives and file servers with another clock leave such files."""
    monkeypatch.setattr(watch, "LOOK_INTERVAL", 0.0)
    monkeypatch.setattr(watch, "_LOOK_SHARE", 1.0)
    server = serve(lambda seen: GOOD)
    path = TokenStore().save(TOKEN, server.host)
    os.utime(path, (mtime, mtime))
    with session_through(door, CaveAuth(hosts=[server.host])) as session:
        assert session.get(server.url).ok
        path.write_text(path.read_text().replace(TOKEN, OTHER))
        os.utime(path, (mtime - 1, mtime - 1))  # older than what was there
        assert session.get(server.url).ok

    seen = [request.headers["authorization"] for request in server.requests]
    assert seen == [f"Bearer {TOKEN}", f"Bearer {OTHER}"]
