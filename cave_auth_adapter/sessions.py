"""Wrap the methods of ``Session`` for :func:`install`, with an adapter that signs."""

from __future__ import annotations

import copy
import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, SupportsIndex

from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter

from . import keepalive
from .adapter import CaveAdapter
from .auth import CaveAuth
from .exchange import Options, log_decision, unproxied
from .origins import Origin
from .redirects import follow, strip_hop
from .tokens import Token


class Identity(NamedTuple):
    """The auth that signs a request, and whether the request may share connections."""

    auth: CaveAuth
    keep_alive: bool


class Patches:
    """The wrapped methods, which are installed and removed together.

    :param in_effect: returns the identity of this thread or task, or None if nothing is installed.
        A wrapper stays if other code has wrapped it again; it does nothing then.
    """

    def __init__(self, in_effect: Callable[[], Identity | None]):
        self._in_effect = in_effect
        self._patches = (
            _Patch("get_adapter", self._sign),
            _Patch("resolve_redirects", self._follow),
            _Patch("rebuild_auth", self._strip),
        )

    def apply(self) -> None:
        for patch in self._patches:
            patch.apply()

    def remove(self) -> None:
        for patch in self._patches:
            patch.remove()

    def _sign(self, original: Callable[[Session, str], BaseAdapter]) -> Callable[..., BaseAdapter]:
        """Sign requests to trusted hosts, with a proxy of the session's adapter."""

        def get_adapter(session: Session, url: str) -> BaseAdapter:
            adapter, now = original(session, url), self._in_effect()
            if isinstance(adapter, _InstalledAdapter):  # of another session, and mounted on this
                adapter = adapter.wrapped
            if now is None or isinstance(adapter, CaveAdapter):
                return adapter
            # If a session follows redirects by itself, only the adapter sees where they lead.
            notes = type(session).resolve_redirects is not Session.resolve_redirects
            origin = now.auth.hosts.trusted_origin(url)
            if origin is None and not notes:
                log_decision(now.auth, url, None, None)
                return adapter
            return _InstalledAdapter(now, adapter, self._in_effect, (url, origin), notes)

        return get_adapter

    def _follow(self, original: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """Note which server led to each hop, even if a session overrides ``rebuild_auth``."""

        def resolve_redirects(
            session: Session, resp: Response, req: PreparedRequest, *args: Any, **kwargs: Any
        ) -> Iterator[Any]:
            hops = original(session, resp, req, *args, **kwargs)
            if not _may_lead_on(session, resp) or (now := self._in_effect()) is None:
                return hops
            settings = {**dict(zip(_SETTINGS, args, strict=False)), **kwargs}
            return follow(now.auth, hops, resp, req, settings)

        return resolve_redirects

    def _strip(self, original: Callable[..., None]) -> Callable[..., None]:
        """Remove tokens from a hop that do not belong to its host."""

        def rebuild_auth(session: Session, prepared_request: Any, response: Response) -> None:
            original(session, prepared_request, response)
            if (now := self._in_effect()) is not None:
                strip_hop(now.auth, prepared_request, response)

        return rebuild_auth


_SETTINGS = ("stream", "timeout", "verify", "cert", "proxies")  # of Session.resolve_redirects


def _may_lead_on(session: Session, response: Response) -> bool:
    """Whether an answer leads to another request, or comes from a CAVE host that is not trusted."""
    status, find = response.status_code, session.get_redirect_target
    # A class or a session may override the method, and find a redirect in any answer.
    if status == 200 and getattr(find, "__func__", None) is _GET_REDIRECT_TARGET:
        return False  # not a redirect; this is faster than looking for the header
    return status == 401 or bool(find(response))


_GET_REDIRECT_TARGET = Session.get_redirect_target


class _Patch:
    """A method of requests that is wrapped while we are installed."""

    def __init__(self, name: str, wrap: Callable[[Any], Any]):
        # requests.Session may have been replaced by a subclass (requests_cache.install_cache).
        # Patch the class itself, so that its other sessions are signed, too.
        self._owner = next(owner for owner in Session.__mro__ if name in vars(owner))
        self._name = name
        self._wrap = wrap
        # Our wrapper -> what it wraps. If other code wraps it again, it stays and does nothing; it
        # is on top again when that code removes its wrapper.
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


class _InstalledAdapter(CaveAdapter):
    """A proxy of a session's adapter for one request, which passes for the adapter itself.

    It raises only what plain ``requests`` would raise, and sends the request over a shared
    connection if that makes no difference to the session. If it is kept for other requests, it
    signs them with the identity of their time and thread.
    """

    wrapped: BaseAdapter
    _keep_alive: bool
    _lenient = True

    def __init__(
        self,
        now: Identity,
        wrapped: BaseAdapter,
        in_effect: Callable[[], Identity | None],
        decided: tuple[str, Origin | None],
        notes: bool,
    ):
        # Set directly, because one is made for each request, and the arguments were checked before.
        own = vars(self)
        own["auth"], own["_keep_alive"] = now
        own["wrapped"], own["_in_effect"] = wrapped, in_effect
        own["_decided"], own["_notes"] = decided, notes

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        now = self._in_effect()
        if now is None:  # the adapter was kept, and we were uninstalled
            return self.wrapped.send(request, *args, **kwargs)
        if now.auth is self.auth:
            return super().send(request, *args, **kwargs)
        renewed = _InstalledAdapter(now, self.wrapped, self._in_effect, ("", None), self._notes)
        return renewed.send(request, *args, **kwargs)

    def _origin(self, request: PreparedRequest, options: Options) -> Origin | None:
        url, origin = self._decided
        if request.url != url:
            return super()._origin(request, options)
        return unproxied(origin, url, options)

    def _transmit(
        self, request: PreparedRequest, token: Token | None, args: Any, kwargs: Any
    ) -> Response:
        if not self._keep_alive:
            return self.wrapped.send(request, *args, **kwargs)
        return keepalive.send(self.wrapped, request, token, args, kwargs)

    def _note(self, *answer: Any) -> None:
        """Note it here only if the session does not call the wrapped ``resolve_redirects``."""
        if self._notes and self._in_effect() is not None:
            super()._note(*answer)

    # Other code may compare, copy and pickle what get_adapter() returns.

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self.wrapped)  # for isinstance(); type() returns the real one

    def __eq__(self, other: object) -> bool:
        return bool(self.wrapped == getattr(other, "wrapped", other))

    def __hash__(self) -> int:
        return hash(self.wrapped)

    def __copy__(self) -> BaseAdapter:
        return copy.copy(self.wrapped)

    def __deepcopy__(self, memo: dict[int, Any]) -> BaseAdapter:
        return copy.deepcopy(self.wrapped, memo)

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        return self.wrapped.__reduce_ex__(protocol)
