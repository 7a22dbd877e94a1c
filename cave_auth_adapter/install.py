"""The third door: every session of the process, present and future, with no code changed.

``install()`` wraps ``Session.get_adapter``, the method by which a session finds its adapter. It
replaces no class and no object: so sessions that exist already, subclasses, and modules that
imported ``Session`` by name are all covered.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter

from . import keepalive, tools
from .adapter import CaveAdapter
from .auth import CaveAuth, checked
from .errors import CaveAuthError
from .headers import bearer_token, holds, strip
from .origins import Origin, parse_origin
from .runtime import warn_once


class _Installation(NamedTuple):
    auth: CaveAuth
    keep_alive: bool


_lock = threading.Lock()
_stack: list[_Installation] = []  # the last one is in effect; threads may leave in any order
_lasting: _Installation | None = None  # the one in the stack that install() put there
_active: _Installation | None = None  # None: not installed; a hook that was left behind sleeps


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
    global _lasting
    installation = _Installation(checked(auth), keep_alive)
    with _lock:
        _remove(_lasting)
        _stack.append(installation)
        _lasting = installation
        _update()


def uninstall() -> None:
    """Stop signing; ``requests`` is then as it was. Harmless if nothing is installed.

    >>> uninstall()
    """
    with _lock:
        _stack.clear()
        _update()


@contextlib.contextmanager
def installed(auth: CaveAuth | None = None, *, keep_alive: bool = True) -> Iterator[CaveAuth]:
    """A context in which :func:`install` holds; afterwards all is as it was before.

    :param auth: what to sign with, as for :func:`install`.
    :param keep_alive: whether to share connections, as for :func:`install`.

    >>> with installed(CaveAuth(hosts=["cave.example.org"])) as auth:
    ...     auth.trusts("https://cave.example.org/")
    True
    """
    installation = _Installation(checked(auth), keep_alive)
    with _lock:
        _stack.append(installation)
        _update()
    try:
        yield installation.auth
    finally:
        with _lock:
            _remove(installation)
            _update()


def _remove(installation: _Installation | None) -> None:
    # By identity: the installations of two threads may be equal.
    _stack[:] = [each for each in _stack if each is not installation]


def _update() -> None:
    """Bring the hooks in line with what is installed; called with the lock held."""
    global _active
    _active = _stack[-1] if _stack else None
    if _active is None:
        tools.detach()
    else:
        tools.attach(lambda: _active.auth if _active else None)
    for patch in _patches:
        patch.remove() if _active is None else patch.apply()


class _Patch:
    """A method of requests that is replaced, for as long as we are installed, by one around it."""

    def __init__(self, name: str, wrap: Callable[[Any], Any]):
        # requests.Session may be a subclass by now (requests_cache.install_cache); sessions of
        # the class itself are to be signed too.
        self._owner = next(owner for owner in Session.__mro__ if name in vars(owner))
        self._name = name
        self._wrap = wrap
        # Ours -> what it replaced. By identity, for one that someone put a patch of theirs over
        # stays below it, sleeps, and may come up again.
        self._replaced: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

    def apply(self) -> None:
        current = getattr(self._owner, self._name)
        if current not in self._replaced:
            replacement = functools.wraps(current)(self._wrap(current))
            self._replaced[replacement] = current
            setattr(self._owner, self._name, replacement)

    def remove(self) -> None:
        current = getattr(self._owner, self._name)
        if current in self._replaced:
            setattr(self._owner, self._name, self._replaced[current])


def _signing(original: Callable[[Session, str], BaseAdapter]) -> Callable[..., BaseAdapter]:
    def get_adapter(self: Session, url: str) -> BaseAdapter:
        adapter, active = original(self, url), _active
        try:  # _trusts(), written out: requests to other hosts wait for this too
            if active is None or active.auth.hosts.trusted_origin(url) is None:
                return adapter
        except CaveAuthError as error:
            _warn(error)
            return adapter
        if isinstance(adapter, CaveAdapter):
            return adapter
        return _InstalledAdapter(active.auth, adapter)

    return get_adapter


def _stripping(original: Callable[..., None]) -> Callable[..., None]:
    """CAVEclient keeps its token as a cookie without a domain, which goes along to any host.

    So does a header other than ``Authorization``. What the caller sends to a host by itself is
    the caller's affair; where a redirect leads is the server's.
    """

    def rebuild_auth(self: Session, prepared_request: PreparedRequest, response: Response) -> None:
        original(self, prepared_request, response)
        active, target = _active, prepared_request.url or ""
        # Over plain http there may be a proxy between, of which nothing is known here. Where
        # there is none, the adapter signs anew.
        if active is None or (target[:6].lower() == "https:" and _trusts(active.auth, target)):
            return
        origin, known = parse_origin(target), active.auth.credentials.known()
        came_along = holds(response.request.headers, known)
        # Within an untrusted host the caller's token stays, if the caller sent it there. It may
        # also come out of the cookie jar anew, after it was taken off on the way to that host.
        if origin is None or origin != parse_origin(response.url) or not came_along:
            strip(prepared_request.headers, known)

    return rebuild_auth


_patches = (_Patch("get_adapter", _signing), _Patch("rebuild_auth", _stripping))


def _trusts(auth: CaveAuth, url: str) -> bool:
    try:
        return auth.hosts.trusted_origin(url) is not None
    except CaveAuthError as error:
        _warn(error)
        return False


class _InstalledAdapter(CaveAdapter):
    """A skin around a session's adapter for one request.

    It raises nothing that plain ``requests`` would not, and has the request sent over a connection
    that is kept alive where the session's adapter is the default one.
    """

    wrapped: BaseAdapter

    def __init__(self, auth: CaveAuth, wrapped: BaseAdapter):
        # One is made for each request, of two things that were looked at before: so without the
        # checks of CaveAdapter, and past its __setattr__.
        object.__setattr__(self, "auth", auth)
        object.__setattr__(self, "wrapped", wrapped)

    def _sender(self, request: PreparedRequest, proxies: Any) -> Callable[..., Response]:
        active = _active
        return self.wrapped.send if active is None or not active.keep_alive else self._send_kept

    def _send_kept(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        origin, value = parse_origin(request.url or ""), bearer_token(request.headers)
        known = origin and value and self.auth.credentials.recognise(origin, value)
        return keepalive.send(self.wrapped, request, known or None, *args, **kwargs)

    def _origin(self, request: PreparedRequest, proxies: Any) -> Origin | None:
        if _active is None:  # someone kept this adapter, and we were uninstalled
            return None
        try:
            return self.auth.origin_for(request.url or "", proxies)
        except CaveAuthError as error:
            _warn(error)
            return None

    def _outgoing(self, request: PreparedRequest, origin: Origin) -> PreparedRequest:
        try:
            return CaveAdapter._outgoing(self, request, origin)
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


def _renew_lock() -> None:
    """In a forked child: a thread of the parent may have held the lock."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
