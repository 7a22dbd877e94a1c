"""What the tests against real libraries share: small servers, subprocesses, a clean start."""

from __future__ import annotations

import functools
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cave_auth_adapter import install
from cave_auth_adapter.keepalive import connections

from ..support.processes import run_python
from ..support.servers import Authority, ConnectProxy, TinyServer


@pytest.fixture(autouse=True)
def start_afresh(fresh_start: None) -> None:
    """Each test here makes connections, and may install."""


@pytest.fixture
def on() -> None:
    """The plugin is installed; `fresh_start` uninstalls it."""
    install()


MakeServer = Callable[..., TinyServer]


@pytest.fixture
def serve(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeServer]:
    """Start tiny servers whose certificates are accepted, and which end with the test."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    servers: list[TinyServer] = []

    def serve(*args: object, **kwargs: object) -> TinyServer:
        servers.append(TinyServer(authority, *args, **kwargs))  # type: ignore[arg-type]
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the clock that only idle connections see."""
    passed = [0.0]

    class Time:
        @staticmethod
        def monotonic() -> float:
            return time.monotonic() + passed[0]

    monkeypatch.setattr(connections, "time", Time)

    def advance(seconds: float) -> None:
        passed[0] += seconds

    return advance


@pytest.fixture
def proxy() -> Iterator[ConnectProxy]:
    with ConnectProxy() as proxy:
        yield proxy


Python = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def python(tmp_path: Path) -> Python:
    """Run code in a new interpreter, with the environment of the test."""

    return functools.partial(run_python, cwd=tmp_path)
