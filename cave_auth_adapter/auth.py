"""``CaveAuth``, for ``session.auth``: the way of signing that requests documents.

https://requests.readthedocs.io/en/latest/user/authentication/#new-forms-of-authentication
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, NamedTuple

from requests import PreparedRequest
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_auth_from_url

from .exchange import PROGRAMMATIC, log_decision
from .headers import SignedHeaders, bearer_token
from .hook import Hook
from .hosts import KnownHosts, NamedHosts
from .origins import Origin
from .providers import ByName, TokenSource, name_of
from .runtime import log_decisions
from .sources import Credentials
from .tokens import DEFAULT_KEY, Source, Token


class _Chosen(NamedTuple):
    """Which token and which hosts the caller of :class:`CaveAuth` chose. A repr hides the token."""

    token: Token | None = None
    file: str | None = None
    key: str = DEFAULT_KEY
    hosts: Iterable[str] | None = None


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
    :param source: a function ``(server, refused)`` that returns a token, or None if it has none, as
        for :func:`set_token_source`. It outranks ``CAVE_TOKEN`` and the secret files. It is
        pickled by its name, so define it at the top level of a module if you pickle the object.
    :param raise_errors: whether to raise a refusal as :class:`TokenNotFound`,
        :class:`TokenRefused`, :class:`TermsNotAccepted` or :class:`PermissionMissing`. Otherwise
        it is returned as a response, and logged once.
    :raises InvalidToken: (also a :class:`ValueError`) if ``token`` can't be one.
    :raises InvalidHostSpec: (also a :class:`ValueError`) if an entry of ``hosts`` is not one.

    No file is read and nothing is sent before the first request needs it. Objects are equal if
    their parameters are, can be pickled and copied, and can be shared between threads.

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

    # While an object is made, a traceback with the local variables shows its repr.
    _chosen = _Chosen()
    _source: TokenSource | None = None
    raise_errors = False

    def __init__(
        self,
        token: str | None = None,
        *,
        token_file: str | os.PathLike[str] | None = None,
        token_key: str = DEFAULT_KEY,
        hosts: Iterable[str] | None = None,
        source: TokenSource | None = None,
        raise_errors: bool = False,
    ):
        given = None if token is None else Token(token, Source("token="))
        del token  # a traceback can show the local variables
        log_decisions()
        if hosts is not None and not isinstance(hosts, (str, bytes)):
            hosts = tuple(hosts)
        self.hosts = KnownHosts() if hosts is None else NamedHosts(hosts)
        self.credentials = Credentials(
            given, token_file, token_key, source=source, trusted=self.hosts
        )
        file = None if token_file is None else os.fspath(token_file)
        self.raise_errors = raise_errors
        self._chosen = _Chosen(given, file, token_key, hosts)
        self._source = source

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
        """The token that a request to a URL would carry; None if it is not trusted or has none.

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

        Like every auth object, it turns off netrc for its session. Credentials in a URL still work.

        :param request: the request that ``requests`` prepares. It is changed in place and returned.
        :raises CaveAuthError: if a token or secret file is invalid.
        """
        url = request.url or ""
        origin = self.hosts.trusted_origin(url)
        # Plain http may go through a proxy, which is unknown here, so it is sent unsigned. If the
        # service refuses, the hook knows the proxies, and signs if there is none.
        token = self.credentials.token_for(origin) if origin and origin.scheme == "https" else None
        if token:
            request.headers = SignedHeaders(request.headers, token)
        elif origin:
            request.headers.setdefault(*PROGRAMMATIC)
        elif any(user_and_password := get_auth_from_url(url)):
            HTTPBasicAuth(*user_and_password)(request)
        log_decision(self, url, origin, token)
        request.register_hook("response", Hook(self, request))
        return request

    def our_token(self, request: PreparedRequest, origin: Origin) -> Token | None:
        """The token that a request carries, if it is from our sources, now or earlier."""
        headers = request.headers
        if isinstance(headers, SignedHeaders) and headers.is_signed:
            return headers.token
        value = bearer_token(headers)
        return self.credentials.recognise(origin, value) if value else None

    def __repr__(self) -> str:
        chosen = self._chosen
        shown = {
            "token": "<hidden>" if chosen.token else None,
            "token_file": chosen.file,
            "token_key": None if chosen.key == DEFAULT_KEY else chosen.key,
            "hosts": chosen.hosts,
            "source": self._source and name_of(self._source),
            "raise_errors": self.raise_errors or None,
        }
        arguments = (f"{name}={value!r}" for name, value in shown.items() if value is not None)
        return f"{type(self).__name__}({', '.join(arguments)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CaveAuth):
            return NotImplemented
        return (
            self._chosen == other._chosen
            and self.raise_errors == other.raise_errors
            and bool(self._source == other._source)
        )

    def __hash__(self) -> int:
        # Without the source, which may not be hashable, and raise_errors, which may be set later.
        return hash(self._chosen)

    def __reduce__(self) -> tuple[Any, ...]:
        token, *others = self._chosen
        source = None if self._source is None else ByName(self._source)
        value = token.value if token else None
        return _rebuild, (type(self), value, *others, self.raise_errors, source)


def _rebuild(
    cls: type[CaveAuth],
    token: str | None,
    file: str | None,
    key: str,
    hosts: Any,
    errors: bool,
    named: ByName | None = None,
) -> CaveAuth:
    source: dict[str, Any] = {"source": named.source} if named else {}
    return cls(token, token_file=file, token_key=key, hosts=hosts, raise_errors=errors, **source)


def checked(auth: CaveAuth | None) -> CaveAuth:
    """Return ``auth``, or a new :class:`CaveAuth` for None.

    :raises TypeError: for anything else, such as a token; the message does not show it.
    """
    if auth is None:
        return CaveAuth()
    if not isinstance(auth, CaveAuth):
        kind = "the class itself" if auth is CaveAuth else type(auth).__name__
        raise TypeError(f"auth must be a CaveAuth, not {kind}: use CaveAuth() or CaveAuth(token).")
    return auth
