"""The third door: every session of the process, present and future, with no code changed.

``install()`` hooks ``Session.get_adapter``, the method by which a session finds its adapter, and
not a class or an object: so sessions that exist already, subclasses, and modules that imported
``Session`` by name are all covered.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

from requests import PreparedRequest, Session
from requests.adapters import BaseAdapter

from .adapter import CaveAdapter
from .auth import CaveAuth
from .errors import CaveAuthError
from .integrations import cloudvolume

logger = logging.getLogger("cave_auth_adapter")

_Hook = Callable[[Session, str], BaseAdapter]

_lock = threading.Lock()
_auth: CaveAuth | None = None  # what to sign with; None: not installed, a hook left behind sleeps
_hook: _Hook | None = None
_original: _Hook | None = None


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


def install(auth: CaveAuth | None = None) -> None:
    """Sign the requests of every session in this process.

    :param auth: what to sign with; None: a :class:`CaveAuth` without arguments. Installing again
        replaces it.

    Sessions that have a :class:`CaveAdapter` mounted keep theirs. A secret file that can't be
    used is logged once as a warning and the request goes out unsigned: whoever made the request
    may know nothing of us.

    >>> install()
    >>> uninstall()
    """
    _install(CaveAuth() if auth is None else auth)


def uninstall() -> None:
    """Stop signing; ``requests`` is then as it was. Harmless if nothing is installed."""
    _install(None)


@contextlib.contextmanager
def installed(auth: CaveAuth | None = None) -> Iterator[CaveAuth]:
    """A context in which :func:`install` holds; afterwards all is as it was before.

    >>> with installed(CaveAuth(hosts=["cave.example.org"])) as auth:
    ...     auth.trusts("https://cave.example.org/")
    True
    """
    auth = CaveAuth() if auth is None else auth
    previous = _install(auth)
    try:
        yield auth
    finally:
        _install(previous)


def _install(auth: CaveAuth | None) -> CaveAuth | None:
    """Put an auth in place (None: take ours out) and return the one that was."""
    global _auth, _hook, _original
    with _lock:
        previous, _auth = _auth, auth
        if auth is not None and Session.get_adapter is not _hook:
            _original = Session.get_adapter
            _hook = _make_hook(_original)
            Session.get_adapter = _hook  # type: ignore[method-assign, assignment]
        elif auth is None and _hook is not None and Session.get_adapter is _hook:
            Session.get_adapter = _original  # type: ignore[method-assign, assignment]
            _hook = _original = None
        if auth is None:
            cloudvolume.detach()
        else:
            cloudvolume.attach(_find_token)
        return previous


def _make_hook(original: _Hook) -> _Hook:
    @functools.wraps(original)
    def get_adapter(self: Session, url: str) -> BaseAdapter:
        adapter = original(self, url)
        auth = _auth
        if auth is None or isinstance(adapter, CaveAdapter):
            return adapter
        try:
            trusted = auth.trusts(url)
        except CaveAuthError as error:
            _warn_once(str(error))
            return adapter
        return _InstalledAdapter(auth, wrapped=adapter) if trusted else adapter

    return get_adapter


def _find_token(host: str) -> str | None:
    """The token for a host as CloudVolume and cloud-files ask for it."""
    auth = _auth
    try:
        return auth.token_for(f"https://{host}") if auth else None
    except CaveAuthError as error:
        _warn_once(str(error))
        return None


class _InstalledAdapter(CaveAdapter):
    """A :class:`CaveAdapter` that raises nothing that plain ``requests`` would not."""

    def _outgoing(self, request: PreparedRequest, proxies: Any) -> PreparedRequest:
        try:
            return super()._outgoing(request, proxies)
        except CaveAuthError as error:
            _warn_once(str(error))
            return request


@functools.lru_cache(maxsize=256)
def _warn_once(message: str) -> None:
    logger.warning("A request goes out unsigned. %s", message)
