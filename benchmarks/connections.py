"""`requests.get` over TLS, with and without `install()`, and one session with many threads."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import requests
from requests.adapters import HTTPAdapter

from cave_auth_adapter import TokenStore, install

from .measure import Result, Row, Spread, in_turn
from .server import bare_pool, running
from .sessions import TOKEN, untouched

_HEADERS = {"Authorization": f"Bearer {TOKEN}"}
_THREADS = (1, 8, 64)
_REQUESTS = 640  # of all threads together, in each round
_TIMEOUT = 30  # seconds


def get(delay: float = 0.0, *, rounds: int = 12, calls: int = 24) -> Result:
    """What ``requests.get`` takes: by itself, under ``install()``, and beside what is kept alive.

    :param delay: seconds from one side to the other: half a round trip.

    ``requests.get`` makes a session, asks it, and closes it; so do these.
    """
    with (
        tempfile.TemporaryDirectory() as directory,
        running(Path(directory), delay) as server,
        mock.patch.dict(os.environ, REQUESTS_CA_BUNDLE=server.bundle),  # for all ways alike
    ):
        TokenStore().save(TOKEN, server.url, overwrite=True)
        kept = untouched(requests.Session())
        install()

        def plain() -> None:
            with untouched(requests.Session()) as session:
                session.get(server.url, headers=_HEADERS, timeout=_TIMEOUT)

        bare = bare_pool(server.url, server.bundle)
        ways: dict[str, Callable[[], object]] = {
            "plain": plain,
            "bare": lambda: bare.request("GET", "/", headers=_HEADERS),
            "installed": lambda: requests.get(server.url, timeout=_TIMEOUT),
            "kept": lambda: kept.get(server.url, headers=_HEADERS, timeout=_TIMEOUT),
        }
        return in_turn(ways, rounds=rounds, calls=calls, clock=time.perf_counter)


def rows(result: Result) -> Iterator[Row]:
    faster = result.ratio("plain", "installed")
    what = "`requests.get()` over TLS: times as fast under `install()`"
    yield Row(what, faster.show(" x"), ">= 10 x", faster.median >= 10)
    slower = result.ratio("installed", "kept")
    what = "the same against a `Session.get` that is kept alive"
    yield Row(what, slower.show(" x"), "<= 1.25 x", slower.median <= 1.25)


def rows_with_delay(result: Result) -> Iterator[Row]:
    faster = result.ratio("plain", "installed")
    yield Row("`requests.get()` with a round trip of 40 ms: times as fast", faster.show(" x"))
    slower = result.ratio("installed", "bare")
    what = "the same against a bare urllib3 connection that is kept alive"
    yield Row(what, slower.show(" x"), "<= 1.1 x", slower.median <= 1.1)


def throughput() -> Iterator[Row]:
    """Requests per second of one session that many threads share."""
    with (
        tempfile.TemporaryDirectory() as directory,
        running(Path(directory)) as server,
        mock.patch.dict(os.environ, REQUESTS_CA_BUNDLE=server.bundle),
    ):
        TokenStore().save(TOKEN, server.url, overwrite=True)
        install()
        plain, signed = untouched(requests.Session()), requests.Session()
        plain.headers.update(_HEADERS)
        for session in (plain, signed):
            session.mount("https://", HTTPAdapter(pool_maxsize=max(_THREADS)))
        for threads in _THREADS:
            rates: dict[str, list[float]] = {"without": [], "with": []}
            for _ in range(6):
                for name, session in (("without", plain), ("with", signed)):
                    rates[name].append(_REQUESTS / _seconds(session, server.url, threads))
            plural = "thread" if threads == 1 else "threads"
            for name, values in rates.items():
                what = f"one session, {threads} {plural}: requests per second {name} `install()`"
                yield Row(what, Spread.of(values).show())


def _seconds(session: requests.Session, url: str, threads: int) -> float:
    def work() -> None:
        for _ in range(_REQUESTS // threads):
            session.get(url, timeout=_TIMEOUT)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - start
