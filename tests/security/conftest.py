"""The world of the leak matrix, a person's secret files in it, and the size of the matrix."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from cave_auth_adapter import TokenStore, keepalive

from .places import GLOBAL, NAMED_HOSTS, TOKENS
from .world import World

TALLY: Counter[str] = Counter()


@pytest.fixture(scope="session")
def running_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.close()


@pytest.fixture
def world(
    running_world: World, fresh_environment: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """The world instead of the internet, and a token saved for each trusted server."""
    store = TokenStore()
    for server, token in TOKENS.items():
        store.save(token, server)
    store.save(TOKENS[GLOBAL])  # cave-secret.json
    for name in set(os.environ) - {"HOME", "PATH", "PYTEST_CURRENT_TEST"}:
        monkeypatch.delenv(name)  # requests goes through all of them three times per request
    monkeypatch.setenv("CAVE_AUTH_HOSTS", NAMED_HOSTS)
    keepalive.reset()
    with running_world.instead_of_the_internet():
        yield running_world


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands its part of the sums over."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["tally"] = dict(TALLY)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_testnodedown(node: Any, error: object) -> None:
    TALLY.update(getattr(node, "workeroutput", {}).get("tally", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TALLY:
        terminalreporter.write_line(
            "leak matrix: {combinations} combinations, {requests} requests recorded by foreign "
            "servers, {tokens} tokens at them, {crossed} of one deployment's file at "
            "another's".format_map(Counter(TALLY))
        )
