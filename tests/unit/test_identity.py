"""Two accounts at one host in one process: one warning, and both tokens stay in use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from cave_auth_adapter import CaveAuth, TokenStore, install, uninstall

from ..support.stub import StubAdapter

HOST = "minnie.microns-daf.com"
URL = f"https://{HOST}/info"
PERSON, BOT, STRANGER = "a1" * 16, "b2" * 16, "c3" * 16


@pytest.fixture
def session() -> Iterator[requests.Session]:
    session = requests.Session()
    session.mount("https://", StubAdapter())
    install()
    yield session
    uninstall()


def send(session: requests.Session, token: str, url: str = URL) -> None:
    session.get(url, headers={"Authorization": f"Bearer {token}"})


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if "two accounts" in each.getMessage()]


def test_a_library_that_sends_the_files_token_beside_a_variable_warns_once(
    session: requests.Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    TokenStore().save(PERSON)
    monkeypatch.setenv("CAVE_TOKEN", BOT)
    for _ in range(3):
        send(session, PERSON)

    [sentence] = told(caplog)
    assert HOST in sentence
    assert "cave-secret.json" in sentence
    assert "the variable CAVE_TOKEN" in sentence
    assert PERSON not in caplog.text
    assert BOT not in caplog.text
    stub = session.adapters["https://"]
    assert isinstance(stub, StubAdapter)
    assert [sent.headers["Authorization"] for sent in stub.sent] == [f"Bearer {PERSON}"] * 3


def test_a_library_that_sends_the_variables_token_beside_one_in_code_warns(
    session: requests.Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CAVE_TOKEN", BOT)
    install(CaveAuth(PERSON))
    send(session, BOT)

    [sentence] = told(caplog)
    assert "the variable CAVE_TOKEN" in sentence


@pytest.mark.parametrize("token", [BOT, STRANGER])
def test_the_same_token_or_an_unknown_one_gives_no_warning(
    session: requests.Session,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    token: str,
) -> None:
    TokenStore().save(PERSON)
    monkeypatch.setenv("CAVE_TOKEN", BOT)
    send(session, token)
    send(session, PERSON, "https://example.org/")

    assert told(caplog) == []


def test_an_unreadable_file_stops_no_request(
    session: requests.Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    TokenStore().save(PERSON)
    TokenStore().path_for("example.org").write_text("{")
    monkeypatch.setenv("CAVE_TOKEN", BOT)
    send(session, PERSON)

    assert len(told(caplog)) == 1
