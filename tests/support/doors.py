"""The three doors, as one function that opens any of them."""

from __future__ import annotations

from collections.abc import Callable

import requests

from cave_auth_adapter import CaveAuth, install, mount

DOORS = ("auth", "mount", "install")

Door = Callable[..., requests.Session]  # makes a session: door() or door(auth)


def session_through(
    door: str, auth: CaveAuth | None = None, session: requests.Session | None = None
) -> requests.Session:
    """A session that signs in one of the three ways, a new one or that given.

    The caller ends "install".
    """
    session = session or requests.Session()
    if door == "auth":
        session.auth = auth or CaveAuth()
    elif door == "mount":
        mount(session, auth)
    else:
        install(auth)
    return session
