"""What the session that prepares a request would tell, if requests asked it to.

An auth object is handed the request and nothing else (``PreparedRequest.prepare_auth``), while
only the session knows whether netrc may be read, and which proxies stand between. So the session
is looked up in the call stack. A request that is prepared without a session has none of its
settings; then the environment counts, as it does for a new session.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from requests import Session

_DEPTH = 12  # frames; with requests alone the session is four away, wrappers may add some


def trust_env_of_caller() -> bool:
    """``session.trust_env`` of the session that prepares the request."""
    return _calling_session()[0].trust_env


def proxies_of_caller(url: str) -> Any:
    """The proxies that the request being prepared will be sent with."""
    session, given = _calling_session()
    settings = session.merge_environment_settings(url, dict(given or {}), None, None, None)
    return settings["proxies"]


def _calling_session() -> tuple[Session, Any]:
    """The session, and the ``proxies=`` given for this one request."""
    session = None
    for frame in _frames():
        if session is None and frame.f_code is Session.prepare_request.__code__:
            session = frame.f_locals["self"]
        elif session is not None and frame.f_code is Session.request.__code__:
            return session, frame.f_locals["proxies"]
    return session or Session(), None


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_DEPTH):
        if frame is None:
            return
        yield frame
        frame = frame.f_back
