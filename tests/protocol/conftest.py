"""A sandbox for these tests, and short ways to ask it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from cave_auth_adapter.sandbox import Sandbox


@pytest.fixture(scope="package")
def own_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def session(own_sandbox: Sandbox) -> Iterator[requests.Session]:
    own_sandbox.clear_requests()
    own_sandbox.clear_caches()
    with requests.Session() as session:
        session.trust_env = False
        session.verify = own_sandbox.ca_bundle
        yield session


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def sticky(sandbox: Sandbox) -> str:
    return f"{sandbox.auth_server}/sticky_auth"


def in_api(path: str) -> str:
    """A path of the auth service's API; one that begins with a slash is of its pages."""
    return path if path.startswith("/") else f"/auth/api/v1/{path}"


@pytest.fixture
def get(own_sandbox: Sandbox, session: requests.Session) -> Any:
    """Ask the data server, without following redirects."""

    def get(path: str, **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return session.get(own_sandbox.data_server + path, headers=named, allow_redirects=False)

    return get


@pytest.fixture
def api(own_sandbox: Sandbox, session: requests.Session) -> Any:
    """Ask the auth service's API as the ordinary user, or with another token."""

    def api(method: str, path: str, token: str | None = None, **options: Any) -> requests.Response:
        url = own_sandbox.auth_server + in_api(path)
        headers = bearer(token or own_sandbox.token)
        return session.request(method, url, headers=headers, allow_redirects=False, **options)

    return api
