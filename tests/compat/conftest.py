"""What the tests against real libraries share: the sandbox, small servers, subprocesses."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from cave_auth_adapter import install, keepalive, uninstall

from ..integration.conftest import running_sandbox, sandbox, tokens  # noqa: F401 - fixtures
from .servers import Authority, ConnectProxy, TinyServer


@pytest.fixture(autouse=True)
def fresh_start(fresh_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No connection is left from the test before, and nothing stays installed."""
    monkeypatch.setattr(keepalive, "_transport", None)
    yield
    uninstall()
    if keepalive._transport is not None:
        keepalive._transport.poolmanager.clear()


@pytest.fixture
def on() -> None:
    """The plugin is installed; `fresh_start` takes it out."""
    install()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    directory = tmp_path_factory.mktemp("authority")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(directory / "ca.pem"))
    return Authority(ca, ca.issue_cert("localhost"), directory / "ca.pem")


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
def proxy() -> Iterator[ConnectProxy]:
    with ConnectProxy() as proxy:
        yield proxy


Python = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def python(tmp_path: Path) -> Python:
    """Run code in a new interpreter, with the environment of the test."""

    def python(code: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), *arguments],
            env={**os.environ, **environ},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=90,
        )

    return python
