"""Fixtures for pytest, to test a tool's CAVE authentication without a network.

In the ``conftest.py`` beside your tests, at the top::

    pytest_plugins = ["cave_auth_adapter.testing"]

It is not an entry point of pytest, which would then rewrite the whole package in every test run of
every user. (PYTEST_DONT_REWRITE: there is no ``assert`` here, and a conftest may import these names
above that line.)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..sandbox import RecordedRequest, Sandbox
from .foreign import ForeignServer
from .isolation import accepting, isolated_home
from .mock import CaveResponses

__all__ = [
    # the fixtures
    "cave_sandbox",
    "cave_token",
    "cave_secrets_dir",
    "foreign_server",
    "cave_responses",
    "cave_sandbox_process",
    # their types, for annotations
    "CaveResponses",
    "ForeignServer",
    "RecordedRequest",
    "Sandbox",
]


@pytest.fixture
def cave_secrets_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The path of the directory of secret files, in an empty home directory.

    ``HOME`` and ``CLOUD_VOLUME_DIR`` are set to that home directory, and the variables that hold a
    token or name a host are unset, so the test finds no token of this computer. The directory does
    not exist yet.

    ::

        def test_without_a_token_it_says_what_to_do(cave_secrets_dir):
            cave_secrets_dir.mkdir(parents=True)
            (cave_secrets_dir / "cave-secret.json").write_text('{"token": "abc"}')
    """
    with isolated_home(tmp_path_factory.mktemp("home")) as secrets_dir:
        yield secrets_dir


@pytest.fixture(scope="session")
def cave_sandbox_process() -> Iterator[Sandbox]:
    """The sandbox of the whole run, for your own fixtures with a longer scope than a test.

    ::

        @pytest.fixture(scope="session")
        def big_volume(cave_sandbox_process):
            return cave_sandbox_process.volume_path
    """
    try:
        with Sandbox() as sandbox:
            yield sandbox
    except ModuleNotFoundError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def cave_sandbox(cave_sandbox_process: Sandbox, cave_secrets_dir: Path) -> Iterator[Sandbox]:
    """A small CAVE deployment on this computer, with real HTTPS and real ``middle_auth_client``.

    One process serves the whole run. Each test starts without recorded requests, secret files and
    proxies, and ``requests`` accepts the sandbox's certificates. See
    :class:`cave_auth_adapter.sandbox.Sandbox`.

    ::

        def test_a_token_opens_the_door(cave_sandbox, cave_token):
            url = cave_sandbox.data_server + "/echo"
            assert requests.get(url, headers={"Authorization": f"Bearer {cave_token}"}).ok
            assert cave_sandbox.requests(cave_sandbox.data_server)[0].url == url
    """
    with accepting(cave_sandbox_process.environ):
        cave_sandbox_process.clear_requests()
        cave_sandbox_process.clear_caches()
        yield cave_sandbox_process


@pytest.fixture
def cave_token(cave_sandbox: Sandbox) -> Iterator[str]:
    """A new API key of the sandbox's ordinary user, which is revoked after the test.

    It is not saved: put it where your tool looks for a token.

    ::

        def test_the_token_is_read_from_the_environment(cave_token, monkeypatch):
            monkeypatch.setenv("CAVE_TOKEN", cave_token)
    """
    token = cave_sandbox.create_token()
    yield token
    cave_sandbox.revoke(token)


@pytest.fixture
def foreign_server(cave_sandbox: Sandbox) -> ForeignServer:
    """A server that is not CAVE, to test that no token is sent there.

    ::

        def test_a_redirect_that_leaves_cave_takes_no_token_along(
            cave_sandbox, cave_token, foreign_server
        ):
            session = requests.Session()
            session.headers["Authorization"] = f"Bearer {cave_token}"
            session.get(f"{cave_sandbox.data_server}/redirect?to={foreign_server.url}")
            foreign_server.assert_no_token()
    """
    return ForeignServer(cave_sandbox)


@pytest.fixture
def cave_responses(cave_secrets_dir: Path) -> Iterator[CaveResponses]:
    """Mock services that answer as CAVE's do, with ``responses``: no process, no connection.

    ::

        def test_a_good_token_is_accepted(cave_responses):
            url = "https://minnie.microns-daf.com/materialize/api/v3/version"
            cave_responses.protect(url, json="5.2.0")
            header = {"Authorization": f"Bearer {cave_responses.token}"}
            assert requests.get(url, headers=header).json() == "5.2.0"
    """
    try:
        import responses
    except ModuleNotFoundError:
        needed = 'pip install "cave-auth-adapter[testing]"'
        pytest.fail(f"The fixture cave_responses needs responses: {needed}", pytrace=False)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield CaveResponses(mock)
