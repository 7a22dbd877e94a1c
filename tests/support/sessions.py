"""Sessions that send to a stub."""

from __future__ import annotations

import requests
import responses
from requests.structures import CaseInsensitiveDict

from .stub import Answer, StubAdapter


def stubbed(session: requests.Session, *answers: Answer | Exception) -> StubAdapter:
    """Let a session send to a stub instead of the network."""
    stub = StubAdapter(*answers)
    session.mount("https://", stub)
    session.mount("http://", stub)
    return stub


def sent_headers(web: responses.RequestsMock) -> list[CaseInsensitiveDict[str | bytes]]:
    return [call.request.headers for call in web.calls]
