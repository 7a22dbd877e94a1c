"""What every test starts from: an empty home directory, no CAVE variables, requests as it was."""

from __future__ import annotations

import signal
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
import trustme

from cave_auth_adapter import CaveAuth, TokenStore, keepalive, runtime, uninstall
from cave_auth_adapter.sandbox import Sandbox

from .support.answering import StubServer
from .support.doors import DOORS, Door, session_through
from .support.sandbox import Tokens
from .support.servers import Authority
from .support.systems import home_at

_UNSET = (
    *("CAVE_TOKEN", "CAVE_TOKEN_FILE", "CAVE_TOKEN_COMMAND", "CAVE_AUTH_ACCOUNT"),
    *("CAVE_AUTH_HOSTS", "CAVE_AUTH_KEYRING", "CLOUD_VOLUME_DIR", "NETRC"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("VIRTUAL_ENV", "CONDA_PREFIX"),  # `cave-auth run` takes the Python of the active environment
    # the kind of terminal, and the user's preferences
    *("SSH_CONNECTION", "SSH_TTY", "DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "NO_COLOR"),
    *("JPY_PARENT_PID", "MPLBACKEND", "JUPYTERHUB_API_URL", "BINDER_LAUNCH_HOST"),
    *("COLAB_RELEASE_TAG", "CODESPACES", "REMOTE_CONTAINERS", "VSCODE_IPC_HOOK_CLI"),
)
# A process started in the background ignores Ctrl-C, and so would its children.
signal.signal(signal.SIGINT, signal.default_int_handler)

_GET_ADAPTER = requests.Session.get_adapter
_REBUILD_AUTH = requests.Session.rebuild_auth


@pytest.fixture(autouse=True)
def fresh_environment(tmp_path: Path) -> Iterator[None]:
    runtime.reset()  # warnings are given once per process; here, once per test
    # Not the test's monkeypatch: its undo() must not bring back the real home directory.
    with pytest.MonkeyPatch.context() as patch:
        for name, value in home_at(tmp_path).items():
            patch.setenv(name, value)
        for name in _UNSET:
            patch.delenv(name, raising=False)
        yield
    assert requests.Session.get_adapter is _GET_ADAPTER
    assert requests.Session.rebuild_auth is _REBUILD_AUTH


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The directory of secret files; it does not exist yet."""
    return tmp_path / ".cloudvolume" / "secrets"


@pytest.fixture
def fresh_start(fresh_environment: None) -> Iterator[None]:
    """The test starts without idle connections, and nothing stays installed after it."""
    keepalive.reset()
    yield
    uninstall()
    keepalive.reset()


# --- the sandbox, and who uses it ----------------------------------------------------------


@pytest.fixture
def sandbox(cave_sandbox_process: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox that all tests share, with an empty record of requests."""
    for name, value in cave_sandbox_process.environ.items():
        monkeypatch.setenv(name, value)
    cave_sandbox_process.clear_requests()
    cave_sandbox_process.clear_caches()
    return cave_sandbox_process


@pytest.fixture
def tokens(sandbox: Sandbox) -> Tokens:
    """A token saved for each CAVE server of the sandbox, which makes it trusted."""
    tokens = Tokens(sandbox.token, sandbox.create_token(), sandbox.create_token())
    store = TokenStore()
    store.save(tokens.data, sandbox.data_server)
    store.save(tokens.other, sandbox.other_data_server)
    store.save(tokens.auth, sandbox.auth_server)
    return tokens


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    """Each of the three ways to use the plugin, as a function that makes a signed session."""
    with ExitStack() as stack:
        stack.callback(uninstall)

        def make(auth: CaveAuth | None = None) -> requests.Session:
            return stack.enter_context(session_through(request.param, auth))

        yield make


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pages that would have been opened in a browser."""
    pages: list[str] = []

    def note(page: str, *_: object, **__: object) -> None:
        pages.append(page)

    monkeypatch.setattr("webbrowser.open", note)
    return pages


# --- servers on localhost ------------------------------------------------------------------


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that signs the certificates of servers on localhost."""
    bundle = tmp_path_factory.mktemp("authority") / "ca.pem"
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(bundle))
    return Authority(ca, ca.issue_cert("localhost"), bundle)


@pytest.fixture
def stub_context(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The TLS settings of a test's server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.certificate.configure_cert(context)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    return context


@pytest.fixture
def stub_server(stub_context: ssl.SSLContext) -> Iterator[StubServer]:
    """A server that gives one answer to every request; a test may change it."""
    server = StubServer(stub_context)
    yield server
    server.close()
