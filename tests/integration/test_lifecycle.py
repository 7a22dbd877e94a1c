"""``install()``, ``uninstall()`` and ``installed()`` in any number and order, from any thread."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from requests.sessions import SessionRedirectMixin

from cave_auth_adapter import CaveAuth, install, installed, uninstall
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import Tokens

GET_ADAPTER = requests.Session.get_adapter
REBUILD_AUTH = SessionRedirectMixin.rebuild_auth


@pytest.fixture
def url(sandbox: Sandbox) -> str:
    return f"{sandbox.data_server}/echo"


def token_at(url: str, session: requests.Session | None = None) -> str | None:
    answer = (session or requests).get(url, allow_redirects=False)
    return answer.json()["cookies"]["middle_auth_token"] if answer.status_code == 200 else None


def assert_untouched() -> None:
    assert requests.Session.get_adapter is GET_ADAPTER
    assert requests.Session.__dict__["get_adapter"] is GET_ADAPTER
    assert SessionRedirectMixin.__dict__["rebuild_auth"] is REBUILD_AUTH
    assert "rebuild_auth" not in requests.Session.__dict__


@pytest.mark.parametrize("times", [1, 2, 5])
def test_one_uninstall_ends_any_number_of_installs(url: str, tokens: Tokens, times: int) -> None:
    for _ in range(times):
        install()
    assert token_at(url) == tokens.data

    uninstall()

    assert token_at(url) is None
    assert_untouched()


@pytest.mark.parametrize("times", [1, 2, 5])
def test_uninstalling_without_install_is_harmless(times: int) -> None:
    for _ in range(times):
        uninstall()
    assert_untouched()


def test_installing_again_after_uninstalling_signs_again(url: str, tokens: Tokens) -> None:
    for _ in range(3):
        install()
        assert token_at(url) == tokens.data
        uninstall()
        assert token_at(url) is None
    assert_untouched()


def test_installing_again_replaces_the_auth(url: str, sandbox: Sandbox) -> None:
    other = sandbox.create_token()
    install(CaveAuth(sandbox.token, hosts=[sandbox.data_server]))
    install(CaveAuth(other, hosts=[sandbox.data_server]))

    assert token_at(url) == other


def test_installing_many_times_adds_no_layer() -> None:
    for _ in range(3000):  # more than the recursion limit
        install()

    assert requests.Session().get_adapter("https://global.daf-apis.com") is not None


def test_nested_blocks_restore_the_former_state(url: str, sandbox: Sandbox) -> None:
    outer, inner = sandbox.create_token(), sandbox.create_token()
    hosts = [sandbox.data_server]
    with installed(CaveAuth(outer, hosts=hosts)):
        with installed(CaveAuth(inner, hosts=hosts)):
            assert token_at(url) == inner
        assert token_at(url) == outer
    assert token_at(url) is None
    assert_untouched()


def test_a_context_within_install_leaves_it_installed(url: str, tokens: Tokens) -> None:
    install()
    with installed(CaveAuth(tokens.other, hosts=["localhost:1"])):
        assert token_at(url) is None
    assert token_at(url) == tokens.data


def test_an_exception_within_a_context_ends_it() -> None:
    with pytest.raises(ZeroDivisionError), installed():
        raise ZeroDivisionError
    assert_untouched()


def test_uninstalling_within_a_block_restores_the_state_before_it() -> None:
    with installed():
        uninstall()
    assert_untouched()


def test_a_session_signs_only_while_installed(url: str, tokens: Tokens) -> None:
    session, seen = requests.Session(), []
    for change in (uninstall, install, uninstall, install):
        change()
        seen.append(token_at(url, session))

    assert seen == [None, tokens.data, None, tokens.data]


def test_uninstall_leaves_a_later_patch_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    install()
    ours, calls = requests.Session.get_adapter, []

    def theirs(self: requests.Session, url: str) -> object:
        calls.append(url)
        return ours(self, url)

    with monkeypatch.context() as patch:
        patch.setattr(requests.Session, "get_adapter", theirs)
        uninstall()
        adapter = requests.Session().get_adapter("https://global.daf-apis.com")
        assert requests.Session.get_adapter is theirs

    assert calls == ["https://global.daf-apis.com"]
    assert type(adapter) is requests.adapters.HTTPAdapter
    install()  # they put back our method, so that we can remove it
    uninstall()
    assert_untouched()


def test_an_earlier_patch_is_still_called(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def theirs(self: requests.Session, url: str) -> object:
        calls.append(url)
        return GET_ADAPTER(self, url)

    with monkeypatch.context() as patch:
        patch.setattr(requests.Session, "get_adapter", theirs)
        with installed():
            requests.Session().get_adapter("https://global.daf-apis.com")
        assert requests.Session.get_adapter is theirs

    assert calls == ["https://global.daf-apis.com"]


def test_repeated_installs_under_a_patch_leave_no_layers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A test suite puts a mock over our method, and removes it after uninstall."""
    for _ in range(20):
        install()
        with monkeypatch.context() as patch:
            ours = requests.Session.get_adapter
            patch.setattr(requests.Session, "get_adapter", lambda self, url, f=ours: f(self, url))
            install()
            uninstall()
    install()
    depth, function = 0, requests.Session.get_adapter
    while hasattr(function, "__wrapped__"):
        depth, function = depth + 1, function.__wrapped__
    # undo by hand, for the tests that follow
    uninstall()
    requests.Session.get_adapter = GET_ADAPTER

    assert depth == 1


def test_installing_and_uninstalling_in_threads_breaks_no_request(url: str, tokens: Tokens) -> None:
    stop, session = threading.Event(), requests.Session()

    def toggle() -> None:
        while not stop.is_set():
            install()
            uninstall()
            with installed():
                pass

    def work(number: int) -> list[object]:
        get = session.get if number % 2 else requests.get
        answers = [get(url, allow_redirects=False) for _ in range(15)]
        return [answer.status_code for answer in answers]

    threads = [threading.Thread(target=toggle) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        with ThreadPoolExecutor(8) as executor:
            codes = [code for codes in executor.map(work, range(8)) for code in codes]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    uninstall()

    assert len(codes) == 120
    assert set(codes) <= {200, 302}
    assert_untouched()


@pytest.mark.parametrize("name", ["get_adapter", "rebuild_auth"])
def test_the_replaced_method_looks_like_the_original(on: None, name: str) -> None:
    import inspect

    ours = getattr(requests.Session, name)
    original: Any = {"get_adapter": GET_ADAPTER, "rebuild_auth": REBUILD_AUTH}[name]

    assert ours.__name__ == original.__name__
    assert ours.__doc__ == original.__doc__
    assert inspect.signature(ours) == inspect.signature(original)
