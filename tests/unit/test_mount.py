"""``mount(session)``: every adapter of a session signs."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from cave_auth_adapter import CaveAdapter, CaveAuth, TokenStore, install, mount

from ..support.stub import BEARER, CAVE, FOREIGN, OTHER_TOKEN, TOKEN, StubAdapter

NEW = CaveAuth(OTHER_TOKEN, hosts=["cave.example.org"])
URLS = (CAVE, "https://cave.example.org", FOREIGN)


def wrapped_by(session: Any) -> dict[str, Any]:
    return {prefix: adapter.wrapped for prefix, adapter in session.adapters.items()}


@pytest.fixture(autouse=True)
def saved(store: TokenStore) -> None:
    store.save(TOKEN)


def tokens_sent(session: requests.Session, stub: StubAdapter) -> list[str | None]:
    stub.sent.clear()
    for url in URLS:
        session.get(url)
    return [sent.headers.get("Authorization") for sent in stub.sent]


def test_mount_returns_the_session() -> None:
    session = requests.Session()
    assert mount(session) is session


def test_a_mounted_session_signs() -> None:
    session, stub = requests.Session(), StubAdapter()
    session.mount("https://", stub)
    assert tokens_sent(mount(session), stub) == [BEARER, None, None]


def test_the_sessions_adapters_are_wrapped() -> None:
    session = requests.Session()
    before = dict(session.adapters)
    mount(session)
    assert all(isinstance(adapter, CaveAdapter) for adapter in session.adapters.values())
    assert wrapped_by(session) == before


def test_the_prefixes_keep_their_order() -> None:
    session = requests.Session()
    session.mount("https://a.example/longer", HTTPAdapter())
    session.mount("https://a.example", HTTPAdapter())
    before = list(session.adapters)
    assert list(mount(session).adapters) == before


def test_an_adapter_on_two_prefixes_is_wrapped_once() -> None:
    session, shared = requests.Session(), HTTPAdapter()
    session.mount("https://", shared)
    session.mount("https://a.example", shared)
    mount(session)
    assert session.adapters["https://"] is session.adapters["https://a.example"]
    assert session.adapters["https://"] is not session.adapters["http://"]


def test_mounting_again_changes_nothing() -> None:
    session = mount(requests.Session(), CaveAuth(TOKEN))
    before = list(session.adapters.items())
    assert list(mount(session).adapters.items()) == before


def test_mounting_again_wraps_newer_adapters() -> None:
    session, stub = mount(requests.Session()), StubAdapter()
    session.mount("https://", stub)
    assert tokens_sent(mount(session), stub) == [BEARER, None, None]


def test_an_adapter_mounted_later_signs_under_install_only() -> None:
    """docs/my-script.md says: call it last."""
    session, stub = mount(requests.Session()), StubAdapter()
    session.mount("https://", stub)
    assert tokens_sent(session, stub) == [None, None, None]
    with install():
        assert tokens_sent(session, stub) == [BEARER, None, None]
    assert tokens_sent(mount(session), stub) == [BEARER, None, None]


def test_mounting_again_with_an_auth_replaces_the_former() -> None:
    session, stub = requests.Session(), StubAdapter()
    session.mount("https://", stub)
    mount(mount(session), NEW)
    assert wrapped_by(session)["https://"] is stub
    assert tokens_sent(session, stub) == [None, f"Bearer {OTHER_TOKEN}", None]


def test_the_auth_of_an_adapter_that_sends_by_itself_is_replaced() -> None:
    class Sending(CaveAdapter):
        """Sends by itself, without a wrapped adapter and without a network."""

        def _transmit(self, request: Any, token: Any, args: Any, kwargs: Any) -> Any:
            return stub.send(request, *args, **kwargs)

    session, stub = requests.Session(), StubAdapter()
    session.mount("https://", Sending(max_retries=3))
    mount(session, NEW)
    adapter: Any = session.adapters["https://"]
    assert adapter.max_retries.total == 3
    assert tokens_sent(session, stub) == [None, f"Bearer {OTHER_TOKEN}", None]


def test_the_auth_of_nested_adapters_is_replaced() -> None:
    session, stub = requests.Session(), StubAdapter()
    session.mount("https://", CaveAdapter(wrapped=CaveAdapter(wrapped=stub)))
    mount(session, NEW)
    assert tokens_sent(session, stub) == [None, f"Bearer {OTHER_TOKEN}", None]


def test_another_session_with_the_same_adapter_is_unchanged() -> None:
    shared = StubAdapter()
    one, other = requests.Session(), requests.Session()
    for session in (one, other):
        session.mount("https://", shared)
    mount(one)
    assert other.adapters["https://"] is shared
