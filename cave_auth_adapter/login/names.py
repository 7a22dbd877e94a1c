"""Find the server that the user means, and check that it has an auth service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..auth import CaveAuth
from ..caveclient.client import server_of_datastack
from ..errors import LoginFailed, ServerUnreachable, TokenNotFound, TokenRefused, UnexpectedAnswer
from ..origins import HostSpec, Origin, auth_server_of, parse_origin, server_called
from ..refusals.answers import login_page, realm
from ..service.jsonapi import JsonApi
from ..sources import Credentials
from ..tokens import Token


def server_named(text: str) -> str:
    """The server that the user means, by its name, its data set's or a datastack's.

    :param text: a server; ``microns`` and the like; or a datastack that CAVEclient has used here.

    >>> server_named("FlyWire"), server_named("cave.my-lab.org")
    ('global.daf-apis.com', 'cave.my-lab.org')
    """
    if not isinstance(text, str) or any(mark in text for mark in ".:/[") or text == "localhost":
        return text
    return server_called(text) or server_of_datastack(text) or text


def probe(server: str) -> None:
    """Check, without a token, that a server has an auth service.

    :param server: ``https://host`` or ``https://host:port``.
    :raises LoginFailed: if it has none, or redirects to another server's login page.
    :raises ServerUnreachable: if it does not answer.
    """
    auth = CaveAuth(hosts=[server], raise_errors=True)
    auth.credentials = _Nothing()
    try:
        JsonApi(server, auth).ask("GET", "/auth/api/v1/user/me")
    except (TokenNotFound, TokenRefused) as refusal:
        answer = refusal.response
        page = None if answer is None else parse_origin(realm(answer) or login_page(answer) or "")
        if page is not None and page != HostSpec.parse(server).origin:
            raise LoginFailed(
                f"{server} is a data server. It says to log in at {page.server}. If you know that "
                f"server: cave-auth login {page.server}"
            ) from None


class _Nothing(Credentials):
    """Credentials without any token."""

    def token_for(self, origin: Origin) -> None:
        return None

    def after_refusal(self, origin: Origin, refused: Token | None) -> None:
        return None


@contextlib.contextmanager
def explaining_wrong_servers(server: str) -> Iterator[None]:
    """For a server without an auth service, say which server to name instead."""
    origin = HostSpec.parse(server).origin
    try:
        yield
    except UnexpectedAnswer as error:
        status = None if error.response is None else error.response.status_code
        if status and status >= 500:
            raise
        home = auth_server_of(origin)
        if home is not None and home != origin.server:
            raise LoginFailed(
                f"{server} is a data server of {home}. Log in there: cave-auth login {home}"
            ) from None
        said = f" (status {status})" if status else ""
        raise LoginFailed(
            f"{server} has no CAVE login page{said}. Check its name. {_NAMES}"
        ) from None
    except ServerUnreachable as error:
        if "." in origin.host or origin.host == "localhost" or ":" in origin.host:
            raise
        raise ServerUnreachable(f"{error} {_NAMES}") from None


_NAMES = "Known names: microns, flywire, fanc, banc, v1dd, crant, h01, fish1."
