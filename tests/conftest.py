"""What every test starts from: an empty home directory, no CAVE variables, requests as it was."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from cave_auth_adapter import runtime, sources

collect_ignore = ["thirdparty"]  # a package of its own, tested by tests/kit/test_third_party.py

_UNSET = (
    *("CAVE_TOKEN", "CAVE_TOKEN_FILE", "CAVE_AUTH_HOSTS", "CLOUD_VOLUME_DIR", "NETRC"),
    "CAVE_AUTH_KEYRING",
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)
# A process that was started in the background ignores Ctrl-C, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

_GET_ADAPTER = requests.Session.get_adapter
_REBUILD_AUTH = requests.Session.rebuild_auth


@pytest.fixture(autouse=True)
def fresh_environment(tmp_path: Path) -> Iterator[None]:
    runtime._given.clear()  # warnings are given once per process; here, once per test
    sources._given_out.clear()
    # Not the monkeypatch of the test: its undo() must not bring back the real home directory.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path))
        for name in _UNSET:
            patch.delenv(name, raising=False)
        yield
    assert requests.Session.get_adapter is _GET_ADAPTER
    assert requests.Session.rebuild_auth is _REBUILD_AUTH


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The directory of secret files; it does not exist yet."""
    return tmp_path / ".cloudvolume" / "secrets"
