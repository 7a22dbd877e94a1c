"""The third door: every session of the process, present and future, with no code changed.

``install()`` wraps three methods of ``Session``. It replaces no class and no object: so sessions
that exist already, subclasses, and modules that imported ``Session`` by name are all covered.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter

from . import keepalive, tools
from .adapter import CaveAdapter
from .asked import Trail, erase, note_answer, trail_of
from .auth import CaveAuth, checked
from .errors import CaveAuthError
from .exchange import Options, origin_of
from .headers import holds, strip, strip_values
from .origins import Origin, parse_origin
from .refusals import warn_of_stranger
from .runtime import after_fork, log_decisions, logger, on_reset, switched_off
from .tokens import Token


class Installation:
    """What :func:`install` put in effect; in a ``with`` block, for as long as the block.

    :ivar auth: what requests are signed with.
    """

    def __init__(self, auth: CaveAuth, keep_alive: bool):
        self.auth = auth
        self.keep_alive = keep_alive
        self._replaced: Installation | None = None
        self._thread: int | None = None  # whose `with` block it is; None: of no block
        self._ended = False

    def uninstall(self) -> None:
        """End it. What it nests in, if anything, is in effect again."""
        with _lock:
            self._ended = True
            if self in _stack:
                _stack.remove(self)
            _update()
        _tell_bridges()

    def __enter__(self) -> Installation:
        with _lock:
            if not self._ended:
                _refuse_other_threads(self.auth)
            self._thread = threading.get_ident()
            if self in _stack and self._replaced and not self._replaced._ended:
                # It nests in what it would have replaced outside of a block.
                _stack.insert(_stack.index(self), self._replaced)
            self._replaced = None
        return self

    def __exit__(self, *error: object) -> None:
        self.uninstall()

    def __repr__(self) -> str:
        return f"<{'' if self in _stack else 'ended '}installation of {self.auth!r}>"


_lock = threading.RLock()  # a signal handler may come in between, and install something
_stack: list[Installation] = []  # the last one is in effect
_active: Installation | None = None  # that one; None: a leftover hook does nothing
_acting: ContextVar[CaveAuth | None] = ContextVar("cave_auth_acting", default=None)


def install(auth: CaveAuth | None = None, *, keep_alive: bool = True) -> Installation:
    """Sign the requests of every session in this process.

    :param auth: what to sign with; None: a :class:`CaveAuth` without arguments. Installing again
        replaces it.
    :param keep_alive: whether requests of the same token share connections to trusted hosts, so
        that ``requests.get`` need not open one for each call.
    :return: a handle. ``with install(): …`` holds for the block, and nests in what was installed
        before; ``handle.uninstall()`` ends it.
    :raises RuntimeError: if a ``with`` block of another thread has another auth in effect: one of
        the two would send the other's token. Use :func:`acting_as` there.
    :raises TypeError: if ``auth`` is no :class:`CaveAuth`.

    Sessions that have a :class:`CaveAdapter` mounted keep theirs. A secret file that can't be
    used is logged once as a warning and the request goes out unsigned. With the variable
    ``CAVE_AUTH_DISABLE=1`` nothing is installed.

    >>> with install(CaveAuth(hosts=["cave.example.org"])) as installation:
    ...     installation.auth.trusts("https://cave.example.org/")
    True
    >>> is_installed()
    False
    """
    installation = Installation(checked(auth), keep_alive)
    if switched_off():
        return installation
    log_decisions()
    with _lock:
        _refuse_other_threads(installation.auth)
        lasting = next((each for each in _stack if each._thread is None), None)
        if lasting is not None:
            _stack.remove(lasting)
        installation._replaced = lasting
        _stack.append(installation)
        _update()
    _tell_bridges()
    return installation


def uninstall() -> None:
    """Stop signing; ``requests`` is then as it was. Harmless if nothing is installed.

    >>> uninstall()
    """
    with _lock:
        for installation in _stack:
            installation._ended = True
        _stack.clear()
        _update()
    _tell_bridges()


def is_installed() -> bool:
    """Whether the requests of every session are signed.

    >>> is_installed()
    False
    """
    return _active is not None


@contextlib.contextmanager
def installed(auth: CaveAuth | None = None, *, keep_alive: bool = True) -> Iterator[CaveAuth]:
    """The same as ``with install(auth)``, but for the auth as its value; goes with release 1.0.

    >>> with installed(CaveAuth(hosts=["cave.example.org"])) as auth:
    ...     auth.trusts("https://cave.example.org/")
    True
    """
    with install(auth, keep_alive=keep_alive) as installation:
        yield installation.auth


@contextlib.contextmanager
def acting_as(auth: CaveAuth) -> Iterator[CaveAuth]:
    """The identity of this thread or task, for services that act for many users.

    :param auth: what the requests of this context are signed with, in place of what is installed.
    :raises RuntimeError: if nothing is installed: the requests would go out unsigned.
    :raises TypeError: if ``auth`` is no :class:`CaveAuth`.

    >>> with install(), acting_as(CaveAuth("0123456789abcdef")):
    ...     pass    # what is requested here goes out with that token
    """
    if not is_installed() and not switched_off():
        raise RuntimeError("acting_as() works where install() is in effect: call install() first.")
    before = _acting.set(checked(auth))
    try:
        yield auth
    finally:
        _acting.reset(before)


def auth_in_effect() -> CaveAuth | None:
    """What a request of this thread or task is signed with; None: nothing is installed."""
    active = _active
    return None if active is None else _acting.get() or active.auth


def _refuse_other_threads(auth: CaveAuth) -> None:
    """Let no thread sign with what another one has in effect; called with the lock held."""
    here = threading.get_ident()
    if any(each._thread not in (None, here) and each.auth != auth for each in _stack):
        raise RuntimeError(
            "Another thread is in a `with install(...)` block with another auth, which holds for "
            "the whole process. For one identity per thread or task, call install() once, and use "
            "`with acting_as(auth)` in each."
        )


def _update() -> None:
    """Bring the hooks in line with what is installed; called with the lock held."""
    global _active
    _active = _stack[-1] if _stack else None
    for patch in _patches:
        patch.remove() if _active is None else patch.apply()


def _tell_bridges() -> None:
    """Let other libraries find our tokens, or not; without the lock, for they may log."""
    if _active is None:
        tools.detach()
    else:
        tools.attach(auth_in_effect)


class _InstalledAdapter(CaveAdapter):
    """A skin around a session's adapter for one request.

    It raises nothing that plain ``requests`` would not, and has the request sent over a connection
    that is kept alive where that is the same for the session.
    """

    wrapped: BaseAdapter
    _lenient = True

    def __init__(self, auth: CaveAuth, wrapped: BaseAdapter):
        # One is made for each request, of two things that were looked at before.
        vars(self).update(auth=auth, wrapped=wrapped)

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        if _active is None:  # someone kept this adapter, and we were uninstalled
            return self.wrapped.send(request, *args, **kwargs)
        return super().send(request, *args, **kwargs)

    def _transmit(
        self, request: PreparedRequest, token: Token | None, args: Any, kwargs: Any
    ) -> Response:
        if (active := _active) is None or not active.keep_alive:
            return self.wrapped.send(request, *args, **kwargs)
        return keepalive.send(self.wrapped, request, token, *args, **kwargs)

    def _note(self, *answer: Any) -> None:
        """Leave that to the wrapped ``resolve_redirects``."""


# --- The methods of Session that are wrapped ---------------------------------------------------


class _Patch:
    """A method of requests that is replaced, for as long as we are installed, by one around it."""

    def __init__(self, name: str, wrap: Callable[[Any], Any]):
        # requests.Session may be a subclass by now (requests_cache.install_cache); sessions of
        # the class itself are to be signed too.
        self._owner = next(owner for owner in Session.__mro__ if name in vars(owner))
        self._name = name
        self._wrap = wrap
        # Ours -> what it replaced. By identity: one that others have patched over stays below
        # their patch, does nothing, and may come up again.
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
    """Sign what goes to a trusted host, by a skin around the session's adapter."""

    def get_adapter(self: Session, url: str) -> BaseAdapter:
        adapter, auth = original(self, url), auth_in_effect()
        if auth is None or auth.hosts.trusted_origin(url) is None:
            logger.debug("%s: not trusted, goes out as it is", _Server(url))
            return adapter
        return adapter if isinstance(adapter, CaveAdapter) else _InstalledAdapter(auth, adapter)

    return get_adapter


def _following(original: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Note who led to each hop of a redirect; sessions override ``rebuild_auth`` without super."""

    def resolve_redirects(
        self: Session, resp: Response, req: PreparedRequest, *args: Any, **kwargs: Any
    ) -> Iterator[Any]:
        hops, auth = original(self, resp, req, *args, **kwargs), auth_in_effect()
        return hops if auth is None else _noting(auth, hops, resp, req, kwargs)

    return resolve_redirects


def _noting(
    auth: CaveAuth, hops: Iterator[Any], response: Response, request: PreparedRequest, how: Any
) -> Iterator[Any]:
    """The hops of a redirect, with a note of who led there while each is made of the one before."""
    options = Options(False, how.get("verify", True), how.get("proxies"))
    is_inner = trail_of(request) is not None  # a hop of a redirect that is followed outside

    def note(hop: PreparedRequest, response: Response) -> None:
        origin, trusted = origin_of(auth, hop.url or "", options), auth.hosts.trusted_origin
        if origin is None:
            warn_of_stranger(response)
        note_answer(hop, response, origin, trusted, options.verify, request)

    try:
        note(request, response)
        for hop in hops:
            if isinstance(hop, PreparedRequest):  # response.next, which outlives the notes here
                hop.hooks = {event: [*map(_own, hooks)] for event, hooks in hop.hooks.items()}
            yield hop
            if isinstance(hop, Response):
                note(hop.request, hop)
    finally:
        if not is_inner:
            erase(request)


def _own(hook: Any) -> Any:
    return hook.copy() if isinstance(hook, Trail) else hook


def _stripping(original: Callable[..., None]) -> Callable[..., None]:
    """CAVEclient keeps its token as a cookie without a domain, which goes along to any host.

    So does a header other than ``Authorization``. What the caller sends to a host by itself is
    the caller's affair; where a redirect leads is the server's.
    """

    def rebuild_auth(self: Session, prepared_request: PreparedRequest, response: Response) -> None:
        original(self, prepared_request, response)
        if (auth := auth_in_effect()) is not None:
            _strip(auth, prepared_request, response)

    return rebuild_auth


def _strip(auth: CaveAuth, request: PreparedRequest, response: Response) -> None:
    """Take tokens off a hop that are not for where it goes."""
    url = request.url or ""
    origin, known = parse_origin(url), auth.credentials.known()
    if origin and origin.scheme == "https" and auth.hosts.trusted_origin(url):
        strip_values(request.headers, _of_others(auth, origin, known))
        return
    # Over plain http there may be a proxy between, of which nothing is known here. Where there is
    # none, the adapter signs. Within an untrusted host the caller's token stays, if the caller
    # sent it there. It may also come out of the cookie jar again, after it was taken off on the
    # way to that host.
    came_along = holds(response.request.headers, known)
    if origin is None or origin != parse_origin(response.url) or not came_along:
        strip(request.headers, known)


def _of_others(auth: CaveAuth, origin: Origin, known: set[str]) -> set[str]:
    """The known tokens that are not for an origin: those of other deployments."""
    with contextlib.suppress(CaveAuthError):
        auth.credentials.token_for(origin)  # so that its own one is recognised
    return {value for value in known if not auth.credentials.recognise(origin, value)}


class _Server:
    """The server that a URL names, for a log line that is seldom written."""

    def __init__(self, url: str):
        self._url = url

    def __str__(self) -> str:
        origin = parse_origin(self._url)
        return origin.server if origin else "an unusual address"


_patches = (
    _Patch("get_adapter", _signing),
    _Patch("resolve_redirects", _following),
    _Patch("rebuild_auth", _stripping),
)


def _renew_lock() -> None:
    """In a forked child: a thread of the parent may have held the lock."""
    global _lock
    _lock = threading.RLock()


after_fork(_renew_lock)
on_reset(uninstall)
