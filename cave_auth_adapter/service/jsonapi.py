"""Calls of a CAVE server that answer in JSON: signed, bounded in size and time, with our errors."""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Iterator
from typing import Any, TypeVar

from requests import PreparedRequest, RequestException, Response, Session
from urllib3.exceptions import HTTPError as Urllib3Error

from ..adapter import mount
from ..auth import CaveAuth
from ..errors import (
    CaveAuthError,
    InvalidHostSpec,
    PermissionMissing,
    ServerUnreachable,
    TokenNotFound,
    UnexpectedAnswer,
)
from ..origins import HostSpec, parse_origin
from ..plain import printable
from ..refusals import raise_for_auth, source_of
from ..refusals.answers import covered, parsed, redirect_target
from ..refusals.bodies import TooLong, decoded, take
from .unreachable import CAPTIVE, describe_failure
from .waiting import within

DEFAULT_SERVER = "https://global.daf-apis.com"
DEFAULT_TIMEOUT = 10.0  # seconds

_LONGEST = 1 << 20  # bytes of an answer, as sent and as decoded
_SHOWN = 200  # characters of a server's word that are shown
_CODINGS = "gzip, deflate"  # that are decoded within bounds

T = TypeVar("T")


def base_url(server_address: str) -> str:
    """A server's address in its one proper form, ``https://host`` or ``https://host:port``.

    :param server_address: the same, or without the scheme, or with a slash behind it;
        ``http://`` for a loopback address.
    :raises InvalidHostSpec: (also a :class:`ValueError`) if it is none of these.

    >>> base_url("Global.DAF-apis.com/")
    'https://global.daf-apis.com'
    """
    text = server_address.strip().rstrip("/") if isinstance(server_address, str) else server_address
    if isinstance(text, str) and "/" in text.partition("://")[2]:  # a page, copied from a browser
        origin = parse_origin(text)
        if origin is not None and origin.scheme == "https":
            raise InvalidHostSpec(f"{server_address!r}: name the server alone, {origin.server}.")
    spec = HostSpec.parse(text)
    if spec.wildcard:
        raise InvalidHostSpec(
            f"{server_address!r} stands for many servers. Name one: host, host:port or "
            "https://host:port."
        )
    return f"{spec.origin.scheme}://{spec.origin.server}"


class JsonApi:
    """Calls of a CAVE server that answer in JSON.

    :param server_address: ``https://host``, ``host`` or ``host:port``. Naming a server here is
        trusting it; a redirect to another is not followed.
    :param auth: what to sign with; None: ``CaveAuth(hosts=[server_address])``.
    :param timeout: in seconds, for a call as a whole.
    :raises InvalidHostSpec: (also a :class:`ValueError`) if the address is not one.

    An answer has at most 1 MiB, decoded, or is an :class:`UnexpectedAnswer`.
    """

    def __init__(
        self,
        server_address: str = DEFAULT_SERVER,
        auth: CaveAuth | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ):
        self.server_address = base_url(server_address)
        self.timeout = timeout
        self._auth = CaveAuth(hosts=[self.server_address]) if auth is None else auth
        self._session: Session | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.server_address!r})"

    def call(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        json: Any = None,
        hidden: str = "",
    ) -> Any:
        """Send a request and return what its answer holds.

        :param path: begins with a slash.
        :param hidden: a token that is in the path, and so has to be kept out of every message.
        :raises TokenNotFound, TokenRefused, TermsNotAccepted, PermissionMissing: a refusal.
        :raises ServerUnreachable: no connection, or no whole answer in time.
        :raises UnexpectedAnswer: any other answer than success in JSON.
        :raises InvalidToken, TokenFileError: before anything is sent.
        """
        response = self.ask(method, path, params=params, json=json, hidden=hidden)
        with contextlib.suppress(ValueError):
            return parsed(response.content)
        # Outside of the handler: a JSONDecodeError carries the whole document.
        kind = printable(self._scrub(response.headers.get("Content-Type", "unknown"), ""))
        portal = CAPTIVE if kind.startswith("text/html") else ""
        raise self.unexpected(f"something that is not JSON (content type {kind!r}){portal}")

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        json: Any = None,
        hidden: str = "",
    ) -> Response:
        """Send a request and return its answer, whatever it holds; else as :meth:`call`."""
        session, deadline = self._open_session(), time.monotonic() + self.timeout

        def exchange() -> Response:
            response = session.request(
                method,
                self.server_address + path,
                params=params,
                json=json,
                timeout=self.timeout,
                allow_redirects=False,
                stream=True,
            )
            _read(response, deadline)
            return response

        problem = ""
        with _out_of_urllib3s_log(hidden):
            try:
                response = within(self.timeout, exchange, self.server_address)
            except CaveAuthError:
                raise
            except TooLong:
                raise self.unexpected(f"more than {_LONGEST >> 20} MiB") from None
            except (RequestException, Urllib3Error, OSError) as error:
                problem = describe_failure(error, self.timeout, self.server_address)
        # Raised out here so that the cause, whose text and request have the URL, is not chained.
        if problem:
            raise ServerUnreachable(f"{self.server_address} {problem}")
        _hide(response, hidden)
        self._check(response, hidden)
        return response

    def _open_session(self) -> Session:
        if self._session is None:
            session = mount(Session(), self._auth)
            # With none of its own, a session would take a password for this host from netrc,
            # and the adapter leaves alone what is signed already.
            session.auth = _leave_unsigned
            session.headers["Accept-Encoding"] = _CODINGS
            self._session = session
        return self._session

    def _check(self, response: Response, hidden: str) -> None:
        raise_for_auth(response)
        status = response.status_code
        if status < 300:
            return
        said = self._shown(response, hidden)
        host, source = self.server_address.partition("://")[2], source_of(response)
        source_words = str(source) if source else None
        if status == 401:  # there was no token: the refusal of one was raised above
            raise TokenNotFound(
                f"{self.server_address} wants a token, and there was none: {said}. "
                + self.how_to_get_one(),
                response=response,
                host=host,
                source=source_words,
            )
        if status == 403:
            raise PermissionMissing(
                f"{self.server_address}: your account may not do this: {said}. The token is good; "
                "ask those who run the server, or an account with more rights.",
                response=response,
                host=host,
                source=source_words,
            )
        if target := redirect_target(response):
            address = printable(self._scrub(target.partition("?")[0], hidden))
            said = f"a redirect to {address!r}, which is not followed"
        advice = (
            "Try again later." if status >= 500 else "Check the address and what you asked for."
        )
        raise UnexpectedAnswer(
            f"{self.server_address} answered with status {status}: {said}. {advice}",
            response=response,
        )

    def how_to_get_one(self) -> str:
        """What to do where there is no token."""
        return f"Log in: cave-auth login {self.server_address.removeprefix('https://')}"

    def unexpected(self, what: str) -> UnexpectedAnswer:
        """The error for an answer that holds something else than was asked for."""
        return UnexpectedAnswer(
            f"{self.server_address} answered with {what}. "
            "Check that this is the address of a CAVE server."
        )

    def _shown(self, response: Response, hidden: str) -> str:
        """A server's word on one line, without any token."""
        # Scrubbed before it is cut: half a token would go unnoticed.
        text = self._scrub(" ".join(response.text.split()), hidden)
        text = printable(text, _SHOWN).rstrip(". ")
        return repr(text) if text else "without a word"

    def _scrub(self, text: str, hidden: str) -> str:
        return covered(text, {hidden, *self._auth.credentials.known()})


def _read(response: Response, deadline: float) -> None:
    """Read a body within bounds, so that ``response.content`` has it, decoded.

    :raises TooLong: if it does not end within them.
    """
    raw = response.raw
    if raw is None:
        return
    body, failure = take(raw, _LONGEST + 1, deadline)
    if failure is not None:
        response.close()
        if time.monotonic() > deadline:
            raise TimeoutError from failure
        raise failure
    body = decoded(body, response.headers.get("Content-Encoding", "").lower(), _LONGEST + 1)
    if len(body) > _LONGEST:
        raise TooLong
    response.raw = io.BytesIO(body)


def _leave_unsigned(request: PreparedRequest) -> PreparedRequest:
    return request


def _hide(response: Response, token: str) -> None:
    """Take a token out of the URLs that an answer carries."""
    if token:
        response.url = (response.url or "").replace(token, "<token>")
        if response.request is not None:
            response.request.url = (response.request.url or "").replace(token, "<token>")


@contextlib.contextmanager
def _out_of_urllib3s_log(token: str) -> Iterator[None]:
    """urllib3 logs the path of each request, at the level DEBUG."""

    def without_token(record: logging.LogRecord) -> bool:
        if token in (text := record.getMessage()):
            record.msg, record.args = text.replace(token, "<token>"), ()
        return True

    if not token:
        yield
        return
    logger = logging.getLogger("urllib3.connectionpool")
    logger.addFilter(without_token)
    try:
        yield
    finally:
        logger.removeFilter(without_token)
