"""A ``CaveAuth`` in ``session.auth`` comes before ``mount()`` and ``install()``."""

from __future__ import annotations

import logging

import pytest
import requests

from cave_auth_adapter import CaveAuth

from ..support.doors import session_through
from ..support.installing import BEARER_OTHER
from ..support.stub import BEARER, CAVE, OTHER_TOKEN, Answer, StubAdapter, holds

pytestmark = pytest.mark.usefixtures("saved")


def session_with(door: str, *answers: Answer) -> tuple[requests.Session, StubAdapter]:
    session, stub = requests.Session(), StubAdapter(*answers)
    session.mount("https://", stub)
    return session_through(door, session=session), stub


@pytest.mark.parametrize("door", ["mount", "install"])
class TestSessionAuthBelowAnotherDoor:
    def test_its_token_is_sent(self, door: str) -> None:
        session, stub = session_with(door)
        session.get(CAVE)
        session.auth = CaveAuth(OTHER_TOKEN)
        response = session.get(CAVE)
        assert [sent.headers["Authorization"] for sent in stub.sent] == [BEARER, BEARER_OTHER]
        assert not holds(OTHER_TOKEN, response)

    def test_after_a_refusal_no_other_token_is_sent(
        self, door: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        session, stub = session_with(door, Answer(401))
        session.auth = CaveAuth(OTHER_TOKEN)
        with caplog.at_level(logging.WARNING):
            assert session.get(CAVE).status_code == 401
        assert [sent.headers["Authorization"] for sent in stub.sent] == [BEARER_OTHER]
        assert len(caplog.messages) == 1
