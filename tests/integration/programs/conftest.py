"""Start programs with and without the plugin, in this environment and in new ones."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cave_auth_adapter.sandbox import Sandbox

from ...support.sandbox import Tokens
from .environments import CAVE_AUTH, Completed, Environment, Other, Start, make_environment


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Completed]:
    def start(command: list[str | Path], **options: Any) -> Completed:
        options = {"cwd": tmp_path, "capture_output": True, "text": True, **options}
        environ = {**os.environ, **options.pop("environ", {})}
        return subprocess.run([str(part) for part in command], env=environ, timeout=90, **options)

    return start


@pytest.fixture
def run(start: Start) -> Start:
    """`cave-auth run`"""
    return lambda *command, **options: start([*CAVE_AUTH, "run", *command], **options)


@pytest.fixture
def url(sandbox: Sandbox, tokens: Tokens) -> str:
    return f"{sandbox.data_server}/echo"


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Path]:
    def script(code: str, name: str = "script.py") -> Path:
        (tmp_path / name).write_text(textwrap.dedent(code))
        return tmp_path / name

    return script


@pytest.fixture
def info(sandbox: Sandbox, tokens: Tokens) -> str:
    """A file behind CAVE's login, without the prefix `middleauth+`."""
    return f"{sandbox.data_server}/volume/sandbox/info"


@pytest.fixture
def site_directory(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "their_module.py").write_text("name = 'theirs'\n")
    return tmp_path / "site"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Other:
    python = make_environment(tmp_path_factory.mktemp("other") / "venv")
    [purelib] = python.parent.parent.glob("lib/python*/site-packages")
    for name in ("requests", "urllib3", "idna", "certifi", "charset_normalizer", "filelock"):
        package = Path(str(importlib.util.find_spec(name).origin)).parent
        (purelib / name).symlink_to(package)
    return Other(python)


@pytest.fixture(scope="module")
def bare_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_environment(tmp_path_factory.mktemp("bare") / "venv")


@pytest.fixture(scope="module")
def shared_environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture
def environment(shared_environment: Environment, start: Start) -> Environment:
    return shared_environment.renew(start)


@pytest.fixture
def enabled(environment: Environment) -> Environment:
    assert environment.cave_auth("enable").returncode == 0
    return environment
