"""With ``install()``, other patches and bad configuration break no request."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import requests
import responses
from requests import Session
from urllib3.exceptions import MaxRetryError, ResponseError

from cave_auth_adapter import CaveAuth, TokenStore, install, installed, mount, uninstall

from ..support.installing import BEARER_OTHER, ORIGINAL, OTHER, sent_by, stub_session, token_sent
from ..support.stub import BEARER, CAVE, FOREIGN, OTHER_TOKEN, TOKEN, Answer, StubAdapter, Write

pytestmark = pytest.mark.usefixtures("saved")


def test_a_retry_error_for_a_401_still_gets_a_new_token_tried(store: TokenStore) -> None:
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
    def test_responses_may_start_after_install(self) -> None:
        install()
        with responses.RequestsMock() as web:
            web.get(f"{CAVE}/")
            response = requests.get(CAVE)
            assert web.calls[0].request.headers["Authorization"] == BEARER
        assert response.ok

    def test_responses_may_start_before_install(self) -> None:
        with responses.RequestsMock() as web:
            web.get(f"{CAVE}/")
            with installed():
                requests.get(CAVE)
            assert web.calls[0].request.headers["Authorization"] == BEARER

    def test_responses_may_outlast_install(self) -> None:
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

        # Not the test's monkeypatch: undoing that one would bring back the real HOME.
        patch = pytest.MonkeyPatch()
        patch.setattr(requests.Session, "get_adapter", theirs)
        yield patch
        uninstall()
        patch.undo()
        # We can't remove a leftover hook below another patch; the test can.
        requests.Session.get_adapter = ORIGINAL

    def test_uninstall_leaves_a_later_patch_in_place(
        self, patch_over_ours: pytest.MonkeyPatch
    ) -> None:
        theirs = requests.Session.get_adapter
        uninstall()
        assert requests.Session.get_adapter is theirs

    def test_a_leftover_hook_below_a_later_patch_does_nothing(
        self, patch_over_ours: pytest.MonkeyPatch
    ) -> None:
        uninstall()
        assert token_sent() is None
        patch_over_ours.undo()
        assert token_sent() is None

    def test_a_leftover_hook_works_again_after_install(
        self, patch_over_ours: pytest.MonkeyPatch
    ) -> None:
        uninstall()
        install()
        assert token_sent() == BEARER
        uninstall()
        assert token_sent() is None

    def test_install_works_after_the_later_patch_is_undone(
        self, patch_over_ours: pytest.MonkeyPatch
    ) -> None:
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
        session = stub_session()
        session.get(CAVE)
        (sent,) = sent_by(session)
        assert sent.headers["Authorization"] == f"Bearer {OTHER_TOKEN}"


class TestNothingBreaks:
    """The plugin raises nothing where plain ``requests`` would not."""

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
    def test_a_bad_source_warns_once_and_stops_no_request(
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
        session = stub_session()
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

    def test_the_warning_names_the_file(
        self, write: Write, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = write("cave-secret.json", "{")
        install()
        stub_session().get(CAVE)
        assert f"{path}: is not JSON" in caplog.text

    def test_the_callers_authorization_gives_no_warning(
        self, write: Write, caplog: pytest.LogCaptureFixture
    ) -> None:
        write("cave-secret.json", "{")
        install()
        session = stub_session()
        session.get(CAVE, headers={"Authorization": "Bearer mine"})
        assert sent_by(session)[0].headers["Authorization"] == "Bearer mine"
        assert caplog.messages == []

    def test_install_reads_no_variable(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("CAVE_AUTH_HOSTS", "not good")
        monkeypatch.setenv("CAVE_TOKEN", "not good")
        install()
        assert caplog.messages == []


@pytest.mark.parametrize("door", ["auth", "mount", "install"])
def test_a_bad_entry_in_cave_auth_hosts_changes_no_request(
    door: str, write: Write, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write("cave-secret.json", token=TOKEN)
    monkeypatch.setenv("CAVE_AUTH_HOSTS", "not / good")
    session = stub_session()
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
def test_install_works_with_a_mock_in_place_of_cloudvolume(
    monkeypatch: pytest.MonkeyPatch, stand_in: Any
) -> None:
    for name in ("cloudvolume.secrets", "cloudfiles.secrets"):
        monkeypatch.setitem(sys.modules, name, stand_in)
    with installed(CaveAuth(TOKEN)) as auth:
        assert auth.trusts(CAVE)


def test_a_log_handler_that_raises_fails_no_request() -> None:
    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise ValueError("I/O operation on closed file")

    handler, logger = Raising(), logging.getLogger("cave_auth_adapter")
    logger.addHandler(handler)
    try:
        with install():
            assert stub_session(Answer(401)).get(CAVE).status_code == 401
    finally:
        logger.removeHandler(handler)
