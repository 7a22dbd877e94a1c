"""The third way in, ``install()``: what is signed, and how it begins and ends."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from requests import Session
from requests.adapters import HTTPAdapter

from cave_auth_adapter import (
    CaveAdapter,
    CaveAuth,
    TokenStore,
    acting_as,
    install,
    installed,
    is_installed,
    mount,
    uninstall,
)
from cave_auth_adapter.install import activate

from ..support.installing import ORIGINAL, OTHER, sent_by, stub_session, token_sent
from ..support.stub import (
    BEARER,
    CAVE,
    COOKIE,
    FOREIGN,
    OTHER_TOKEN,
    THIRD_CAVE,
    TOKEN,
    Answer,
    StubAdapter,
    redirect,
)
from ..support.threads import at_once

pytestmark = pytest.mark.usefixtures("saved")

ORIGINAL_REBUILD = requests.Session.rebuild_auth


class MySession(Session):
    """A subclass by the caller."""


class TestWhatIsSigned:
    def test_a_session_made_before_install_signs(self) -> None:
        session = stub_session()
        install()
        session.get(CAVE)
        assert sent_by(session)[0].headers["Authorization"] == BEARER

    def test_a_session_of_a_subclass_signs(self) -> None:
        install()
        session = stub_session(session=MySession())
        session.get(CAVE)
        assert sent_by(session)[0].headers["Authorization"] == BEARER

    def test_a_session_class_imported_before_install_signs(self) -> None:
        install()
        session = stub_session(session=Session())  # imported at the top, before
        session.get(CAVE)
        assert sent_by(session)[0].headers["Cookie"] == COOKIE

    def test_requests_get_signs(self, web: responses.RequestsMock) -> None:
        web.get(f"{CAVE}/")
        install()
        requests.get(CAVE)
        assert web.calls[0].request.headers["Authorization"] == BEARER

    @pytest.mark.parametrize("url", [FOREIGN, f"{CAVE}.evil.example", f"{CAVE}:8443"])
    def test_another_host_gets_an_unsigned_request(self, url: str) -> None:
        install()
        session = stub_session()
        session.get(url)
        assert sent_by(session)[0].is_bare

    @pytest.mark.parametrize("url", [FOREIGN, f"{CAVE}:8443/", "http://global.daf-apis.com/"])
    def test_another_host_gets_the_sessions_own_adapter(self, url: str) -> None:
        install()
        session = Session()
        assert session.get_adapter(url) is session.adapters[url.partition("//")[0] + "//"]

    def test_a_session_with_a_cave_adapter_keeps_it(self) -> None:
        install()
        session = mount(stub_session(), OTHER)
        assert session.get_adapter(CAVE) is session.adapters["https://"]
        session.get(CAVE)
        assert sent_by(session)[0].headers["Authorization"] == f"Bearer {OTHER_TOKEN}"

    @pytest.mark.parametrize("own", ["Bearer mine", "Basic eDp5"])
    def test_the_callers_own_authorization_is_left_alone(self, own: str) -> None:
        install()
        session = stub_session(Answer(401))
        session.get(CAVE, headers={"Authorization": own})
        (sent,) = sent_by(session)
        assert sent.headers["Authorization"] == own
        assert "Cookie" not in sent.headers

    def test_a_former_token_of_our_store_is_replaced(self, store: TokenStore) -> None:
        """A CloudVolume that was made before the token changed sends it."""
        install()
        session = stub_session()
        session.get(CAVE)
        store.save(OTHER_TOKEN, overwrite=True)
        session.get(CAVE, headers={"Authorization": BEARER})
        assert sent_by(session)[1].headers["Authorization"] == f"Bearer {OTHER_TOKEN}"

    def test_a_former_token_is_replaced_after_another_install(self, store: TokenStore) -> None:
        with installed():
            assert token_sent() == BEARER
        store.save(OTHER_TOKEN, overwrite=True)
        with installed():
            session = stub_session()
            session.get(CAVE, headers={"Authorization": BEARER})
        assert sent_by(session)[0].headers["Authorization"] == f"Bearer {OTHER_TOKEN}"

    def test_each_hop_of_a_redirect_gets_its_own_token_or_none(self, store: TokenStore) -> None:
        store.save(OTHER_TOKEN, THIRD_CAVE)
        install()
        session = stub_session(redirect(THIRD_CAVE), redirect(FOREIGN), Answer())
        session.get(CAVE)
        tokens = [sent.headers.get("Authorization") for sent in sent_by(session)]
        assert tokens == [BEARER, f"Bearer {OTHER_TOKEN}", None]

    def test_an_adapter_of_the_caller_does_the_sending(self) -> None:
        install()
        session = stub_session()
        session.get(CAVE)
        assert len(sent_by(session)) == 1

    def test_the_callers_adapter_settings_can_be_read(self) -> None:
        install()
        session = Session()
        session.mount("https://", HTTPAdapter(max_retries=7))
        adapter: Any = session.get_adapter(CAVE)
        assert adapter.max_retries.total == 7

    def test_a_response_holds_no_token(self, web: responses.RequestsMock) -> None:
        web.get(f"{CAVE}/")
        install(CaveAuth(TOKEN))
        session = Session()
        prepared = session.prepare_request(requests.Request("GET", CAVE))
        response = session.send(prepared)
        assert response.request is prepared
        assert TOKEN.encode() not in pickle.dumps(response)

    def test_after_a_refusal_a_new_token_is_tried(self, secrets: Path) -> None:
        install()
        session = stub_session(Answer(), Answer(401), Answer())
        session.get(CAVE)
        (secrets / "cave-secret.json").write_text(json.dumps({"token": OTHER_TOKEN}))
        assert session.get(CAVE).ok
        assert sent_by(session)[2].headers["Authorization"] == f"Bearer {OTHER_TOKEN}"


class TestInstallAndUninstall:
    def test_uninstall_restores_requests(self) -> None:
        install()
        assert requests.Session.get_adapter is not ORIGINAL
        uninstall()
        assert requests.Session.get_adapter is ORIGINAL
        assert requests.Session.rebuild_auth is ORIGINAL_REBUILD
        assert token_sent() is None

    def test_uninstall_without_install_is_harmless(self) -> None:
        uninstall()
        uninstall()
        assert requests.Session.get_adapter is ORIGINAL

    def test_one_uninstall_ends_two_installs(self) -> None:
        install()
        once = requests.Session.get_adapter
        install()
        assert requests.Session.get_adapter is once
        uninstall()
        assert requests.Session.get_adapter is ORIGINAL

    def test_installing_again_replaces_the_auth(self) -> None:
        install()
        install(OTHER)
        assert token_sent() == f"Bearer {OTHER_TOKEN}"

    def test_the_method_looks_like_the_original(self) -> None:
        install()
        assert requests.Session.get_adapter.__name__ == ORIGINAL.__name__
        assert requests.Session.get_adapter.__doc__ == ORIGINAL.__doc__

    def test_a_session_in_use_stops_signing(self) -> None:
        session = stub_session()
        with installed():
            session.get(CAVE)
        session.get(CAVE)
        assert [sent.headers.get("Authorization") for sent in sent_by(session)] == [BEARER, None]

    def test_an_error_of_requests_is_as_without_us(self) -> None:
        install()
        with pytest.raises(requests.exceptions.InvalidSchema):
            Session().get_adapter("gopher://global.daf-apis.com")


class TestInstalledBlock:
    def test_installed_yields_the_auth(self) -> None:
        with installed() as auth:
            assert auth == CaveAuth()
        with installed(OTHER) as auth:
            assert auth is OTHER

    def test_requests_is_restored_at_the_end_of_the_block(self) -> None:
        with installed():
            assert token_sent() == BEARER
        assert requests.Session.get_adapter is ORIGINAL

    def test_requests_is_restored_after_an_error(self) -> None:
        with pytest.raises(KeyError), installed():
            raise KeyError
        assert requests.Session.get_adapter is ORIGINAL

    def test_blocks_may_be_nested(self) -> None:
        with installed():
            with installed(OTHER):
                assert token_sent() == f"Bearer {OTHER_TOKEN}"
            assert token_sent() == BEARER
        assert token_sent() is None

    def test_a_block_within_install_replaces_it_for_a_while(self) -> None:
        install()
        with installed(OTHER):
            assert token_sent() == f"Bearer {OTHER_TOKEN}"
        assert token_sent() == BEARER

    def test_two_threads_may_leave_their_blocks_in_any_order(self) -> None:
        """The first to leave must not end it for the other, and the last must end it."""
        first, second = installed(), installed(OTHER)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        while_second_holds = token_sent()
        second.__exit__(None, None, None)
        assert (while_second_holds, token_sent()) == (f"Bearer {OTHER_TOKEN}", None)
        assert requests.Session.get_adapter is ORIGINAL

    def test_many_threads_may_use_blocks_at_once(self) -> None:
        def work() -> None:
            for _ in range(20):
                with installed():
                    assert token_sent() == BEARER

        at_once([work] * 8)
        assert requests.Session.get_adapter is ORIGINAL


class TestInstallation:
    """The handle that ``install()`` returns."""

    def test_uninstall_of_an_installation_ends_it(self) -> None:
        installation = install()
        assert is_installed()
        installation.uninstall()
        assert not is_installed()
        assert token_sent() is None

    def test_a_block_nests_in_what_was_installed(self) -> None:
        install()
        with install(OTHER) as installation:
            assert installation.auth is OTHER
            assert token_sent() == f"Bearer {OTHER_TOKEN}"
        assert token_sent() == BEARER

    def test_a_second_install_replaces_the_first(self) -> None:
        install()
        install(OTHER).uninstall()
        assert not is_installed()

    def test_uninstall_ends_all_installations(self) -> None:
        with install():
            install(OTHER)
            uninstall()
            assert token_sent() is None
        assert not is_installed()

    def test_cave_auth_disable_switches_install_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CAVE_AUTH_DISABLE", "1")
        with install() as installation:
            assert not is_installed()
            assert token_sent() is None
            with acting_as(OTHER):
                assert token_sent() is None
        assert repr(installation) == "<ended installation of CaveAuth()>"

    def test_repr_shows_no_token(self) -> None:
        assert OTHER_TOKEN not in repr(install(OTHER))

    def test_install_replaces_what_the_startup_hook_installed(self) -> None:
        activate()
        activate()
        with ThreadPoolExecutor(1) as executor:
            executor.submit(lambda: install(OTHER)).result()
        activate()
        assert token_sent() == f"Bearer {OTHER_TOKEN}"

    @pytest.mark.parametrize("wrong", ["token", 1, CaveAuth])
    def test_a_wrong_auth_argument_is_refused(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match=r"use CaveAuth\(\)"):
            install(wrong)
        with install(), pytest.raises(TypeError), acting_as(wrong):
            pass


def test_an_adapter_kept_from_before_uninstall_does_not_sign() -> None:
    """Libraries hand adapters from one session to another."""
    stub = StubAdapter()
    session, other = Session(), Session()
    session.mount("https://", stub)
    with installed():
        other.mount("https://", session.get_adapter(CAVE))
    other.get(CAVE)
    assert stub.sent[0].is_bare


def test_get_adapter_returns_a_cave_adapter() -> None:
    with installed():
        assert isinstance(Session().get_adapter(CAVE), CaveAdapter)
