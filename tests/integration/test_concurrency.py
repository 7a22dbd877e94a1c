"""Threads, processes and greenlets: each request gets its own answer and its own signature."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import joblib
import pytest
import requests
from joblib.externals.loky import get_reusable_executor
from requests.adapters import HTTPAdapter

from cave_auth_adapter import CaveAuth, install, mount
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import Tokens
from . import workers
from .conftest import Python

TIMEOUT = 60


@pytest.fixture
def url(sandbox: Sandbox, tokens: Tokens) -> str:
    return f"{sandbox.data_server}/echo"


@pytest.mark.parametrize("kind", ["session", "requests", "mounted session", "session with auth"])
def test_64_threads_each_get_their_own_answer(url: str, tokens: Tokens, kind: str) -> None:
    session: Any = requests.Session()
    session.mount("https://", HTTPAdapter(pool_maxsize=64))
    if kind == "mounted session":
        mount(session)
    elif kind == "session with auth":
        session.auth = CaveAuth()
    else:
        install()
    sender = requests if kind == "requests" else session
    barrier = threading.Barrier(64)

    def work(number: int) -> list[tuple[str, str, str, str]]:
        barrier.wait(TIMEOUT)
        seen = []
        for turn in range(4):
            body = f"{number}/{turn}"
            answer = sender.post(url, data=body, headers={"X-Own": body}).json()
            own = dict(answer["headers"])["X-Own"]
            seen.append((body, answer["body"], own, answer["cookies"]["middle_auth_token"]))
        return seen

    with ThreadPoolExecutor(64) as executor:
        seen = [entry for entries in executor.map(work, range(64)) for entry in entries]

    assert len(seen) == 256
    assert all(body == echoed == own for body, echoed, own, _ in seen)
    assert {token for *_, token in seen} == {tokens.data}


def test_threads_send_each_server_its_own_token(sandbox: Sandbox, tokens: Tokens, on: None) -> None:
    servers = {
        sandbox.data_server: tokens.data,
        sandbox.other_data_server: tokens.other,
    }

    def work(number: int) -> bool:
        server = list(servers)[number % 2]
        cookies = requests.get(f"{server}/echo").json()["cookies"]
        return bool(cookies == {"middle_auth_token": servers[server]})

    with ThreadPoolExecutor(16) as executor:
        assert all(executor.map(work, range(100)))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_of_processes_is_signed(url: str, tokens: Tokens, method: str, on: None) -> None:
    """A forked child inherits the installation; a spawned one installs in its initializer."""
    context = multiprocessing.get_context(method)
    with context.Pool(2, initializer=None if method == "fork" else install) as pool:
        seen = pool.map_async(workers.cookies_at, [url] * 6).get(TIMEOUT)

    assert seen == [{"middle_auth_token": tokens.data}] * 6


def test_a_child_forked_during_install_does_not_hang(url: str, tokens: Tokens) -> None:
    """The lock of install() may be held by another thread at the moment of the fork."""
    from cave_auth_adapter.install import _lock

    with _lock:
        pid = os.fork()
        if pid == 0:
            try:
                signal.alarm(2)
                install()
                os._exit(0)
            finally:
                os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_executor_of_processes_is_signed(
    url: str, tokens: Tokens, method: str, on: None
) -> None:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context, initializer=install) as executor:
        seen = list(executor.map(workers.cookies_at, [url] * 4, timeout=TIMEOUT))

    assert seen == [{"middle_auth_token": tokens.data}] * 4


@pytest.fixture
def loky() -> Iterator[None]:
    yield
    get_reusable_executor().shutdown(wait=True, kill_workers=True)


def test_loky_workers_that_install_are_signed(url: str, tokens: Tokens, loky: None) -> None:
    calls = [joblib.delayed(workers.cookies_at_after_install)(url) for _ in range(4)]

    seen = joblib.Parallel(n_jobs=2, backend="loky", timeout=TIMEOUT)(calls)

    assert seen == [{"middle_auth_token": tokens.data}] * 4


def test_loky_workers_with_an_initializer_are_signed(url: str, tokens: Tokens, loky: None) -> None:
    calls = [joblib.delayed(workers.cookies_at)(url) for _ in range(4)]

    with joblib.parallel_config(backend="loky", initializer=install):
        seen = joblib.Parallel(n_jobs=2, timeout=TIMEOUT)(calls)

    assert seen == [{"middle_auth_token": tokens.data}] * 4


def test_joblib_threads_are_signed(url: str, tokens: Tokens, on: None) -> None:
    calls = [joblib.delayed(workers.cookies_at)(url) for _ in range(4)]

    seen = joblib.Parallel(n_jobs=2, backend="threading")(calls)

    assert seen == [{"middle_auth_token": tokens.data}] * 4


def test_a_session_handed_to_a_loky_worker_is_signed(url: str, tokens: Tokens, loky: None) -> None:
    session = mount(requests.Session())
    calls = [joblib.delayed(session.post)(url, data=str(n)) for n in range(4)]

    answers = joblib.Parallel(n_jobs=2, backend="loky", timeout=TIMEOUT)(calls)

    assert [answer.json()["body"] for answer in answers] == ["0", "1", "2", "3"]
    assert not any(tokens.found_in(dict(answer.request.headers)) for answer in answers)


def test_after_a_fork_with_idle_connections_no_answer_is_swapped(
    url: str, on: None, sandbox: Sandbox
) -> None:
    """Both processes hold the same sockets: two that write to one get each other's answers."""
    for _ in range(2):
        assert workers.mismatches(url, "before", 3) == []
    context = multiprocessing.get_context("fork")
    with ThreadPoolExecutor(4) as threads:  # so that there are idle connections
        list(threads.map(lambda n: workers.mismatches(url, f"warm {n}", 2), range(4)))
    with context.Pool(1) as pool:
        child = pool.apply_async(workers.mismatches, (url, "child", 500))
        parent = workers.mismatches(url, "parent", 500)

        assert parent == []
        assert child.get(TIMEOUT) == []


def test_a_fork_among_many_threads_does_not_hang(url: str, on: None) -> None:
    stop, warm = threading.Event(), threading.Barrier(5)

    def hammer(number: int) -> list[str]:
        wrong = workers.mismatches(url, f"thread {number}", 1)
        # OpenSSL hangs in a child that is forked while a thread makes an SSLContext, with us
        # or without us. So the threads connect before the fork.
        warm.wait()
        while not stop.is_set():
            wrong += workers.mismatches(url, f"thread {number}", 1)
        return wrong

    context = multiprocessing.get_context("fork")
    with ThreadPoolExecutor(4) as threads:
        hammers = [threads.submit(hammer, number) for number in range(4)]
        warm.wait()
        try:
            children = []
            for _ in range(4):
                with context.Pool(1) as pool:
                    result = pool.apply_async(workers.mismatches, (url, "child", 5))
                    children.append(result.get(TIMEOUT))
        finally:
            stop.set()

    assert children == [[]] * 4
    assert [hammer.result() for hammer in hammers] == [[]] * 4


PATCH = "from gevent import monkey; monkey.patch_all()"
STARTUP = "import cave_auth_startup; cave_auth_startup.activate()"
OURS = "import cave_auth_adapter; cave_auth_adapter.install()"
GREENLETS = """
import sys, gevent
sender, (url, *token) = {sender}, sys.argv[1:]
headers = {{"Authorization": "Bearer " + token[0]}} if token else None
def work(number):
    answer = sender.post(url, data=str(number), timeout=30, headers=headers).json()
    assert answer["body"] == str(number)
    return dict(answer["headers"])["Authorization"]
jobs = [gevent.spawn(work, number) for number in range(50)]
gevent.joinall(jobs, raise_error=True)
print(*{{job.value for job in jobs}})
"""
senders = pytest.mark.parametrize("sender", ["requests.Session()", "requests"])


@senders
@pytest.mark.parametrize(
    "imports",
    [
        [PATCH, "import requests", OURS],
        [PATCH, OURS, "import requests"],
        [STARTUP, PATCH, "import requests"],
        [PATCH, STARTUP, "import requests"],
    ],
    ids="; ".join,
)
def test_50_greenlets_each_get_their_own_answer(
    url: str, tokens: Tokens, python: Python, imports: list[str], sender: str
) -> None:
    result = python("\n".join([*imports, GREENLETS.format(sender=sender)]), url)

    assert result.stdout.strip() == f"Bearer {tokens.data}", result.stderr


@pytest.mark.parametrize("ours", [[OURS, PATCH], [PATCH, OURS]], ids="; ".join)
def test_requests_imported_before_gevents_patch_behaves_as_without_us(
    url: str, tokens: Tokens, python: Python, ours: list[str]
) -> None:
    """gevent warns of this order; with TLS, requests itself fails with a RecursionError."""
    script = GREENLETS.format(sender="requests")
    without = python("\n".join(["import requests", PATCH, script]), url, tokens.data)

    result = python("\n".join(["import requests", *ours, script]), url)

    assert result.stdout == without.stdout, result.stderr
    assert result.returncode == without.returncode
