"""Which server a person means, and whether people can log in there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..auth import CaveAuth
from ..caveclient import server_of_datastack
from ..errors import LoginFailed, ServerUnreachable, TokenNotFound, TokenRefused, UnexpectedAnswer
from ..origins import HostSpec, Origin, auth_server_of, parse_origin, server_called
from ..refusals.answers import login_page, realm
from ..service.jsonapi import JsonApi
from ..sources import Credentials
from ..tokens import Token


def server_named(text: str) -> str:
    """The server that a person means: by its name, that of its data, or that of a datastack.

    :param text: a server; ``microns`` and the like; or a datastack that CAVEclient has used here.

    >>> server_named("FlyWire"), server_named("cave.my-lab.org")
    ('global.daf-apis.com', 'cave.my-lab.org')
    """
    if not isinstance(text, str) or any(mark in text for mark in ".:/[") or text == "localhost":
        return text
    return server_called(text) or server_of_datastack(text) or text


def probe(server: str) -> None:
    """Ask a server, without a token, whether people log in there.

    :param server: ``https://host`` or ``https://host:port``.
    :raises LoginFailed: if they do not, or log in elsewhere.
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
                f"{server} is a data server. It says that people log in at {page.server}; if you "
                f"know that server: cave-auth login {page.server}"
            ) from None


class _Nothing(Credentials):
    """No token for anybody."""

    def token_for(self, origin: Origin) -> None:
        return None

    def after_refusal(self, origin: Origin, refused: Token | None) -> None:
        return None


@contextlib.contextmanager
def explaining_wrong_servers(server: str) -> Iterator[None]:
    """Say of a server that has no auth service what to name in its place."""
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
            f"{server} is not a server at which people log in to CAVE{said}. Check its name. "
            f"{_NAMES}"
        ) from None
    except ServerUnreachable as error:
        if "." in origin.host or origin.host == "localhost" or ":" in origin.host:
            raise
        raise ServerUnreachable(f"{error} {_NAMES}") from None


_NAMES = "Names that are known: microns, flywire, fanc, banc, v1dd, crant, h01, fish1."
