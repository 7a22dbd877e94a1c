"""For the tests of ``install()``: sessions with a stub, and what they send."""

from __future__ import annotations

from typing import Any

import requests
from requests import Session

from cave_auth_adapter import CaveAuth

from .stub import CAVE, OTHER_TOKEN, Answer, StubAdapter

ORIGINAL = requests.Session.get_adapter
BEARER_OTHER = f"Bearer {OTHER_TOKEN}"
OTHER = CaveAuth(OTHER_TOKEN, hosts=["global.daf-apis.com"])


def stub_session(*answers: Answer | Exception, session: Session | None = None) -> Session:
    """A session, or the one given, that sends ``https`` to a stub."""
    session = session or Session()
    session.mount("https://", StubAdapter(*answers))
    return session


def sent_by(session: Session) -> Any:
    adapter: Any = session.adapters["https://"]
    return adapter.sent


def token_sent(url: str = CAVE) -> str | None:
    """What a new session sends as ``Authorization``."""
    session = stub_session()
    session.get(url)
    return sent_by(session)[0].headers.get("Authorization")
