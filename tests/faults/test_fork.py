"""A fork at any moment: both the child and the parent continue."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from cave_auth_adapter import CaveAuth, TokenStore, install, sources
from cave_auth_adapter.sources import reading
from cave_auth_adapter.store.content import read_secrets

from ..support.doors import DOORS, session_through
from ..support.faulty import GOOD, REFUSAL, Fault, FaultyServer
from ..support.servers import Seen
from ..support.stub import TOKEN
from .conftest import LIMIT, Serve, needs_fork

pytestmark = [needs_fork, pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")]
doors = pytest.mark.parametrize("door", DOORS)
OTHER = "fedcba9876543210fedcba9876543210"


def in_child(work: Callable[[], Any]) -> int:
    """Fork and work in the child; return its exit code, or the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(10)  # a child that hangs is ended
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Held:
    """A server that holds each request for `/held` until it is released."""

    def __init__(self, serve: Serve):
        self.came, self.go = threading.Event(), threading.Event()
        self.server: FaultyServer = serve(self.plan)
        self.url = self.server.url

    def plan(self, seen: Seen) -> Fault:
        if seen.path == "/held":
            self.came.set()
            self.go.wait(LIMIT)
        return GOOD

    def signed(self, path: str) -> list[bool]:
        requests = [seen for seen in self.server.requests if seen.path == path]
        return [seen.headers.get("authorization") == f"Bearer {TOKEN}" for seen in requests]


def works(session: requests.Session, url: str) -> None:
    with session.get(url, timeout=5) as response:
        assert response.text == "good"


@doors
@pytest.mark.parametrize("whose", ["the same session", "a new session"])
def test_a_fork_during_a_request_harms_neither_process(serve: Serve, door: str, whose: str) -> None:
    held, answers = Held(serve), []
    auth = CaveAuth(TOKEN, hosts=[held.server.host])
    session = session_through(door, auth)
    works(session, f"{held.url}before")  # there is an idle connection, in the pool of both
    other = threading.Thread(target=lambda: answers.append(session.get(f"{held.url}held")))
    other.start()
    assert held.came.wait(LIMIT)

    def child() -> None:
        own = session if whose == "the same session" else session_through(door, auth)
        works(own, f"{held.url}child")

    assert in_child(child) == 0
    held.go.set()
    other.join(LIMIT)
    assert [answer.text for answer in answers] == ["good"]
    works(session, f"{held.url}after")
    assert held.signed("/child") == held.signed("/after") == held.signed("/held") == [True]


@doors
def test_a_fork_during_a_lookup_harms_neither_process(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    """The thread that looks holds a lock, which no thread would release in the child."""
    held, parent, real = Held(serve), os.getpid(), read_secrets
    looking = threading.Event()

    def slow(path: Path) -> Any:
        if os.getpid() == parent:
            looking.set()
            held.go.wait(LIMIT)
        return real(path)

    TokenStore().save(TOKEN)
    monkeypatch.setattr(reading, "read_secrets", slow)
    session = session_through(door, CaveAuth(hosts=[held.server.host]))
    other = threading.Thread(target=works, args=(session, f"{held.url}parent"))
    other.start()
    assert looking.wait(LIMIT)

    assert in_child(lambda: works(session, f"{held.url}child")) == 0
    held.go.set()
    other.join(LIMIT)
    assert held.signed("/child") == held.signed("/parent") == [True]


@doors
def test_a_fork_after_a_refusal_harms_neither_process(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    server = serve(lambda seen: GOOD if OTHER in seen.headers["authorization"] else REFUSAL)
    TokenStore().save(TOKEN)
    parent, looking, go = os.getpid(), threading.Event(), threading.Event()
    real = sources.Credentials._look_now

    def slow(*arguments: Any) -> Any:
        if os.getpid() == parent and server.requests:
            looking.set()
            go.wait(LIMIT)
        return real(*arguments)

    monkeypatch.setattr(sources.Credentials, "_look_now", slow)
    session = session_through(door, CaveAuth(hosts=[server.host]))
    other = threading.Thread(target=works, args=(session, f"{server.url}parent"))
    other.start()
    assert looking.wait(LIMIT)
    TokenStore().save(OTHER, overwrite=True)

    assert in_child(lambda: works(session, f"{server.url}child")) == 0
    go.set()
    other.join(LIMIT)
    last = {seen.path: seen.headers["authorization"] for seen in server.requests}
    assert last == {"/child": f"Bearer {OTHER}", "/parent": f"Bearer {OTHER}"}


def test_a_child_and_its_parent_share_no_connection(serve: Serve) -> None:
    server = serve(lambda seen: GOOD)
    install(CaveAuth(TOKEN, hosts=[server.host]))
    begun = requests.get(f"{server.url}begun", stream=True, timeout=5)
    works(requests.Session(), f"{server.url}before")  # there is an idle connection

    def child() -> None:
        works(requests.Session(), f"{server.url}child")
        assert begun.text == "good"  # its connection is the parent's, and is not kept
        works(requests.Session(), f"{server.url}child")

    assert in_child(child) == 0
    works(requests.Session(), f"{server.url}after")
    connections = {
        path: [seen.connection for seen in server.requests if seen.path == path]
        for path in ("/begun", "/before", "/child", "/after")
    }
    assert connections == {"/begun": [0], "/before": [1], "/child": [2, 2], "/after": [1]}


def test_a_fork_during_a_save_harms_neither_process(secrets: Path) -> None:
    """The parent holds the lock of the file; the child waits for it and then saves."""
    for number in range(5):
        saver = threading.Thread(target=save_many, args=(number,))
        saver.start()
        code = in_child(lambda: TokenStore().save(TOKEN, key="child", overwrite=True))
        saver.join(LIMIT)
        assert code == 0

    assert TokenStore().load(key="child") == TOKEN
    assert [TokenStore().load(key=f"{n} 19") for n in range(5)] == [TOKEN] * 5
    assert [path.name for path in secrets.iterdir() if ".new-" in path.name] == []


def save_many(number: int) -> None:
    for turn in range(20):
        TokenStore().save(TOKEN, key=f"{number} {turn}")
