"""Adapters of requests' own class that were changed, so that they use a proxy of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from cave_auth_adapter import CaveAdapter, CaveAuth, install, mount, uninstall

from .detector import any_found
from .places import LOCAL, PROXY, TOKENS
from .world import Answer, World

URL = f"http://{LOCAL}/x"


def manager(adapter: HTTPAdapter) -> None:
    adapter.poolmanager = urllib3.ProxyManager(f"http://{PROXY}")


def pool(adapter: Any) -> None:
    proxy = urllib3.ProxyManager(f"http://{PROXY}")
    adapter.get_connection_with_tls_context = lambda *_, **__: proxy.connection_from_url(URL)
    adapter.get_connection = lambda *_: proxy.connection_from_url(URL)  # before requests 2.32
    adapter.request_url = lambda request, proxies: request.url


def by_auth(adapter: HTTPAdapter, session: requests.Session) -> None:
    session.mount("http://", adapter)
    session.auth = CaveAuth()


def by_mount(adapter: HTTPAdapter, session: requests.Session) -> None:
    session.mount("http://", adapter)
    mount(session)


def by_install(adapter: HTTPAdapter, session: requests.Session) -> None:
    session.mount("http://", adapter)
    install()


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session
    uninstall()


def needs_a_token(origin: str, request: bytes) -> Answer | None:
    return None if any_found(TOKENS.values(), request) else Answer(401)


@pytest.mark.parametrize("sign", [by_auth, by_mount, by_install])
@pytest.mark.parametrize("change", [manager, pool, None])
def test_plain_http_through_an_adapters_own_proxy_is_not_signed(
    world: World,
    session: requests.Session,
    sign: Callable[..., None],
    change: Callable[[HTTPAdapter], None] | None,
) -> None:
    adapter = HTTPAdapter()
    if change:
        change(adapter)
    sign(adapter, session)
    world.play([], needs_a_token)
    assert session.get(URL, timeout=20).status_code == (401 if change else 200)
    assert {each.origin for each in world.arrivals} == {f"http://{PROXY if change else LOCAL}"}


@pytest.mark.parametrize("change", [manager, pool, None])
def test_a_cave_adapter_with_a_proxy_of_its_own_does_not_sign_plain_http(
    world: World, session: requests.Session, change: Callable[[HTTPAdapter], None] | None
) -> None:
    adapter = CaveAdapter()
    if change:
        change(adapter)
    session.mount("http://", adapter)
    world.play([], needs_a_token)
    assert session.get(URL, timeout=20).status_code == (401 if change else 200)
