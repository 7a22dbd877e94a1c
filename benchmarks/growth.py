"""What grows: memory with the requests made, time with the number of files and hosts."""

from __future__ import annotations

import gc
import os
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import requests

from cave_auth_adapter import CaveAuth, TokenStore, runtime

from .measure import Row
from .sessions import CAVE, OURS, TOKEN, ours

COUNTS = (1, 10, 100, 1000, 10_000)
_REQUESTS = 10_000
_KEPT = 64  # KiB that a session may hold more after these requests: none is per request


def memory() -> Iterator[Row]:
    """What is held after many requests that was not before."""
    TokenStore().save(TOKEN)
    for name, session in ours().items():
        held = _traced(session)
        resident = _resident(session)
        what = f"memory held after 10,000 requests more, {OURS[name]}"
        shown = f"{held:.1f} KiB; resident set {resident}"
        yield Row(what, shown, f"<= {_KEPT} KiB", held <= _KEPT)


def _traced(session: requests.Session) -> float:
    tracemalloc.start()
    try:
        _ask(session, 200)
        before = tracemalloc.get_traced_memory()[0]
        _ask(session, _REQUESTS)
        return (tracemalloc.get_traced_memory()[0] - before) / 1024
    finally:
        tracemalloc.stop()


def _resident(session: requests.Session) -> str:
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return "not known here"
    _ask(session, 200)
    before = int(pages.read_text().split()[1])
    _ask(session, _REQUESTS)
    more = int(pages.read_text().split()[1]) - before
    return f"{more * os.sysconf('SC_PAGE_SIZE') / 1024:+.0f} KiB"


def _ask(session: requests.Session, times: int) -> None:
    for _ in range(times):
        session.get(CAVE)
    gc.collect()


class Growth(NamedTuple):
    """Seconds, for each of COUNTS."""

    first: list[float]  #: the first look-up of a process
    signature: list[float]  #: each one after it


def with_files() -> Growth:
    """With that many secret files of other servers."""
    first, later = [], []
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as home:
            store = TokenStore(f"{home}/secrets")
            store.save(TOKEN)
            for number in range(count - 1):
                path = store.path_for(f"server-{number}.example.org")
                path.write_text(f'{{"token": "{TOKEN}"}}')
                path.chmod(0o600)
            with mock.patch.dict(os.environ, CLOUD_VOLUME_DIR=home):
                _time(CaveAuth, first, later)
    return Growth(first, later)


def with_hosts() -> Growth:
    """With that many trusted hosts, named in code."""
    first, later = [], []
    TokenStore().save(TOKEN)
    for count in COUNTS:
        hosts = ["global.daf-apis.com", *(f"host-{n}.example.org" for n in range(count - 1))]
        _time(lambda hosts=hosts: CaveAuth(hosts=hosts), first, later)
    return Growth(first, later)


def _time(make, first: list[float], later: list[float]) -> None:
    firsts, laters = [], []
    request = requests.Request("GET", CAVE).prepare()
    for _ in range(5):
        runtime.reset()
        start = time.thread_time()
        auth = make()
        auth.token_for(CAVE)
        firsts.append(time.thread_time() - start)
        for _ in range(40):
            start = time.thread_time()
            for _ in range(10):
                request.hooks["response"].clear()
                auth(request)
            laters.append((time.thread_time() - start) / 10)
    first.append(min(firsts))
    later.append(min(laters))


def rows(files: Growth, hosts: Growth) -> Iterator[Row]:
    for what, growth in (("secret files", files), ("trusted hosts", hosts)):
        ratio = growth.signature[-1] / growth.signature[0]
        shown = f"{ratio:.2f} x ({growth.signature[-1] * 1e6:.1f} µs)"
        yield Row(f"a signature with 10,000 {what}, against one", shown, "<= 1.5 x", ratio <= 1.5)
        shown = f"{growth.first[-1] * 1e3:.0f} ms ({growth.first[0] * 1e3:.2f} ms with one)"
        yield Row(f"the first look-up of a process with 10,000 {what}", shown)
