"""Wrap the methods of ``Session`` for :func:`install`, with an adapter that signs."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter

from .adapter import CaveAdapter
from .exchange import log_decision
from .redirects import follow, strip_hop
from .standin import Identity, StandIn


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
            if type(adapter) is StandIn:  # of another session, and mounted on this
                adapter = adapter.wrapped
            if now is None or isinstance(adapter, CaveAdapter):
                return adapter
            # If a session follows redirects by itself, only the adapter sees where they lead.
            notes = type(session).resolve_redirects is not Session.resolve_redirects
            origin = now.auth.hosts.trusted_origin(url)
            if origin is None and not notes:
                log_decision(now.auth, url, None, None)
                return adapter
            return StandIn(now, adapter, self._in_effect, (url, origin), notes)

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
