"""The first door: ``session.auth = CaveAuth()``, the documented ``requests`` way.

https://requests.readthedocs.io/en/latest/user/authentication/#new-forms-of-authentication
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from time import perf_counter
from typing import Any

from requests import PreparedRequest, RequestException, Response
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_auth_from_url, get_netrc_auth, select_proxy

from .answers import login_page, redirect_target
from .caller import may_be_proxied, trust_env_of_caller
from .headers import bearer_token, copy_of, discard, rewind, sign, unsign
from .hosts import KnownHosts
from .origins import Origin, TrustedHosts
from .refusals import judge, raise_for_auth, remember_token
from .runtime import logger, warn_once
from .sources import Credentials
from .tokens import DEFAULT_KEY, Source, Token

#: Makes a protected service answer 401 in JSON where it would redirect a browser to log in.
PROGRAMMATIC = ("X-Requested-With", "cave-auth-adapter")

#: How often a request is repeated at most. Each time the store must have had a new token since:
#: more than once happens only where tokens change faster than a request takes.
MAX_REPEATS = 8


class CaveAuth(AuthBase):
    """Signs requests to trusted CAVE hosts, and leaves all others as they are.

    :param token: a token to use for every trusted host. None: the first that exists of
        ``token_file``/``token_key``, the variables ``CAVE_TOKEN`` and ``CAVE_TOKEN_FILE``, and
        the secret files in ``~/.cloudvolume/secrets``.
    :param token_file: a secret file to read the token from.
    :param token_key: the key of the token in the secret file.
    :param hosts: the hosts to trust, exactly: ``host``, ``*.suffix``, ``host:port``,
        ``https://host:port`` or ``http://loopback:port``. None: the known CAVE deployments, every
        server that has a secret file of its own, and those in the variable ``CAVE_AUTH_HOSTS``.
    :param raise_errors: whether a refusal is raised as :class:`TokenNotFound`,
        :class:`TokenRefused`, :class:`TermsNotAccepted` or :class:`PermissionMissing`, and not
        returned as the answer that it is.
    :raises InvalidToken: (also a :class:`ValueError`) if ``token`` can't be one.
    :raises InvalidHostSpec: (also a :class:`ValueError`) if an entry of ``hosts`` is not one.

    No file is read and nothing is sent before the first request needs it. Objects compare equal
    by configuration, can be pickled and copied, and are safe to share between threads.

    >>> import requests
    >>> session = requests.Session()
    >>> session.auth = CaveAuth("0123456789abcdef", hosts=["cave.example.org"])
    >>> request = requests.Request("GET", "https://cave.example.org/info")
    >>> session.prepare_request(request).headers["Authorization"]
    'Bearer 0123456789abcdef'
    >>> request = requests.Request("GET", "https://elsewhere.example.org/")
    >>> "Authorization" in session.prepare_request(request).headers
    False
    """

    def __init__(
        self,
        token: str | None = None,
        *,
        token_file: str | os.PathLike[str] | None = None,
        token_key: str = DEFAULT_KEY,
        hosts: Iterable[str] | None = None,
        raise_errors: bool = False,
    ):
        if hosts is not None and not isinstance(hosts, (str, bytes)):
            hosts = tuple(hosts)
        self.hosts = KnownHosts() if hosts is None else TrustedHosts(hosts)
        self.credentials = Credentials(token, token_file, token_key)
        hidden = None if token is None else Token(token, Source("token="))
        file = None if token_file is None else os.fspath(token_file)
        self.raise_errors = raise_errors
        self._configuration = (hidden, file, token_key, hosts, raise_errors)

    def trusts(self, url: str) -> bool:
        """Whether a URL may see a token.

        >>> CaveAuth().trusts("https://minnie.microns-daf.com/info")
        True
        >>> CaveAuth().trusts("https://minnie.microns-daf.com.example.org/info")
        False

        :param url: an absolute URL; only its scheme, host and port matter.
        """
        return self.hosts.trusted_origin(url) is not None

    def token_for(self, url: str) -> str | None:
        """The token that a request to a URL would carry; None: not trusted, or none is known.

        >>> CaveAuth("0123456789abcdef").token_for("https://global.daf-apis.com/")
        '0123456789abcdef'

        :param url: an absolute URL; only its scheme, host and port matter.
        :raises InvalidToken: if ``CAVE_TOKEN`` can't be a token.
        :raises TokenFileError: if a secret file can't be used.
        """
        origin = self.hosts.trusted_origin(url)
        token = self.credentials.token_for(origin) if origin else None
        return token.value if token else None

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign a request while it is prepared (the :class:`requests.auth.AuthBase` protocol).

        :param request: what ``requests`` prepares; it is changed in place, and returned.
        :raises CaveAuthError: if a token or secret file is bad.
        """
        url = request.url or ""
        origin = self.hosts.trusted_origin(url)
        token = self.credentials.token_for(origin) if origin else None
        # A proxy would see what goes over plain http. Where one is possible the request goes out
        # unsigned; if the service refuses, the hook knows the proxies, and signs if there is none.
        if origin and token and (origin.scheme == "https" or not may_be_proxied(url)):
            sign(request.headers, token.value)
        else:
            _authenticate_as_without_us(request)
            if origin:
                request.headers.setdefault(*PROGRAMMATIC)
        request.hooks["response"].append(self._answered)
        return request

    def origin_for(self, url: str, proxies: dict[str, str] | None) -> Origin | None:
        """The origin of a request that may be signed; None where it may not.

        Plain ``http`` to a loopback address is private only while no proxy stands between.
        """
        origin = self.hosts.trusted_origin(url)
        if origin and origin.scheme == "http" and proxies and select_proxy(url, proxies):
            return None
        return origin

    def our_token(self, request: PreparedRequest, origin: Origin) -> Token | None:
        """The token that a request bears, if we gave it out for its host, now or earlier."""
        value = bearer_token(request.headers)
        return self.credentials.recognise(origin, value) if value else None

    def sign_again(
        self, sent: PreparedRequest, origin: Origin, response: Response
    ) -> PreparedRequest | None:
        """A copy of a refused request, signed with another token, if it may be sent once more.

        Only a token of ours is replaced, or none at all: someone may be testing a foreign one.
        The connection of the refusal is then closed.

        :param sent: the request as it was sent.
        """
        if not self._refused(response):
            return None
        refused = self.our_token(sent, origin)
        if refused is None and "Authorization" in sent.headers:
            return None
        token = self.credentials.after_refusal(origin, refused)
        if token is None:
            return None
        if not rewind(sent):
            warn_once(
                f"{origin.server} refused a request, and there is another token by now; but a body "
                "that is read from a generator or a stream can't be sent twice. Send bytes or a "
                "file, or make the request again."
            )
            return None
        signed = copy_of(sent)
        if signed.headers.get(PROGRAMMATIC[0]) == PROGRAMMATIC[1]:
            del signed.headers[PROGRAMMATIC[0]]
        sign(signed.headers, token.value)
        discard(response)
        logger.debug("%s refused a request; sending it again, %r", origin.server, token)
        return signed

    def conclude(
        self, sent: PreparedRequest, origin: Origin, response: Response, stream: bool
    ) -> None:
        """Log a refusal once per host and cause; raise it where the caller asked for that.

        :param stream: whether the caller reads the body by itself, so that it is not touched here.
        """
        if (response.status_code or 0) < 300:
            return
        remember_token(response, self.our_token(sent, origin))
        if self.raise_errors:
            raise_for_auth(response)
            return
        # Where the caller does not stream, requests reads the body next; if that fails it is to
        # fail as it does without us.
        is_read = not stream and response.status_code in (400, 401, 403)
        if verdict := judge(response, (response.content or b"") if is_read else b""):
            warn_once(verdict.sentence, *verdict.key)

    def _answered(self, response: Response, **kwargs: Any) -> Response:
        """The response hook: it travels with the request, over every hop of a redirect."""
        request = response.request
        # An adapter of another kind, as for tests, may leave it out; requests-cache has its own.
        if not hasattr(request, "hooks"):
            return response
        origin = self.origin_for(request.url or "", kwargs.get("proxies"))
        # Adapters for tests may leave the status out.
        if (response.status_code or 0) >= 300:
            if origin:
                response, sent = self._repeat_if_refused(response, origin, kwargs)
                try:
                    self.conclude(sent, origin, response, bool(kwargs.get("stream")))
                except RequestException as error:
                    error.request = response.request = self._without_footprints(request, origin)
                    raise
            if response.is_redirect:
                self._prepare_next_hop(request, origin, redirect_target(response))
        response.request = self._without_footprints(request, origin)
        return response

    def _repeat_if_refused(
        self, response: Response, origin: Origin, kwargs: dict[str, Any]
    ) -> tuple[Response, PreparedRequest]:
        """The final answer, and the request as it was sent last."""
        request, elapsed = response.request, response.elapsed
        connection: Any = getattr(response, "connection", None)  # adapters for tests leave it out
        sent, start = request, perf_counter()
        for _ in range(MAX_REPEATS if connection else 0):
            again = self.sign_again(sent, origin, response)
            if again is None:
                break
            sent = again
            try:
                response = connection.send(sent, **kwargs)
            except RequestException as error:
                error.request = request
                raise
            response.elapsed = elapsed + timedelta(seconds=perf_counter() - start)
        return response, sent

    def _refused(self, response: Response) -> bool:
        if response.status_code == 401:
            return True
        page = login_page(response)
        return page is not None and self.trusts(page)

    def _prepare_next_hop(
        self, request: PreparedRequest, origin: Origin | None, target: str | None
    ) -> None:
        """Change what requests will copy into the next hop; what was sent is sent already.

        A session may keep the header on a redirect (by its own ``rebuild_auth``, say), and would
        take the token of this host to the next one.
        """
        next_origin = self.hosts.trusted_origin(target or "")
        if next_origin == origin:
            return
        if origin and self.our_token(request, origin):
            unsign(request.headers)
        name, value = PROGRAMMATIC
        if next_origin:
            request.headers.setdefault(name, value)
        elif request.headers.get(name) == value:
            del request.headers[name]

    def _without_footprints(
        self, request: PreparedRequest, origin: Origin | None
    ) -> PreparedRequest:
        """What the caller sees as ``response.request``: it may be pickled, cached or printed."""
        twin = copy_of(request)
        if origin and self.our_token(request, origin):
            unsign(twin.headers)
        # The hook would take this object, and a token= given to it, along into a pickle.
        ours = self._answered
        hooks = [hook for hook in request.hooks["response"] if hook != ours]
        twin.hooks = {**request.hooks, "response": hooks}
        return twin

    def __repr__(self) -> str:
        token, file, key, hosts, raise_errors = self._configuration
        shown = {
            "token": "<hidden>" if token else None,
            "token_file": file,
            "token_key": None if key == DEFAULT_KEY else key,
            "hosts": hosts,
            "raise_errors": raise_errors or None,
        }
        arguments = (f"{name}={value!r}" for name, value in shown.items() if value is not None)
        return f"{type(self).__name__}({', '.join(arguments)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CaveAuth):
            return NotImplemented
        return self._configuration == other._configuration

    def __hash__(self) -> int:
        return hash(self._configuration)

    def __reduce__(self) -> tuple[Any, ...]:
        token, *configuration = self._configuration
        return _rebuild, (type(self), token.value if token else None, *configuration)


def _rebuild(
    cls: type[CaveAuth], token: str | None, file: str | None, key: str, hosts: Any, errors: bool
) -> CaveAuth:
    return cls(token, token_file=file, token_key=key, hosts=hosts, raise_errors=errors)


def checked(auth: CaveAuth | None) -> CaveAuth:
    """An auth as the doors take it; None makes a new one.

    :raises TypeError: for anything else, a token say; the message does not show it.
    """
    if auth is None:
        return CaveAuth()
    if not isinstance(auth, CaveAuth):
        kind = "the class itself" if auth is CaveAuth else type(auth).__name__
        raise TypeError(f"auth is a CaveAuth, not {kind}: write CaveAuth() or CaveAuth(token).")
    return auth


def _authenticate_as_without_us(request: PreparedRequest) -> None:
    """Do for a request what requests does for one without ``auth=``: netrc, else the URL.

    It asks neither once ``session.auth`` is set (``Session.prepare_request``,
    ``PreparedRequest.prepare_auth``).
    """
    url = request.url or ""
    netrc = get_netrc_auth(url) if trust_env_of_caller() else None
    user, password = netrc or get_auth_from_url(url)
    if user or password:
        HTTPBasicAuth(user, password)(request)
