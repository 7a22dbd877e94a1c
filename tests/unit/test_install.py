"""The third door: ``install()``, for every session of the process."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import requests
import responses
from requests import Session
from requests.adapters import HTTPAdapter
from urllib3.exceptions import MaxRetryError, ResponseError

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
    Write,
    holds,
    redirect,
)

ORIGINAL = requests.Session.get_adapter
ORIGINAL_REBUILD = requests.Session.rebuild_auth
BEARER_OTHER = f"Bearer {OTHER_TOKEN}"
OTHER = CaveAuth(OTHER_TOKEN, hosts=["global.daf-apis.com"])


@pytest.fixture(autouse=True)
def saved(store: TokenStore) -> Iterator[None]:
    store.save(TOKEN)
    yield
    uninstall()


def stubbed(*answers: Answer | Exception, session: Session | None = None) -> Session:
    session = session or Session()
    session.mount("https://", StubAdapter(*answers))
    return session


def sent_by(session: Session) -> Any:
    adapter: Any = session.adapters["https://"]
    return adapter.sent


def token_sent(url: str = CAVE) -> str | None:
    """What a new session sends as ``Authorization``."""
    session = stubbed()
    session.get(url)
    return sent_by(session)[0].headers.get("Authorization")


class MySession(Session):
    """Of the caller's own making."""


class TestWhatIsSigned:
    def test_a_session_made_before(self) -> None:
        session = stubbed()
        install()
        session.get(CAVE)
        assert sent_by(session)[0].headers["Authorization"] == BEARER

    def test_a_session_of_a_subclass(self) -> None:
        install()
        session = stubbed(session=MySession())
        session.get(CAVE)
        assert sent_by(session)[0].headers["Authorization"] == BEARER

    def test_a_session_class_imported_by_name(self) -> None:
        install()
        session = stubbed(session=Session())  # imported at the top, before
        session.get(CAVE)
        assert sent_by(session)[0].headers["Cookie"] == COOKIE

    def test_requests_get(self, web: responses.RequestsMock) -> None:
        web.get(f"{CAVE}/")
        install()
        requests.get(CAVE)
        assert web.calls[0].request.headers["Authorization"] == BEARER

    @pytest.mark.parametrize("url", [FOREIGN, f"{CAVE}.evil.example", f"{CAVE}:8443"])
    def test_not_another_host(self, url: str) -> None:
        install()
        session = stubbed()
        session.get(url)
        assert sent_by(session)[0].is_bare

    @pytest.mark.parametrize("url", [FOREIGN, f"{CAVE}:8443/", "http://global.daf-apis.com/"])
    def test_another_host_gets_the_very_adapter_of_the_session(self, url: str) -> None:
        install()
        session = Session()
        assert session.get_adapter(url) is session.adapters[url.partition("//")[0] + "//"]

    def test_a_session_with_an_adapter_of_ours_keeps_it(self) -> None:
        install()
        session = mount(stubbed(), OTHER)
        assert session.get_adapter(CAVE) is session.adapters["https://"]
        session.get(CAVE)
        assert sent_by(session)[0].headers["Authorization"] == f"Bearer {OTHER_TOKEN}"

    @pytest.mark.parametrize("own", ["Bearer mine", "Basic eDp5"])
    def test_the_callers_own_authorization_is_left_alone(self, own: str) -> None:
        install()
        session = stubbed(Answer(401))
        session.get(CAVE, headers={"Authorization": own})
        (sent,) = sent_by(session)
        assert sent.headers["Authorization"] == own
        assert "Cookie" not in sent.headers

    def test_a_token_that_our_store_gave_out_is_ours(self, store: TokenStore) -> None:
        """As of a CloudVolume that was built before the token changed."""
        install()
        session = stubbed()
        session.get(CAVE)
        store.save(OTHER_TOKEN, overwrite=True)
        session.get(CAVE, headers={"Authorization": BEARER})
        assert sent_by(session)[1].headers["Authorization"] == f"Bearer {OTHER_TOKEN}"

    def test_also_if_it_was_installed_anew_meanwhile(self, store: TokenStore) -> None:
        with installed():
            assert token_sent() == BEARER
        store.save(OTHER_TOKEN, overwrite=True)
        with installed():
            session = stubbed()
            session.get(CAVE, headers={"Authorization": BEARER})
        assert sent_by(session)[0].headers["Authorization"] == f"Bearer {OTHER_TOKEN}"

    def test_each_hop_of_a_redirect(self, store: TokenStore) -> None:
        store.save(OTHER_TOKEN, THIRD_CAVE)
        install()
        session = stubbed(redirect(THIRD_CAVE), redirect(FOREIGN), Answer())
        session.get(CAVE)
        tokens = [sent.headers.get("Authorization") for sent in sent_by(session)]
        assert tokens == [BEARER, f"Bearer {OTHER_TOKEN}", None]

    def test_an_adapter_with_settings_sends_by_itself(self) -> None:
        install()
        session = stubbed()
        session.get(CAVE)
        assert len(sent_by(session)) == 1

    def test_settings_are_seen_through_the_adapter(self) -> None:
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

    def test_a_refusal_is_answered_with_a_new_token(self, secrets: Path) -> None:
        install()
        session = stubbed(Answer(), Answer(401), Answer())
        session.get(CAVE)
        (secrets / "cave-secret.json").write_text(json.dumps({"token": OTHER_TOKEN}))
        assert session.get(CAVE).ok
        assert sent_by(session)[2].headers["Authorization"] == f"Bearer {OTHER_TOKEN}"


class TestRedirectsOfOthers:
    """What CAVEclient puts on its session would go along to any host."""

    @pytest.mark.parametrize("put", ["cookie", "header"])
    def test_our_token_does_not_go_along(self, put: str) -> None:
        install()
        session = stubbed(Answer(), redirect(FOREIGN), Answer())
        session.get(CAVE)
        if put == "cookie":
            session.cookies.set("middle_auth_token", TOKEN)
        else:
            session.headers["X-Token"] = TOKEN
        session.get(CAVE)
        assert not holds(TOKEN, sent_by(session)[2])

    def test_what_else_the_session_has_goes_along(self) -> None:
        install()
        session = stubbed(redirect(FOREIGN), Answer())
        session.cookies.set("mine", "1")
        session.headers["X-Mine"] = "2"
        session.get(CAVE)
        headers = sent_by(session)[1].headers
        assert (headers["Cookie"], headers["X-Mine"]) == ("mine=1", "2")

    def test_a_redirect_between_other_hosts_is_as_without_us(self) -> None:
        def send(session: Session) -> list[Any]:
            session.cookies.set("mine", "1")
            session.get(FOREIGN, headers={"X-Mine": "2", "Authorization": "Bearer mine"})
            return list(sent_by(session))

        answers = redirect("https://third.example.org/"), Answer()
        before = send(stubbed(*answers))
        install()
        assert send(stubbed(*answers)) == before


class TestInAndOut:
    def test_after_uninstall_requests_is_as_it_was(self) -> None:
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

    def test_twice_in_is_once_out(self) -> None:
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
        session = stubbed()
        with installed():
            session.get(CAVE)
        session.get(CAVE)
        assert [sent.headers.get("Authorization") for sent in sent_by(session)] == [BEARER, None]

    def test_an_error_of_requests_is_as_without_us(self) -> None:
        install()
        with pytest.raises(requests.exceptions.InvalidSchema):
            Session().get_adapter("gopher://global.daf-apis.com")


class TestInstalled:
    def test_it_yields_the_auth(self) -> None:
        with installed() as auth:
            assert auth == CaveAuth()
        with installed(OTHER) as auth:
            assert auth is OTHER

    def test_afterwards_all_is_as_before(self) -> None:
        with installed():
            assert token_sent() == BEARER
        assert requests.Session.get_adapter is ORIGINAL

    def test_also_after_an_error(self) -> None:
        with pytest.raises(KeyError), installed():
            raise KeyError
        assert requests.Session.get_adapter is ORIGINAL

    def test_one_within_another(self) -> None:
        with installed():
            with installed(OTHER):
                assert token_sent() == f"Bearer {OTHER_TOKEN}"
            assert token_sent() == BEARER
        assert token_sent() is None

    def test_within_install(self) -> None:
        install()
        with installed(OTHER):
            assert token_sent() == f"Bearer {OTHER_TOKEN}"
        assert token_sent() == BEARER

    def test_two_threads_that_leave_in_the_order_they_came(self) -> None:
        """The one that leaves first must not end it for the other, nor the last leave it on."""
        first, second = installed(), installed(OTHER)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        while_second_holds = token_sent()
        second.__exit__(None, None, None)
        assert (while_second_holds, token_sent()) == (f"Bearer {OTHER_TOKEN}", None)
        assert requests.Session.get_adapter is ORIGINAL

    def test_many_threads(self) -> None:
        errors: list[BaseException] = []
        start = threading.Barrier(8)

        def work() -> None:
            try:
                start.wait()
                for _ in range(20):
                    with installed():
                        assert token_sent() == BEARER
            except BaseException as error:  # noqa: BLE001, RUF100 - shown below
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert requests.Session.get_adapter is ORIGINAL


class TestInstallation:
    """The handle that ``install()`` returns."""

    def test_it_ends_what_it_put_in_effect(self) -> None:
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

    def test_out_of_a_block_it_replaces_what_was_installed(self) -> None:
        install()
        install(OTHER).uninstall()
        assert not is_installed()

    def test_uninstall_ends_all(self) -> None:
        with install():
            install(OTHER)
            uninstall()
            assert token_sent() is None
        assert not is_installed()

    def test_a_variable_switches_it_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CAVE_AUTH_DISABLE", "1")
        with install() as installation:
            assert not is_installed()
            assert token_sent() is None
            with acting_as(OTHER):
                assert token_sent() is None
        assert repr(installation) == "<ended installation of CaveAuth()>"

    def test_no_token_is_shown(self) -> None:
        assert OTHER_TOKEN not in repr(install(OTHER))

    def test_what_started_with_the_interpreter_gives_way(self) -> None:
        activate()
        activate()
        with ThreadPoolExecutor(1) as executor:
            executor.submit(lambda: install(OTHER)).result()
        activate()
        assert token_sent() == f"Bearer {OTHER_TOKEN}"

    @pytest.mark.parametrize("wrong", ["token", 1, CaveAuth])
    def test_no_auth(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match=r"write CaveAuth\(\)"):
            install(wrong)
        with install(), pytest.raises(TypeError), acting_as(wrong):
            pass


class TestThreads:
    """Of two threads with two auths, one would send the other's token."""

    @staticmethod
    def in_a_thread(work: Callable[[], Any]) -> Any:
        with ThreadPoolExecutor(1) as executor:
            return executor.submit(work).result()

    @staticmethod
    def nest() -> None:
        with install(OTHER):
            pytest.fail("it is in effect")

    def test_a_block_in_the_block_of_another_thread(self) -> None:
        with install():
            with pytest.raises(RuntimeError, match="acting_as"):
                self.in_a_thread(self.nest)
            with pytest.raises(RuntimeError, match="acting_as"):
                self.in_a_thread(lambda: install(OTHER))
            assert token_sent() == BEARER

    def test_a_block_in_what_another_thread_installed(self) -> None:
        install()
        with pytest.raises(RuntimeError, match="acting_as"):
            self.in_a_thread(self.nest)
        assert token_sent() == BEARER

    def test_an_equal_auth_is_no_matter(self) -> None:
        with install(CaveAuth(OTHER_TOKEN)):
            assert self.in_a_thread(lambda: self._sent_by(CaveAuth(OTHER_TOKEN))) == BEARER_OTHER

    @staticmethod
    def _sent_by(auth: CaveAuth) -> str | None:
        with install(auth):
            return token_sent()

    def test_acting_as_holds_for_the_thread(self) -> None:
        def work(auth: CaveAuth | None) -> list[str | None]:
            with acting_as(auth) if auth else nullcontext():
                barrier.wait(10)
                return [token_sent() for _ in range(20)]

        barrier = threading.Barrier(2)
        with install(), ThreadPoolExecutor(2) as executor:
            own, others = executor.map(work, [None, CaveAuth(OTHER_TOKEN)])
        assert set(own) == {BEARER}
        assert set(others) == {BEARER_OTHER}

    def test_acting_as_holds_for_the_task(self) -> None:
        async def work(token: str) -> list[str | None]:
            sent = []
            with acting_as(CaveAuth(token)):
                for _ in range(5):
                    await asyncio.sleep(0)
                    sent.append(token_sent())
            return sent

        async def both() -> list[list[str | None]]:
            return list(await asyncio.gather(work(OTHER_TOKEN), work("89ab" * 8)))

        with install():
            assert asyncio.run(both()) == [[BEARER_OTHER] * 5, [f"Bearer {'89ab' * 8}"] * 5]
            assert token_sent() == BEARER

    def test_acting_as_without_install_is_an_error(self) -> None:
        with pytest.raises(RuntimeError, match=r"call install\(\) first"), acting_as(OTHER):
            pass


class TestWhoAsked:
    """A stranger's redirect makes no signed request in the caller's name."""

    def test_not_for_a_stranger(self) -> None:
        install()
        session = stubbed(redirect(CAVE, 307), Answer())
        session.post(FOREIGN, data="body")
        assert [sent.headers.get("Authorization") for sent in sent_by(session)] == [None, None]

    def test_not_for_its_next(self) -> None:
        install()
        session = stubbed(redirect(CAVE), Answer())
        response = session.get(FOREIGN, allow_redirects=False)
        session.send(pickle.loads(pickle.dumps(response.next)))
        assert response.next is not None
        session.send(response.next)
        assert [sent.headers.get("Authorization") for sent in sent_by(session)] == [None] * 3

    def test_the_same_request_by_the_caller_is_signed(self) -> None:
        install()
        session = stubbed(redirect(FOREIGN), redirect(CAVE), Answer())
        prepared = session.prepare_request(requests.Request("GET", CAVE))
        session.send(prepared)
        session.send(prepared)
        tokens = [sent.headers.get("Authorization") for sent in sent_by(session)]
        assert tokens == [BEARER, None, None, BEARER]

    def test_nothing_is_left_on_a_request_of_another_host(self) -> None:
        install()
        session = stubbed(redirect(f"{FOREIGN}/b"), Answer())
        response = session.get(FOREIGN)
        for answer in (response, *response.history):
            assert answer.request.hooks == {"response": []}


class TestNetrc:
    """``requests`` applies a ``default`` entry to CAVE's hosts, which know no Basic."""

    @pytest.fixture(autouse=True)
    def netrc(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "netrc").write_text("default login anonymous password me@lab.example\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    def test_it_gives_way_on_a_cave_host(self) -> None:
        install()
        session = stubbed(redirect(f"{CAVE}/b"), Answer())
        session.get(CAVE)
        assert [sent.headers["Authorization"] for sent in sent_by(session)] == [BEARER] * 2

    def test_it_stays_where_there_is_no_token(self, secrets: Path) -> None:
        (secrets / "cave-secret.json").unlink()
        install()
        session = stubbed()
        session.get(CAVE)
        assert sent_by(session)[0].headers["Authorization"].startswith("Basic ")

    def test_what_the_caller_gives_stays(self) -> None:
        install()
        session = stubbed()
        session.get(CAVE, auth=("user", "word"))
        assert sent_by(session)[0].headers["Authorization"] == "Basic dXNlcjp3b3Jk"


def test_a_cookie_that_says_our_token_back_does_not_get_into_the_jar() -> None:
    """A jar sends it to other ports of the host, and without Secure over plain http."""
    with responses.RequestsMock() as web, install():
        web.get(
            f"{CAVE}/",
            headers=[
                ("Set-Cookie", f"middle_auth_token={TOKEN}; Path=/"),
                ("Set-Cookie", "mine=1; Path=/"),
            ],
        )
        session = requests.Session()
        answer = session.get(CAVE)
    assert session.cookies.get_dict() == {"mine": "1"}
    assert answer.cookies.get_dict() == {"mine": "1"}


@pytest.mark.parametrize("owner", ["the session", "its class"])
def test_a_redirect_that_only_the_session_knows_is_a_strangers_too(owner: str) -> None:
    def find(response: requests.Response) -> str | None:
        return f"{CAVE}/" if response.url == f"{FOREIGN}/" else None

    class Finds(Session):
        def get_redirect_target(self, resp: requests.Response) -> str | None:
            return find(resp)

    session: Any = stubbed(session=Finds() if owner == "its class" else Session())
    if owner == "the session":
        session.get_redirect_target = find
    with install():
        session.get(f"{FOREIGN}/")
    assert [sent.url for sent in sent_by(session)] == [f"{FOREIGN}/", f"{CAVE}/"]
    assert all("Authorization" not in sent.headers for sent in sent_by(session))


def test_a_retry_that_counts_a_401_as_a_failure_hides_no_new_token(store: TokenStore) -> None:
    reason = ResponseError(ResponseError.SPECIFIC_ERROR.format(status_code=401))
    error = requests.exceptions.RetryError(MaxRetryError(None, CAVE, reason))  # type: ignore[arg-type]

    class Renews(StubAdapter):
        def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
            store.save(OTHER_TOKEN, overwrite=True)
            return super().send(request, **kwargs)

    stub, session = Renews(error, Answer()), Session()
    session.mount("https://", stub)
    with install():
        assert session.get(CAVE).ok
    assert [sent.headers["Authorization"] for sent in stub.sent] == [BEARER, BEARER_OTHER]


class TestOtherPatches:
    def test_responses_within(self) -> None:
        install()
        with responses.RequestsMock() as web:
            web.get(f"{CAVE}/")
            response = requests.get(CAVE)
            assert web.calls[0].request.headers["Authorization"] == BEARER
        assert response.ok

    def test_responses_without(self) -> None:
        with responses.RequestsMock() as web:
            web.get(f"{CAVE}/")
            with installed():
                requests.get(CAVE)
            assert web.calls[0].request.headers["Authorization"] == BEARER

    def test_responses_over_the_end_of_it(self) -> None:
        install()
        with responses.RequestsMock() as web:
            web.get(f"{CAVE}/")
            uninstall()
            requests.get(CAVE)
            assert "Authorization" not in web.calls[0].request.headers
        assert requests.Session.get_adapter is ORIGINAL

    @pytest.fixture
    def patch_over_ours(self) -> Iterator[pytest.MonkeyPatch]:
        """Install, and put another patch over the method that ``install()`` put in place."""
        install()
        ours = requests.Session.get_adapter

        def theirs(self: Session, url: str) -> Any:
            return ours(self, url)

        # Not the monkeypatch of the test: to undo that one would bring back the real HOME.
        patch = pytest.MonkeyPatch()
        patch.setattr(requests.Session, "get_adapter", theirs)
        yield patch
        uninstall()
        patch.undo()
        # A hook that sleeps below another patch can't be taken out by us; here it can.
        requests.Session.get_adapter = ORIGINAL

    def test_uninstall_leaves_a_patch_over_ours_in_place(
        self, patch_over_ours: pytest.MonkeyPatch
    ) -> None:
        theirs = requests.Session.get_adapter
        uninstall()
        assert requests.Session.get_adapter is theirs

    def test_a_hook_below_another_patch_sleeps(self, patch_over_ours: pytest.MonkeyPatch) -> None:
        uninstall()
        assert token_sent() is None
        patch_over_ours.undo()
        assert token_sent() is None

    def test_it_wakes_again(self, patch_over_ours: pytest.MonkeyPatch) -> None:
        uninstall()
        install()
        assert token_sent() == BEARER
        uninstall()
        assert token_sent() is None

    def test_it_wakes_again_after_the_patch_went(self, patch_over_ours: pytest.MonkeyPatch) -> None:
        uninstall()
        patch_over_ours.undo()
        install()
        assert token_sent() == BEARER
        uninstall()
        assert token_sent() is None

    def test_a_request_is_signed_once_through_two_hooks(
        self, patch_over_ours: pytest.MonkeyPatch
    ) -> None:
        install(OTHER)
        session = stubbed()
        session.get(CAVE)
        (sent,) = sent_by(session)
        assert sent.headers["Authorization"] == f"Bearer {OTHER_TOKEN}"


class TestNothingBreaks:
    """No exception from us where plain ``requests`` would have had none."""

    @pytest.mark.parametrize(
        "kind",
        [
            "not JSON",
            "a directory",
            "no token",
            "CAVE_TOKEN",
            "CAVE_TOKEN_FILE",
            "CAVE_TOKEN_FILE of nobody",
            "CLOUD_VOLUME_DIR",
        ],
    )
    def test_a_bad_source_is_one_warning(
        self,
        write: Write,
        secrets: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        tmp_path: Path,
        kind: str,
    ) -> None:
        path = secrets / "cave-secret.json"
        if kind == "not JSON":
            write(path.name, f'{{"token": "{TOKEN}"')
        elif kind == "a directory":
            path.unlink()
            path.mkdir()
        elif kind == "no token":
            write(path.name, token=f"Bearer {TOKEN}")
        elif kind == "CLOUD_VOLUME_DIR":
            (tmp_path / "file").write_text("")
            monkeypatch.setenv(kind, str(tmp_path / "file"))
        else:
            name, _, nobody = kind.partition(" ")
            monkeypatch.setenv(name, "~no-such-user/x" if nobody else "not / good")

        install()
        session = stubbed()
        for _ in range(3):
            assert session.get(CAVE).ok
            assert session.get(FOREIGN).ok
        assert all("Authorization" not in sent.headers for sent in sent_by(session))
        # The answer of a CAVE service is then JSON, and no login page.
        asked = ["X-Requested-With" in sent.headers for sent in sent_by(session)]
        assert asked == [True, False] * 3
        (record,) = caplog.records
        assert record.name == "cave_auth_adapter"
        assert record.levelno == logging.WARNING
        assert TOKEN not in record.getMessage()

    def test_a_warning_names_the_file(self, write: Write, caplog: pytest.LogCaptureFixture) -> None:
        path = write("cave-secret.json", "{")
        install()
        stubbed().get(CAVE)
        assert f"{path}: is not JSON" in caplog.text

    def test_own_authorization_is_no_reason_for_a_warning(
        self, write: Write, caplog: pytest.LogCaptureFixture
    ) -> None:
        write("cave-secret.json", "{")
        install()
        session = stubbed()
        session.get(CAVE, headers={"Authorization": "Bearer mine"})
        assert sent_by(session)[0].headers["Authorization"] == "Bearer mine"
        assert caplog.messages == []

    def test_importing_and_installing_read_nothing(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("CAVE_AUTH_HOSTS", "not good")
        monkeypatch.setenv("CAVE_TOKEN", "not good")
        install()
        assert caplog.messages == []


def test_an_adapter_kept_from_before_uninstall_does_not_sign() -> None:
    """Libraries hand adapters from one session to another."""
    stub = StubAdapter()
    session, other = Session(), Session()
    session.mount("https://", stub)
    with installed():
        other.mount("https://", session.get_adapter(CAVE))
    other.get(CAVE)
    assert stub.sent[0].is_bare


def test_the_class_of_the_adapter() -> None:
    with installed():
        assert isinstance(Session().get_adapter(CAVE), CaveAdapter)


def test_a_cookie_does_not_go_along_to_plain_http_where_a_proxy_may_hear_it() -> None:
    session, local = stubbed(redirect("http://localhost:8000/x")), StubAdapter()
    session.mount("http://", local)
    session.cookies.set("middle_auth_token", TOKEN)
    with installed(CaveAuth(hosts=["global.daf-apis.com", "http://localhost:8000"])):
        session.get(f"{CAVE}/x", proxies={"http": "http://proxy.example"})

    [sent] = local.sent
    assert not holds(TOKEN, sent)


@pytest.mark.parametrize("door", ["auth", "mount", "install"])
def test_a_bad_entry_of_the_variable_for_hosts_changes_no_request(
    door: str, write: Write, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write("cave-secret.json", token=TOKEN)
    monkeypatch.setenv("CAVE_AUTH_HOSTS", "not / good")
    session = stubbed()
    stub: Any = session.get_adapter(CAVE)
    if door == "auth":
        session.auth = CaveAuth()
    elif door == "mount":
        mount(session)
    else:
        install()
    for _ in range(3):
        assert session.get(CAVE).ok
        assert session.get(FOREIGN).ok
    assert [sent.is_bare for sent in stub.sent] == [False, True] * 3
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "CAVE_AUTH_HOSTS: 'not / good'" in record.getMessage()


@pytest.mark.parametrize("stand_in", [mock.MagicMock(), SimpleNamespace(), None])
def test_what_a_test_puts_in_place_of_cloudvolume_fails_no_installation(
    monkeypatch: pytest.MonkeyPatch, stand_in: Any
) -> None:
    for name in ("cloudvolume.secrets", "cloudfiles.secrets"):
        monkeypatch.setitem(sys.modules, name, stand_in)
    with installed(CaveAuth(TOKEN)) as auth:
        assert auth.trusts(CAVE)
