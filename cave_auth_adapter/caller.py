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

from requests import Session
from requests.utils import select_proxy

_DEPTH = 12  # frames; with requests alone the session is four away, wrappers may add some


def trust_env_of_caller() -> bool:
    """``session.trust_env`` of the session that prepares the request."""
    session, _ = _calling_session()
    return session is None or session.trust_env


def may_be_proxied(url: str) -> bool:
    """Whether the request being prepared may go to a proxy, as far as can be known by now."""
    session, request = _calling_session()
    if request is None and session is not None:
        return True  # prepared by hand: Session.send may yet be given proxies
    given = request.f_locals["proxies"] if request else None
    session = session or Session()
    settings = session.merge_environment_settings(url, dict(given or {}), None, None, None)
    return select_proxy(url, settings["proxies"]) is not None


def _calling_session() -> tuple[Session | None, FrameType | None]:
    """The session, and the frame of its ``request`` method."""
    session = None
    for frame in _frames():
        if session is None and frame.f_code is Session.prepare_request.__code__:
            session = frame.f_locals["self"]
        elif session is not None and frame.f_code is Session.request.__code__:
            return session, frame
    return session, None


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_DEPTH):
        if frame is None:
            return
        yield frame
        frame = frame.f_back
