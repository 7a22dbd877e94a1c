"""Ctrl-C at any instant of a request, through each way to sign, and of saving a token."""

from __future__ import annotations

import functools
import gc
import json
import os
import queue
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import filelock
import pytest
import requests

import cave_auth_adapter
from cave_auth_adapter import CaveAuth, TokenStore, install
from cave_auth_adapter.keepalive import connections
from cave_auth_adapter.store import files

from ..support.doors import DOORS, session_through
from ..support.faulty import GOOD, REFUSAL, Fault, FaultyServer
from ..support.servers import Seen
from ..support.stub import TOKEN
from .conftest import Serve, bounded, needs_proc, settled_sockets, still_works

OTHER = "fedcba9876543210fedcba9876543210"
OURS = os.path.dirname(cave_auth_adapter.__file__) + os.sep
FILELOCK = os.path.dirname(filelock.__file__) + os.sep
INSTANTS = 100  # for each way to sign, in seconds

doors = pytest.mark.parametrize("door", DOORS)
install_module = sys.modules[install.__module__]


def interrupted_at(
    step: int, work: Callable[[], Any], counts: Callable[[FrameType | None], bool] | None = None
) -> bool:
    """Work, with a KeyboardInterrupt at a step within our code; whether it has that many.

    The interpreter looks for signals where a function begins and after a call of a built-in one;
    so that is where it is raised. Those steps are the same each time, unlike moments of the clock.

    :param counts: which frames have steps; None: those of our own code.
    """
    counts = counts or is_ours
    steps = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal steps
        if event == "call":
            within = counts(frame) or counts(frame.f_back)
        else:
            within = event == "c_return" and counts(frame)
        steps += within
        if within and steps == step:
            raise KeyboardInterrupt

    before = sys.getprofile()
    try:
        sys.setprofile(profile)
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(before)
    return False


def is_ours(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_code.co_filename.startswith(OURS)


def interrupted_after(seconds: float, work: Callable[[], Any]) -> bool:
    """Work with a KeyboardInterrupt after a time; whether the work ended before it."""
    is_due = True

    def interrupt(_: int, frame: FrameType | None) -> None:
        if is_due and is_within_a_lock(frame):
            signal.setitimer(signal.ITIMER_REAL, 0.0002)  # try again a little later
        elif is_due:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            work()
        finally:
            is_due = False
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        return True
    finally:
        is_due = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return False


def is_within_a_lock(frame: FrameType | None) -> bool:
    """Whether others are just taking or giving back a lock, in Python code.

    For some instants filelock 4.2 keeps the lock of the file until the process ends, and the queue
    of urllib3 its own, as without us. That is a known limit (docs/how-it-works.md), and not what
    is tested here.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith((FILELOCK, queue.__file__)):
            return True
        frame = frame.f_back
    return False


def is_free(lock: Any) -> bool:
    """Whether another thread can have a lock."""

    def try_it() -> bool:
        return bool(lock.acquire(timeout=1.0)) and lock.release() is None

    with ThreadPoolExecutor(1) as executor:
        return executor.submit(try_it).result()


class Bench:
    """A server, a token that can be changed, and a session that signs."""

    def __init__(self, serve: Serve, door: str):
        self.server: FaultyServer = serve(self.plan)
        self.good = TOKEN
        self.door = door
        self.renew()

    def plan(self, seen: Seen) -> Fault:
        return GOOD if seen.headers.get("authorization") == f"Bearer {self.good}" else REFUSAL

    def renew(self) -> None:
        """A new session that knows nothing yet."""
        self.auth = CaveAuth(hosts=[self.server.host])
        self.session = session_through(self.door, self.auth)

    def work(self) -> None:
        """A first request, and one that is refused and repeated with another token."""
        TokenStore().save(self.good, overwrite=True)
        assert self.session.get(self.server.url, timeout=10).ok
        self.good = OTHER if self.good == TOKEN else TOKEN
        TokenStore().save(self.good, overwrite=True)
        assert self.session.get(self.server.url, timeout=10).ok

    def check(self) -> None:
        """After an interrupt, check that nothing is locked and requests still work."""
        gates = self.auth.credentials._memory.turns._gates.values()
        assert not any(gate.locked() for gate in gates)
        assert is_free(install_module._lock)
        TokenStore().save(self.good, overwrite=True)
        assert still_works(self.door, self.auth, self.session, self.server.url)


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A leftover lock fails a test at once, and garbage collection is not interrupted."""
    monkeypatch.setattr(files, "_LOCK_TIMEOUT", 1.0)
    gc.disable()  # an exception raised within it is printed and lost
    yield
    gc.enable()


@needs_proc
@doors
def test_a_request_may_be_interrupted_at_any_step(serve: Serve, door: str) -> None:
    before, bench, step = settled_sockets(), Bench(serve, door), 1
    while interrupted_at(step, bench.work):
        bench.check()
        bench.session.close()
        bench.renew()
        step += 1
    bench.session.close()
    bench.server.close()
    assert step > 100
    assert settled_sockets(before) == before


@needs_proc
@doors
def test_a_request_may_be_interrupted_at_a_random_instant(serve: Serve, door: str) -> None:
    assert threading.current_thread() is threading.main_thread()
    before, bench, chance = settled_sockets(), Bench(serve, door), random.Random(door)
    hits = 0
    for _ in range(INSTANTS):
        hits += interrupted_after(chance.uniform(0, 0.02), bench.work)
        bench.check()
        bench.session.close()
        bench.renew()
    bench.session.close()
    bench.server.close()
    assert hits > INSTANTS / 10
    assert settled_sockets(before) == before


def test_the_shared_transport_may_be_interrupted_within_a_queue_lock(
    serve: Serve,
) -> None:
    """All sessions share it: a leftover lock would stop every later request."""
    server = serve(lambda seen: GOOD)
    install(CaveAuth(TOKEN, hosts=[server.host]))

    def is_of_queue(frame: FrameType | None) -> bool:
        return frame is not None and frame.f_back is not None and is_within_a_lock(frame.f_back)

    for step in range(1, 7):
        connections.view.cache_clear()  # a new pool fills a queue
        work = functools.partial(interrupted_at, step, lambda: requests.get(server.url))
        assert bounded(functools.partial(work, is_of_queue)), "it has no such step"
        assert bounded(lambda: requests.get(server.url, timeout=10)).ok


def whole(path: Path) -> str:
    """The token in the file, which must be the old or the new one; other keys are kept."""
    content = json.loads(path.read_text())
    assert content.pop("other") == TOKEN
    return str(content["token"])


class Saving:
    """A store in which one token and another are saved in turn."""

    def __init__(self) -> None:
        self.store = TokenStore()
        self.path = self.store.save(TOKEN, key="other")
        self.store.save(TOKEN)
        self.new = OTHER

    def work(self) -> None:
        self.store.save(self.new, overwrite=True)

    def check(self) -> None:
        old = TOKEN if self.new == OTHER else OTHER
        assert whole(self.path) in (old, self.new)
        self.store.save(self.new, overwrite=True)  # the lock is free
        self.store.save(old, key="again", overwrite=True)
        assert whole(self.path) == self.new
        assert self.path.stat().st_mode & 0o777 == 0o600
        lock = f".{self.path.name}.lock"
        assert {*os.listdir(self.path.parent)} <= {self.path.name, lock}
        self.new = old


def test_a_save_may_be_interrupted_at_any_step() -> None:
    saving, step = Saving(), 1
    while interrupted_at(step, saving.work):
        saving.check()
        step += 1
    assert step > 40


def test_a_save_may_be_interrupted_at_a_random_instant() -> None:
    saving, chance, hits = Saving(), random.Random("save"), 0
    for _ in range(3 * INSTANTS):
        hits += interrupted_after(chance.uniform(0, 0.002), saving.work)
        saving.check()
    assert hits > INSTANTS / 10
