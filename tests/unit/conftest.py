"""What the tests of single rooms share: a store, a clock, a network where nothing answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
import responses

from cave_auth_adapter import (
    CaveAuth,
    TokenStore,
    hosts,
    installed,
    mount,
    runtime,
    sources,
    uninstall,
    watch,
)
from cave_auth_adapter.sources import memory, reading

from ..support.hostile import HOSTS, Server, Through
from ..support.stub import TOKEN, Clock


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """What a process remembers is forgotten before each test."""
    runtime.reset()


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    """A stand-in for the network; a request to an unregistered address fails."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def store() -> TokenStore:
    return TokenStore()


@pytest.fixture
def session(store: TokenStore) -> requests.Session:
    """A session with ``CaveAuth()``, and a token that it finds in the store."""
    store.save(TOKEN)
    session = requests.Session()
    session.auth = CaveAuth()
    return session


@pytest.fixture
def saved(store: TokenStore) -> Iterator[None]:
    """A token in the store; nothing stays installed after the test."""
    store.save(TOKEN)
    yield
    uninstall()


@pytest.fixture
def write(secrets: Path) -> Callable[..., Path]:
    """Write a secret file as another tool would, without our store."""

    def write(name: str, content: object = None, **keys: object) -> Path:
        secrets.mkdir(parents=True, exist_ok=True)
        path = secrets / name
        path.write_text(content if isinstance(content, str) else json.dumps(keys))
        path.chmod(0o600)
        return path

    return write


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time as the credentials see it; it stands still until a test moves it."""
    clock = Clock()
    fake = SimpleNamespace(monotonic=clock, sleep=clock.advance)
    for module in (sources, memory, reading, watch, hosts):
        monkeypatch.setattr(module, "time", fake)
    return clock


@pytest.fixture(params=["auth", "mount", "install"])
def through(request: pytest.FixtureRequest) -> Iterator[Through]:
    """Each way to sign: a function that lets a session send to a server, signed."""
    auth = CaveAuth(TOKEN, hosts=HOSTS)

    def send_to(server: Server, session: requests.Session | None = None) -> requests.Session:
        session = session or requests.Session()
        for prefix in list(session.adapters):
            session.mount(prefix, server)
        if request.param == "auth":
            session.auth = auth
        elif request.param == "mount":
            mount(session, auth)
        return session

    if request.param == "install":
        with installed(auth):
            yield send_to
    else:
        yield send_to
