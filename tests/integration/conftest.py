"""One sandbox for all integration tests, and the environment of a person who uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest
import requests

from cave_auth_adapter import CaveAuth, TokenStore, installed, mount
from cave_auth_adapter.sandbox import Sandbox


@pytest.fixture(scope="session")
def running_sandbox(cave_sandbox_process: Sandbox) -> Sandbox:
    """The sandbox of the testing kit: one for all tests, wherever this fixture is imported."""
    return cave_sandbox_process


class Tokens(NamedTuple):
    """A different token for each server, so that a test can tell which one arrived."""

    data: str
    other: str
    auth: str

    def found_in(self, received: object) -> bool:
        return any(token in repr(received) for token in self)


@pytest.fixture
def sandbox(running_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    for name, value in running_sandbox.environ.items():
        monkeypatch.setenv(name, value)
    running_sandbox.clear_requests()
    return running_sandbox


@pytest.fixture
def tokens(sandbox: Sandbox) -> Tokens:
    """A token saved for each CAVE server of the sandbox: so each of them is trusted."""
    tokens = Tokens(sandbox.token, sandbox.create_token(), sandbox.create_token())
    store = TokenStore()
    store.save(tokens.data, sandbox.data_server)
    store.save(tokens.other, sandbox.other_data_server)
    store.save(tokens.auth, sandbox.auth_server)
    return tokens


Door = Callable[..., requests.Session]


@pytest.fixture(params=["auth", "mounted adapter", "install"])
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    """Each of the three doors, as a function that makes an authenticated session."""
    with ExitStack() as stack:

        def make(auth: CaveAuth | None = None) -> requests.Session:
            session = stack.enter_context(requests.Session())
            if request.param == "auth":
                session.auth = auth or CaveAuth()
            elif request.param == "mounted adapter":
                mount(session, auth)
            else:
                stack.enter_context(installed(auth))
            return session

        yield make
