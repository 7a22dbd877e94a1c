"""The flow of a request to a CAVE host: sign, send, look at the answer, sign again, conclude.

The flow is independent of the transport: ``send`` is a function that sends a request. The callers
decide only how a request is sent, and what to do about a broken token source.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from requests import PreparedRequest, RequestException, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import RetryError
from requests.utils import select_proxy
from urllib3 import PoolManager

from .errors import CaveAuthError
from .headers import (
    SignedHeaders,
    bearer_token,
    comes_from_netrc,
    copy_changes,
    copy_of,
    discard,
    has_cookie,
    has_empty_bearer,
    keep_out_of_jars,
    rewind,
    signed_copy,
    strip,
    unsign,
    without_signature,
)
from .identity import warn_of_two
from .origins import Origin, parse_origin
from .refusals import judge, raise_for_auth, remember_token
from .refusals.answers import HiddenRefusal, login_page, status_of
from .runtime import forget_warning, logger, warn_once
from .tokens import Token

if TYPE_CHECKING:
    from .auth import CaveAuth

#: With this header, a protected service answers 401 in JSON, without a redirect to a login page.
PROGRAMMATIC = ("X-Requested-With", "cave-auth-adapter")

#: How often a request is repeated at most, each time with a new token. More than once happens only
#: if tokens change faster than a request takes.
MAX_REPEATS = 8

_METHODS = frozenset(vars(HTTPAdapter))
_SAFE = ("GET", "HEAD", "OPTIONS")  # RFC 9110, section 9.2.1
_OUTBREAKS = 256  # the most refusals to remember, so that we notice when they end

Send = Callable[[PreparedRequest], Response]
T = TypeVar("T")

#: The places of logged refusals -> the cause, until the same request succeeds.
_outbreaks: dict[tuple[Origin, str], tuple[object, ...]] = {}


class Options(NamedTuple):
    """How a request is sent: arguments of ``HTTPAdapter.send``.

    :ivar direct: whether the adapter certainly adds no proxy of its own.
    """

    stream: bool = False
    verify: object = True
    proxies: Any = None
    direct: bool = True


def is_direct(adapter: object, kind: type[HTTPAdapter] = HTTPAdapter) -> bool:
    """Whether an adapter works as requests' own, which uses only the proxies that it is given.

    Its pool manager may have been replaced by a ``ProxyManager``, or one of its methods.

    :param kind: the class that it must have.
    """
    if type(adapter) is not kind:
        return False
    own = vars(adapter)
    return type(own.get("poolmanager")) is PoolManager and own.keys().isdisjoint(_METHODS)


def origin_of(auth: CaveAuth, url: str, options: Options) -> Origin | None:
    """The origin of a request that may be signed; None if it may not."""
    return unproxied(auth.hosts.trusted_origin(url), url, options)


def unproxied(origin: Origin | None, url: str, options: Options) -> Origin | None:
    """The trusted origin, or None if its plain ``http`` goes through a proxy.

    Plain ``http`` to a loopback address is private only without a proxy.
    """
    if origin is None or origin.scheme == "https":
        return origin
    proxied = not options.direct or (options.proxies and select_proxy(url, options.proxies))
    return None if proxied else origin


def log_decision(
    auth: CaveAuth, url: str, origin: Origin | None, token: Token | None, led: bool = False
) -> None:
    """Log, at debug level, whether a request is signed, and why."""
    if not logger.isEnabledFor(logging.DEBUG):
        return
    if origin is None:
        named = parse_origin(url)
        logger.debug("%s: not trusted, not signed", named.server if named else "an unusual address")
        return
    trust = auth.hosts.why(origin)
    how = f"signed with the token from {token.source}" if token else "not signed"
    how += ", because it follows a redirect from an untrusted host" if led else ""
    logger.debug("%s: trusted (%s), %s", origin.server, trust.why if trust else "named", how)


class Exchange:
    """One request to a trusted host.

    :ivar request: the caller's request, which never gets our token.
    :ivar sent: the copy of it that is sent.
    :ivar origin: where it goes.
    :ivar token: the token that this plugin added to ``sent``, if any.
    """

    def __init__(
        self,
        auth: CaveAuth,
        request: PreparedRequest,
        sent: PreparedRequest,
        origin: Origin,
        token: Token | None,
        options: Options,
        *,
        led: bool,
        lenient: bool = False,
    ):
        self.auth = auth
        self.request = request
        self.sent = sent
        self.origin = origin
        self.token = token
        self._options = options
        self._lenient = lenient
        self._led = led
        self._has_jar_cookie = False

    @classmethod
    def begin(
        cls,
        auth: CaveAuth,
        request: PreparedRequest,
        origin: Origin,
        options: Options,
        led: bool,
        lenient: bool,
    ) -> Exchange:
        """Decide about a request to a trusted host, and sign a copy of it.

        :param led: whether a redirect from an untrusted server led to it.
        :param lenient: whether to log a broken token source and send the request unsigned.
        :raises CaveAuthError: if a source is broken, and ``lenient`` is false.
        """
        exchange = cls(auth, request, request, origin, None, options, led=led, lenient=lenient)
        exchange._prepare()
        log_decision(auth, request.url or "", origin, exchange.token, exchange._led)
        return exchange

    def run(self, send: Send) -> Response:
        """Send the request, and send it again while a refusal may be answered by another token."""
        try:
            return self.settle(self._send(send), send)
        except RequestException as error:
            for trace in (error, error.response):
                self._restore_request(trace)
            raise

    def settle(self, response: Response, send: Send | None) -> Response:
        """Handle an answer: sign and send again if needed, then remove our token from its request.

        :param send: None: the request can't be sent again.
        :raises Refusal: if the answer is one, and ``raise_errors`` is true.
        """
        for _ in range(MAX_REPEATS):
            if send is None or not self._is_refused(response) or not self._sign_again(response):
                break
            response = self._send(send)
        self._restore_request(response)
        self._conclude(response)
        if isinstance(response, HiddenRefusal):
            raise response.error
        return response

    @classmethod
    def resume(
        cls, auth: CaveAuth, sent: PreparedRequest, options: Options, *, led: bool
    ) -> Exchange | None:
        """Take over a request that was sent already; None if its host is not trusted.

        :param led: whether a redirect from an untrusted server led to it.
        """
        origin = origin_of(auth, sent.url or "", options)
        if origin is None:
            return None
        token, request = auth.our_token(sent, origin), without_signature(sent)
        if token:
            unsign(request.headers)
        if isinstance(sent.headers, SignedHeaders) and not sent.headers.follows:
            # It was sent before. This time it was sent unsigned: urllib3 copies the headers.
            sent, token = request, None
        exchange = cls(auth, request, sent, origin, token, options, led=led)
        # On a redirect, requests removes our header and adds cookies from its jar. A cookie from a
        # sub-domain must not decide whose request it is.
        exchange._has_jar_cookie = "Authorization" not in sent.headers and has_cookie(sent.headers)
        exchange._warn_if_unverified()
        return exchange

    # --- Before it is sent -----------------------------------------------------------------

    def _prepare(self) -> None:
        """Decide what to send: a signed copy, an unsigned copy, or the request itself."""
        if self._led:
            self.sent = copy_of(self.request)
            strip(self.sent.headers, self.auth.credentials.known())
            self.sent.headers.setdefault(*PROGRAMMATIC)
        elif self._may_be_replaced():
            self.token = self._or_unsigned(self.auth.credentials.token_for, self.origin)
            if self.token:
                self.sent = signed_copy(self.request, self.token)
            else:
                self.sent = copy_of(self.request)
                if "Authorization" not in self.sent.headers:
                    self.sent.headers.setdefault(*PROGRAMMATIC)
        self._warn_if_unverified()

    def _may_be_replaced(self) -> bool:
        """Whether the request has no ``Authorization`` that the caller has chosen."""
        headers = self.request.headers
        if headers is None or "Authorization" not in headers or comes_from_netrc(self.request):
            return True
        if has_empty_bearer(headers):
            warn_once(
                f"A request to {self.origin.server} has the Authorization header "
                f"'Bearer {bearer_token(headers)}', which has no token in it. It was replaced. "
                "Remove that header from your code."
            )
            return True
        # Its token may be in a file that was not read yet. If that file is broken, don't fail a
        # request that has its own header.
        ours = None
        with contextlib.suppress(CaveAuthError):
            if bearer_token(headers):
                ours = self.auth.credentials.token_for(self.origin)
        if self.auth.our_token(self.request, self.origin) is not None:
            return True
        if ours:
            warn_of_two(self.origin, bearer_token(headers) or "", ours)
        return False

    def _or_unsigned(self, find: Callable[..., T | None], *arguments: Any) -> T | None:
        try:
            return find(*arguments)
        except CaveAuthError as error:
            if not self._lenient:
                raise
            warn_once(f"A request to {self.origin.server} is sent unsigned. {error}")
            return None

    def _warn_if_unverified(self) -> None:
        if not self.token or self._options.verify or self.origin.scheme == "http":
            return
        warn_once(
            f"A token is sent to {self.origin.server} without checking its certificate (verify is "
            "false), so others on the network could read it. Set verify to the path of the "
            "server's CA bundle.",
            "unverified",
            self.origin,
        )

    # --- After it was sent -----------------------------------------------------------------

    def _send(self, send: Send) -> Response:
        try:
            return send(self.sent)
        except RetryError as error:  # a Retry with 401 in its status_forcelist hides the refusal
            if not HiddenRefusal.is_behind(error):
                raise
            return HiddenRefusal(error, self.sent)

    def _is_refused(self, response: Response) -> bool:
        """Whether another token may change the answer."""
        status = status_of(response)
        if status < 300:
            return self._has_jar_cookie and (self.request.method or "").upper() in _SAFE
        if status == 401:
            return True
        if status == 400:
            return comes_from_netrc(self.sent)
        page = login_page(response)
        return page is not None and self.auth.trusts(page)

    def _sign_again(self, response: Response) -> bool:
        """Sign the request with another token, if there is one and the request can be sent again.

        Another token than ours is not replaced: the caller may be testing it. Afterwards, the
        connection of the refusal is closed.
        """
        if self._led or not (self.token or self._bears_nothing()):
            return False
        token = self._or_unsigned(self.auth.credentials.after_refusal, self.origin, self.token)
        if token is None:
            return False
        if not rewind(self.sent):
            warn_once(
                f"{self.origin.server} refused a request. There is another token now, but a body "
                "from a generator or a stream can't be sent twice. Send bytes or a file, or make "
                "the request again."
            )
            return False
        signed = signed_copy(self.sent, token)
        if signed.headers.get(PROGRAMMATIC[0]) == PROGRAMMATIC[1]:
            del signed.headers[PROGRAMMATIC[0]]
        discard(response)
        logger.debug("%s refused a request; sending it again, %r", self.origin.server, token)
        self.sent, self.token, self._has_jar_cookie = signed, token, False
        return True

    def _bears_nothing(self) -> bool:
        return "Authorization" not in self.sent.headers or comes_from_netrc(self.sent)

    def _restore_request(self, trace: Response | RequestException | None) -> None:
        """Put the caller's request, without our token, on an answer or an error."""
        told = getattr(trace, "request", None)
        if trace is None or told is None or self.sent is self.request:
            return
        if told is self.sent:
            if not self._options.direct:
                token = self.token.value if self.token else None
                copy_changes(self.sent, self.request, PROGRAMMATIC, token)
            trace.request = self.request
        elif self.auth.our_token(told, self.origin):  # the adapter has made a copy
            trace.request = copy_of(told)
            unsign(trace.request.headers)

    def _conclude(self, response: Response) -> None:
        """Log a refusal once per host and cause until it ends, or raise it for ``raise_errors``."""
        if not issubclass(type(response), Response):  # a test's stand-in, such as a Mock
            return
        if self.token:
            keep_out_of_jars(response, self.token.value)
        status = status_of(response)
        if status < 300:
            if _outbreaks and (cause := _outbreaks.pop(self._refusal_key, None)):
                forget_warning(*cause)
            return
        remember_token(response, self.token, self._led)
        if self.auth.raise_errors:
            raise_for_auth(response)
            return
        # If the caller does not stream, requests reads the body next. If that fails, it must fail
        # as it does without this plugin.
        is_read = not self._options.stream and status in (400, 401, 403)
        body = response.content if is_read else b""
        if verdict := judge(response, body if isinstance(body, bytes) else b""):
            warn_once(verdict.sentence, *verdict.key)
            if len(_outbreaks) >= _OUTBREAKS:
                _outbreaks.clear()
            _outbreaks[self._refusal_key] = verdict.key

    @property
    def _refusal_key(self) -> tuple[Origin, str]:
        """The origin and the URL without its query, by which refusals are remembered."""
        return self.origin, (self.request.url or "").partition("?")[0]
