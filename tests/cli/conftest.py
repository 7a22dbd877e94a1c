"""`cave-auth` in this process, on a machine with the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cave_auth_adapter import TokenStore
from cave_auth_adapter.cli import main
from cave_auth_adapter.sandbox import Sandbox

Run = Callable[..., Result]


def host(server: str) -> str:
    return server.partition("://")[2]


@pytest.fixture
def run() -> Run:
    """Run a command, and check each time what no command may do."""

    def invoke(*arguments: str, **options: Any) -> Result:
        result = CliRunner().invoke(main, [str(each) for each in arguments], **options)
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        assert "Traceback" not in result.output
        assert "\x1b[" not in result.output  # it is not a terminal
        return result

    return invoke


@pytest.fixture
def logged_in(sandbox: Sandbox) -> Sandbox:
    """As after `cave-auth login --trust-data-servers`."""
    store = TokenStore()
    for server in (None, sandbox.auth_server, sandbox.data_server):
        store.save(sandbox.token, server)
    return sandbox


def parsed(result: Result) -> Any:
    return json.loads(result.stdout)
