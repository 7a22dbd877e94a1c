"""The methods of ``Session`` that :func:`install` wraps, and the adapter that signs for it."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

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
    """What a request is signed with, and whether it may share connections."""

    auth: CaveAuth
    keep_alive: bool


class Patches:
    """The wrapped methods, put in place and taken out again together.

    :param in_effect: the identity of this thread or task; None: nothing is installed. A wrapper
        that is left behind because other code has wrapped it in turn then does nothing.
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
        """Have what goes to a trusted host signed, by a skin around the session's adapter."""

        def get_adapter(session: Session, url: str) -> BaseAdapter:
            adapter, now = original(session, url), self._in_effect()
            if now is None or isinstance(adapter, CaveAdapter):
                return adapter
            # Only its answers tell where a session leads that follows redirects by itself.
            notes = type(session).resolve_redirects is not Session.resolve_redirects
            origin = now.auth.hosts.trusted_origin(url)
            if origin is None and not notes:
                log_decision(now.auth, url, None, None)
                return adapter
            return _InstalledAdapter(now, adapter, self._in_effect, (url, origin), notes)

        return get_adapter

    def _follow(self, original: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """Note who led to each hop; sessions override ``rebuild_auth`` without calling super."""

        def resolve_redirects(
            session: Session, resp: Response, req: PreparedRequest, *args: Any, **kwargs: Any
        ) -> Iterator[Any]:
            hops, now = original(session, resp, req, *args, **kwargs), self._in_effect()
            if now is None or not _may_lead_on(session, resp):
                return hops
            return follow(now.auth, hops, resp, req, kwargs)

        return resolve_redirects

    def _strip(self, original: Callable[..., None]) -> Callable[..., None]:
        """Take tokens off a hop that are not for where it goes."""

        def rebuild_auth(session: Session, prepared_request: Any, response: Response) -> None:
            original(session, prepared_request, response)
            if (now := self._in_effect()) is not None:
                strip_hop(now.auth, prepared_request, response)

        return rebuild_auth


def _may_lead_on(session: Session, response: Response) -> bool:
    """Whether an answer leads to another request, or tells of a host that is not trusted."""
    status, find = response.status_code, session.get_redirect_target
    # A class or a session may have one of its own, which finds a redirect in any answer.
    if status == 200 and getattr(find, "__func__", None) is _GET_REDIRECT_TARGET:
        return False  # no redirect; to look for its header takes longer
    return status == 401 or bool(find(response))


_GET_REDIRECT_TARGET = Session.get_redirect_target


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


class _InstalledAdapter(CaveAdapter):
    """A skin around a session's adapter for one request.

    It raises nothing that plain ``requests`` would not, and has the request sent over a connection
    that is kept alive where that is the same for the session.
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
        auth, keep_alive = now
        # One is made for each request, of things that were looked at before.
        vars(self).update(
            auth=auth,
            wrapped=wrapped,
            _keep_alive=keep_alive,
            _in_effect=in_effect,
            _decided=decided,
            _notes=notes,
        )

    def _origin(self, request: PreparedRequest, options: Options) -> Origin | None:
        url, origin = self._decided
        if request.url != url:
            return super()._origin(request, options)
        return unproxied(origin, url, options)

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        if self._in_effect() is None:  # someone kept this adapter, and we were uninstalled
            return self.wrapped.send(request, *args, **kwargs)
        return super().send(request, *args, **kwargs)

    def _transmit(
        self, request: PreparedRequest, token: Token | None, args: Any, kwargs: Any
    ) -> Response:
        if not self._keep_alive:
            return self.wrapped.send(request, *args, **kwargs)
        return keepalive.send(self.wrapped, request, token, *args, **kwargs)

    def _note(self, *answer: Any) -> None:
        """Leave that to the wrapped ``resolve_redirects``, if the session calls it."""
        if self._notes:
            super()._note(*answer)
