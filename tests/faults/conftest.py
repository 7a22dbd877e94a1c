"""What the tests of faults share: a faulty server, the doors, a watchdog, a count of sockets."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import pytest
import requests

from cave_auth_adapter import CaveAuth, keepalive

from ..support.doors import session_through
from ..support.faulty import STALL, Fault, FaultyServer
from ..support.servers import Authority
from ..support.stub import TOKEN

T = TypeVar("T")
LIMIT = 30  # seconds; what takes longer hangs
STALLS = 1.0  # seconds until a time-out where a server stalls; it may save a token meanwhile


@pytest.fixture(autouse=True)
def start_afresh(fresh_start: None) -> None:
    """Each test here makes connections, and may install."""


@pytest.fixture
def serve(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start faulty servers whose certificates are accepted, and which end with the test."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    servers: list[FaultyServer] = []

    def serve(*arguments: Any, **options: Any) -> FaultyServer:
        servers.append(FaultyServer(authority, *arguments, **options))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


Serve = Callable[..., FaultyServer]


class Fate(NamedTuple):
    """How a request ended for its caller."""

    error: type[BaseException] | None
    status: int | None  # None: there was no answer
    received: int  # bytes of the body, until it ended or failed
    redirects: int
    shows_token: bool = False


def fate_of(
    session: requests.Session, url: str, fault: Fault, stream: bool, method: str = "GET"
) -> Fate:
    """Make a request that meets a fault, and read its body."""
    timeout = STALLS if fault.then == STALL else LIMIT
    session.max_redirects = 5
    status, received, redirects = None, 0, 0
    try:
        with session.request(method, url, stream=stream, timeout=timeout) as response:
            status, redirects = response.status_code, len(response.history)
            if stream:
                for piece in response.iter_content(100):
                    received += len(piece)
            else:
                received = len(response.content)
    except Exception as error:
        shows = TOKEN in f"{error!r} {error.__cause__!r} {error.__context__!r}"
        return Fate(type(error), status, received, redirects, shows)
    return Fate(None, status, received, redirects)


def bounded(work: Callable[[], T]) -> T:
    """The result or the error of a function; fails if it hangs."""
    ends: list[Callable[[], T]] = []

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            ends.append(lambda error=error: _raise(error))  # type: ignore[misc]
        else:
            ends.append(lambda: result)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LIMIT)
    assert ends, f"still at work after {LIMIT} seconds"
    return ends[0]()


def _raise(error: BaseException) -> Any:
    raise error


def open_sockets() -> int:
    """How many sockets this process has open."""
    count = 0
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:")
        except FileNotFoundError:  # the one by which the directory was listed
            continue
    return count


def close_idle() -> None:
    """Close the idle connections that are kept on purpose."""
    keepalive.reset()


def settled_sockets(expected: int = 0, patience: float = 1.0) -> int:
    """The number of open sockets after garbage collection."""
    close_idle()
    gc.collect()
    deadline = time.monotonic() + (patience if expected else 0)
    while (count := open_sockets()) > expected and time.monotonic() < deadline:
        time.sleep(0.01)
    return count


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts in /proc")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")


def still_works(door: str, auth: CaveAuth, session: requests.Session, url: str) -> bool:
    """Whether the same session and a new one still send signed requests."""
    with session_through(door, auth) as new:
        return all(each.get(url, timeout=10).status_code == 200 for each in (session, new))
