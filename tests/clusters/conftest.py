"""A driver that is logged in, and engines whose workers may be."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.sandbox import Sandbox

from .engines import Engine

ROOT = str(Path(__file__).parents[2])


class Driver:
    """The process that is logged in: its secret file, and how it changes."""

    def __init__(self, sandbox: Sandbox):
        self.sandbox = sandbox
        self.url = f"{sandbox.data_server}/slow?seconds=0.02"
        self.tokens = [sandbox.create_token()]
        self.path = TokenStore().save(self.tokens[0], sandbox.data_server)

    def save_new(self) -> None:
        """Write a new token by replacing the file."""
        self.tokens.append(self.sandbox.create_token())
        other = self.path.with_suffix(".new")
        other.touch(mode=0o600)
        other.write_text(json.dumps({"token": self.tokens[-1]}))
        other.replace(self.path)

    def revoke_old(self) -> None:
        self.sandbox.revoke(self.tokens[-2])

    def revoke(self) -> None:
        self.sandbox.revoke(self.tokens[-1])


Start = Callable[[type[Engine]], Engine]


@pytest.fixture
def driver(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Driver:
    monkeypatch.setenv("CAVE_AUTH_HOSTS", sandbox.data_server.removeprefix("https://"))
    monkeypatch.setenv("PYTHONPATH", ROOT)  # where workers find tests.clusters.jobs
    return Driver(sandbox)


@pytest.fixture
def start(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """Start an engine; its workers have the secret files only where they share a directory."""
    with ExitStack() as stack:

        def start(kind: type[Engine]) -> Engine:
            for module in kind.wants:
                try:
                    importlib.import_module(module)
                except ModuleNotFoundError:
                    pytest.skip(f"{kind.__name__} needs {module}, which is not installed here")
            home = os.environ["HOME"]
            if not kind.shares_files:
                monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("worker")))
            engine = stack.enter_context(kind(tmp_path_factory.mktemp(kind.__name__)))
            monkeypatch.setenv("HOME", home)
            engine.log_in()
            return engine

        yield start


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    from .test_rotation import TABLE

    if TABLE:
        terminalreporter.section("failed tasks, of 300")
        for line in TABLE:
            terminalreporter.write_line(line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if sys.platform == "win32":
        for item in items:
            item.add_marker(pytest.mark.skip("the engines are killed by signals here"))
