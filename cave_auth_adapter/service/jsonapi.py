"""Call a CAVE server's JSON API: signed, with limits of size and time, and with our errors."""

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
from ..origins import DEFAULT_SERVER, HostSpec, parse_origin
from ..plain import printable
from ..refusals import raise_for_auth, source_of
from ..refusals.answers import covered, parsed, redirect_target
from ..refusals.bodies import TooLong, decoded, take
from .unreachable import CAPTIVE, describe_failure
from .waiting import within

DEFAULT_TIMEOUT = 10.0  # seconds

_LONGEST = 1 << 20  # bytes of an answer, as sent and as decoded
_SHOWN = 200  # characters of a server's message that are shown
_CODINGS = "gzip, deflate"  # that we can decode within the limit

T = TypeVar("T")


def base_url(server_address: str) -> str:
    """Normalise a server's address to ``https://host`` or ``https://host:port``.

    :param server_address: with or without the scheme, and with or without a slash at its end;
        ``http://`` only for a loopback address.
    :raises InvalidHostSpec: (also a :class:`ValueError`) if it is none of these.

    >>> base_url("Global.DAF-apis.com/")
    'https://global.daf-apis.com'
    """
    text = server_address.strip().rstrip("/") if isinstance(server_address, str) else server_address
    if isinstance(text, str) and "/" in text.partition("://")[2]:  # a page, copied from a browser
        origin = parse_origin(text)
        if origin is not None and origin.scheme == "https":
            raise InvalidHostSpec(f"{server_address!r}: name only the server, {origin.server}.")
    spec = HostSpec.parse(text)
    if spec.wildcard:
        raise InvalidHostSpec(
            f"{server_address!r} matches many servers. Name one: host, host:port or "
            "https://host:port."
        )
    return f"{spec.origin.scheme}://{spec.origin.server}"


class JsonApi:
    """A client of a CAVE server's JSON API.

    :param server_address: ``https://host``, ``host`` or ``host:port``. By naming a server, you
        trust it. Redirects to other servers are not followed.
    :param auth: signs the requests; None: ``CaveAuth(hosts=[server_address])``.
    :param timeout: for a whole call, in seconds.
    :raises InvalidHostSpec: (also a :class:`ValueError`) if the address is not one.

    A decoded answer of more than 1 MiB is an :class:`UnexpectedAnswer`.
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
        """Send a request and return the JSON value of its answer.

        :param path: the path of the URL, with a slash at its start.
        :param hidden: a token that is in the path, to be kept out of every message.
        :raises TokenNotFound, TokenRefused, TermsNotAccepted, PermissionMissing: a refusal.
        :raises ServerUnreachable: no connection, or no complete answer in time.
        :raises UnexpectedAnswer: another error, or an answer that is not JSON.
        :raises InvalidToken, TokenFileError: a bad token source, before anything is sent.
        """
        response = self.ask(method, path, params=params, json=json, hidden=hidden)
        with contextlib.suppress(ValueError):
            return parsed(response.content)
        # Raised outside the handler: a JSONDecodeError holds the whole document.
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
        """Send a request and return its answer as a response; otherwise as :meth:`call`."""
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
        # Raised here so that the cause is not chained: its text and its request hold the URL.
        if problem:
            raise ServerUnreachable(f"{self.server_address} {problem}")
        _hide(response, hidden)
        self._check(response, hidden)
        return response

    def _open_session(self) -> Session:
        if self._session is None:
            session = mount(Session(), self._auth)
            # Without an auth, the session would use a password from netrc, and the adapter does
            # not replace an Authorization header.
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
                f"{self.server_address}: your account may not do this: {said}. Your token is fine; "
                "ask the server's administrators.",
                response=response,
                host=host,
                source=source_words,
            )
        if target := redirect_target(response):
            address = printable(self._scrub(target.partition("?")[0], hidden))
            said = f"a redirect to {address!r}, which is not followed"
        advice = "Try again later." if status >= 500 else "Check the address and its parameters."
        raise UnexpectedAnswer(
            f"{self.server_address} answered with status {status}: {said}. {advice}",
            response=response,
        )

    def how_to_get_one(self) -> str:
        """What to do if there is no token."""
        return f"Log in: cave-auth login {self.server_address.removeprefix('https://')}"

    def unexpected(self, what: str) -> UnexpectedAnswer:
        """The error for an answer with unexpected content."""
        return UnexpectedAnswer(
            f"{self.server_address} answered with {what}. "
            "Check that this is the address of a CAVE server."
        )

    def _shown(self, response: Response, hidden: str) -> str:
        """A server's message on one line, with tokens masked."""
        # Masked before it is cut: half a token would not be recognised.
        text = self._scrub(" ".join(response.text.split()), hidden)
        text = printable(text, _SHOWN).rstrip(". ")
        return repr(text) if text else "no message"

    def _scrub(self, text: str, hidden: str) -> str:
        return covered(text, {hidden, *self._auth.credentials.known()})


def _read(response: Response, deadline: float) -> None:
    """Read and decode a body within the limits, and let ``response.content`` return it.

    :raises TooLong: if it is longer.
    :raises TimeoutError: if the deadline passes.
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
    """Mask a token in the URLs of an answer and its request."""
    if token:
        response.url = (response.url or "").replace(token, "<token>")
        if response.request is not None:
            response.request.url = (response.request.url or "").replace(token, "<token>")


@contextlib.contextmanager
def _out_of_urllib3s_log(token: str) -> Iterator[None]:
    """Mask a token in urllib3's log, which has the path of each request at the level DEBUG."""

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
