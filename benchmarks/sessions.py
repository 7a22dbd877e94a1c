"""Sessions that sign, ours and the peers', each with an HTTPAdapter that needs no network."""

from __future__ import annotations

import io
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from cave_auth_adapter import CaveAuth, install, mount
from cave_auth_adapter.headers import COOKIE_NAME

TOKEN = "0123456789abcdef0123456789abcdef"
CAVE = "https://global.daf-apis.com/info/api/v2/datastacks"
OTHER = "https://elsewhere.example.org/info/api/v2/datastacks"

OURS = {
    "auth": "`session.auth = CaveAuth()`",
    "mount": "`mount(session)`",
    "install": "`install()`",
}
PEERS = {
    "caveclient": "CAVEclient's session",
    "google": "google-auth `AuthorizedSession`",
    "oauthlib": "requests-oauthlib `OAuth2Session`",
    "authlib": "Authlib `OAuth2Session`",
}


class _Offline:
    """In the place of an adapter's pools: answers without a network."""

    def urlopen(self, *_: Any, **__: Any) -> HTTPResponse:
        body = io.BytesIO(b"{}")
        return HTTPResponse(body, {"Content-Length": "2"}, 200, preload_content=False)


# Kept from before install(), so that sessions with and without it can take turns in one process:
# to put it in and take it out for each call would have the interpreter forget what it has learnt.
_WRAPPED = ("get_adapter", "resolve_redirects", "rebuild_auth")
_WITHOUT = {name: getattr(requests.Session, name) for name in _WRAPPED}


def untouched(session: requests.Session) -> requests.Session:
    """The same session, as it is where nothing is installed."""
    session.__class__ = type(type(session).__name__, (type(session),), _WITHOUT)
    return session


def offline(session: requests.Session | None = None) -> requests.Session:
    session = session or requests.Session()
    adapter = HTTPAdapter()
    pool = _Offline()
    adapter.poolmanager.connection_from_host = lambda *_, **__: pool  # type: ignore[assignment, method-assign, return-value]
    session.mount("https://", adapter)
    return session


def with_headers(*names: str) -> requests.Session:
    session = untouched(offline())
    headers = {"Authorization": f"Bearer {TOKEN}", "Cookie": f"{COOKIE_NAME}={TOKEN}"}
    session.headers.update({name: headers[name] for name in names})
    return session


def ours() -> dict[str, requests.Session]:
    """The three doors; the third is for the rest of the process."""
    by_auth = untouched(offline())
    by_auth.auth = CaveAuth()
    mounted = untouched(mount(offline()))
    install()
    return {"auth": by_auth, "mount": mounted, "install": offline()}


def peers() -> dict[str, requests.Session]:
    from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
    from caveclient.base import ClientBase
    from google.auth.transport.requests import AuthorizedSession
    from google.oauth2.credentials import Credentials
    from requests_oauthlib import OAuth2Session

    server, header = "https://global.daf-apis.com", {"Authorization": f"Bearer {TOKEN}"}
    token = {"access_token": TOKEN, "token_type": "Bearer"}
    sessions = {
        # A client without a service's endpoints: it asks no server for its version.
        "caveclient": ClientBase(server, header, "v1", endpoints={}, server_name="x").session,
        "google": AuthorizedSession(Credentials(TOKEN)),
        "oauthlib": OAuth2Session(token=token),
        "authlib": AuthlibSession(token=token),
    }
    return {name: untouched(offline(session)) for name, session in sessions.items()}
