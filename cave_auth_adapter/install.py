"""The third door: every session of the process, present and future, with no code changed.

``install()`` wraps ``Session.get_adapter``, the method by which a session finds its adapter. It
replaces no class and no object: so sessions that exist already, subclasses, and modules that
imported ``Session`` by name are all covered.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter
from requests.sessions import SessionRedirectMixin
from requests.utils import select_proxy

from . import pool
from .adapter import CaveAdapter
from .auth import CaveAuth
from .errors import CaveAuthError
from .integrations import cloudvolume
from .log import warn_once
from .signature import strip
from .trust import Origin, parse_origin

_lock = threading.Lock()
_auth: CaveAuth | None = None  # what to sign with; None: not installed, a hook left behind sleeps
_keep_alive = True


def mount(session: Session, auth: CaveAuth | None = None) -> Session:
    """Wrap every adapter that a session has, so that each signs; return the session.

    The adapters keep their retries, their connection pools and the prefixes they are mounted on.
    Mounting again changes nothing, or replaces ``auth`` where one is given.

    >>> import requests
    >>> session = mount(requests.Session())
    >>> session.get_adapter("https://global.daf-apis.com/")
    CaveAdapter(CaveAuth(), wrapped=<requests.adapters.HTTPAdapter object at 0x...>)
    """
    new_auth = CaveAuth() if auth is None else auth
    skins: dict[int, CaveAdapter] = {}  # one adapter mounted on two prefixes stays one
    for prefix, adapter in session.adapters.items():
        if isinstance(adapter, CaveAdapter):
            if auth is None:
                continue
            inner: BaseAdapter = adapter.wrapped or adapter
        else:
            inner = adapter
        skin = skins.setdefault(id(inner), CaveAdapter(new_auth, wrapped=inner))
        session.adapters[prefix] = skin
    return session


def install(auth: CaveAuth | None = None, *, keep_alive: bool = True) -> None:
    """Sign the requests of every session in this process.

    :param auth: what to sign with; None: a :class:`CaveAuth` without arguments. Installing again
        replaces it.
    :param keep_alive: whether sessions that were given no adapter of their own share connections
        to trusted hosts, so that ``requests.get`` need not open one for each call.

    Sessions that have a :class:`CaveAdapter` mounted keep theirs. A secret file that can't be
    used is logged once as a warning and the request goes out unsigned: whoever made the request
    may know nothing of us.

    >>> install()
    >>> uninstall()
    """
    _install(CaveAuth() if auth is None else auth, keep_alive)


def uninstall() -> None:
    """Stop signing; ``requests`` is then as it was. Harmless if nothing is installed."""
    _install(None, True)


@contextlib.contextmanager
def installed(auth: CaveAuth | None = None, *, keep_alive: bool = True) -> Iterator[CaveAuth]:
    """A context in which :func:`install` holds; afterwards all is as it was before.

    The parameters are those of :func:`install`.

    >>> with installed(CaveAuth(hosts=["cave.example.org"])) as auth:
    ...     auth.trusts("https://cave.example.org/")
    True
    """
    auth = CaveAuth() if auth is None else auth
    previous = _install(auth, keep_alive)
    try:
        yield auth
    finally:
        _install(*previous)


def _install(auth: CaveAuth | None, keep_alive: bool) -> tuple[CaveAuth | None, bool]:
    """Put an auth in place (None: take ours out) and return what was there."""
    global _auth, _keep_alive
    with _lock:
        previous = _auth, _keep_alive
        _auth, _keep_alive = auth, keep_alive
        if auth is None:
            cloudvolume.detach()
        else:
            cloudvolume.attach(_find_token)
        for patch in _patches:
            patch.remove() if auth is None else patch.apply()
        return previous


class _Patch:
    """A method of requests that is replaced, for as long as we are installed, by one around it."""

    def __init__(self, owner: type, name: str, wrap: Callable[[Any], Any]):
        self._owner = owner
        self._name = name
        self._wrap = wrap
        self._original: Any = None
        self._replacement: Any = None

    def apply(self) -> None:
        current = getattr(self._owner, self._name)
        if current is not self._replacement:
            self._original = current
            self._replacement = functools.wraps(current)(self._wrap(current))
            setattr(self._owner, self._name, self._replacement)

    def remove(self) -> None:
        # Someone may have put a patch of theirs over ours; then ours stays below it, and sleeps.
        if getattr(self._owner, self._name) is self._replacement:
            setattr(self._owner, self._name, self._original)
            self._original = self._replacement = None


def _signing(original: Callable[[Session, str], BaseAdapter]) -> Callable[..., BaseAdapter]:
    def get_adapter(self: Session, url: str) -> BaseAdapter:
        adapter = original(self, url)
        auth = _auth
        if auth is None or isinstance(adapter, CaveAdapter) or not _trusts(auth, url):
            return adapter
        return _InstalledAdapter(auth, wrapped=adapter)

    return get_adapter


def _stripping(original: Callable[..., None]) -> Callable[..., None]:
    """CAVEclient keeps its token as a cookie without a domain, which goes along to any host.

    So does a header other than ``Authorization``. What the caller sends to a host by itself is
    the caller's affair; where a redirect leads is the server's.
    """

    def rebuild_auth(self: Session, prepared_request: PreparedRequest, response: Response) -> None:
        original(self, prepared_request, response)
        auth, target = _auth, prepared_request.url or ""
        if auth is None or _trusts(auth, target):
            return
        origin = parse_origin(target)
        if origin is None or origin != parse_origin(response.url):
            strip(prepared_request.headers, auth.credentials.known())

    return rebuild_auth


_patches = (
    _Patch(Session, "get_adapter", _signing),
    _Patch(SessionRedirectMixin, "rebuild_auth", _stripping),
)


def _trusts(auth: CaveAuth, url: str) -> bool:
    try:
        return auth.trusts(url)
    except CaveAuthError as error:
        _warn(error)
        return False


def _find_token(host: str) -> str | None:
    """The token for a host as CloudVolume and cloud-files ask for it."""
    auth = _auth
    try:
        return auth.token_for(f"https://{host}") if auth else None
    except CaveAuthError as error:
        _warn(error)
        return None


class _InstalledAdapter(CaveAdapter):
    """A skin around a session's adapter for one request.

    It raises nothing that plain ``requests`` would not, and has the request sent over a connection
    that is kept alive where the session's adapter is the default one.
    """

    def _sender(self, request: PreparedRequest, proxies: Any) -> Callable[..., Response]:
        url = request.url or ""
        if (
            _keep_alive
            and url[:6].lower() == "https:"
            and self.wrapped is not None
            and pool.can_serve(self.wrapped)
            and not select_proxy(url, proxies)
        ):
            return pool.transport().send
        return super()._sender(request, proxies)

    def _origin(self, request: PreparedRequest, proxies: Any) -> Origin | None:
        try:
            return super()._origin(request, proxies)
        except CaveAuthError as error:
            _warn(error)
            return None

    def _outgoing(self, request: PreparedRequest, origin: Origin) -> PreparedRequest:
        try:
            return super()._outgoing(request, origin)
        except CaveAuthError as error:
            _warn(error)
            return request

    def _again(
        self, sent: PreparedRequest, origin: Origin, response: Response
    ) -> PreparedRequest | None:
        try:
            return super()._again(sent, origin, response)
        except CaveAuthError as error:
            _warn(error)
            return None


def _warn(error: CaveAuthError) -> None:
    warn_once(f"A request goes out unsigned. {error}")
