"""A ``CaveAuth`` on a session or a request, beside another that is mounted or installed."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import requests

from cave_auth_adapter import CaveAuth, install, mount, uninstall

from ..support.sessions import stubbed
from ..support.stub import BEARER, CAVE, OTHER_CAVE, OTHER_TOKEN, TOKEN, Answer, holds, redirect

OTHER = CaveAuth(OTHER_TOKEN)


def by_install(session: requests.Session) -> None:
    install(OTHER)


def by_mount(session: requests.Session) -> None:
    mount(session, OTHER)


@pytest.fixture(params=[by_install, by_mount])
def around(request: pytest.FixtureRequest) -> object:
    return request.param


Around = Callable[[requests.Session], None]


@pytest.mark.parametrize("place", ["session", "request"])
def test_the_nearest_identity_signs(around: Around, place: str) -> None:
    session = requests.Session()
    stub = stubbed(session)
    if place == "session":
        session.auth = CaveAuth(TOKEN)
    around(session)
    response = session.get(CAVE, auth=CaveAuth(TOKEN) if place == "request" else None)
    uninstall()
    assert [sent.headers["Authorization"] for sent in stub.sent] == [BEARER]
    assert not holds(TOKEN, response)


def test_it_signs_after_a_redirect_and_after_a_refusal(around: Around) -> None:
    session = requests.Session()
    stub = stubbed(session, redirect(OTHER_CAVE), Answer(401), Answer())
    session.auth = CaveAuth(TOKEN)
    around(session)
    assert session.get(CAVE).ok
    uninstall()
    assert not holds(OTHER_TOKEN, *stub.sent)
    assert stub.sent[-1].headers["Authorization"] == BEARER


def test_a_refusal_is_logged_once(around: Around, caplog: pytest.LogCaptureFixture) -> None:
    session = requests.Session()
    stub = stubbed(session, Answer(401))
    session.auth = CaveAuth(TOKEN)
    around(session)
    with caplog.at_level(logging.WARNING):
        assert session.get(CAVE).status_code == 401
    uninstall()
    assert [sent.headers["Authorization"] for sent in stub.sent] == [BEARER]
    assert len(caplog.messages) == 1


def test_its_hosts_are_all_that_are_signed(around: Around) -> None:
    session = requests.Session()
    stub = stubbed(session, redirect(OTHER_CAVE), Answer(401))
    session.auth = CaveAuth(TOKEN, hosts=[CAVE])
    around(session)
    assert session.get(CAVE).status_code == 401
    uninstall()
    assert [holds(TOKEN, sent) for sent in stub.sent] == [True, False]
    assert not holds(OTHER_TOKEN, *stub.sent)


def test_a_request_without_an_identity_is_signed_by_the_other(around: Around) -> None:
    session = requests.Session()
    stub = stubbed(session)
    around(session)
    session.get(CAVE)
    uninstall()
    assert stub.sent[0].headers["Authorization"] == f"Bearer {OTHER_TOKEN}"
