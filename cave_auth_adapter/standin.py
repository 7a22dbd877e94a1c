"""The adapter that a session gets under :func:`install`: its own one, with the signature added."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, SupportsIndex

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter

from . import keepalive
from .adapter import METHODS, CaveAdapter
from .auth import CaveAuth
from .exchange import Options, unproxied
from .origins import Origin
from .tokens import Token


class Identity(NamedTuple):
    """The auth that signs a request, and whether the request may share connections."""

    auth: CaveAuth
    keep_alive: bool


class StandIn(CaveAdapter):
    """Stands in for a session's adapter for one request, and passes for the adapter itself.

    It raises only what plain ``requests`` would raise, and sends the request over a shared
    connection if that makes no difference to the session. If it is kept for other requests, it
    signs them with the identity of their time and thread.
    """

    wrapped: BaseAdapter
    _keep_alive: bool
    _lenient = True
    _formers: Mapping[str, Any] = MappingProxyType({})

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
            return self._former_send(request, *args, **kwargs)
        if now.auth is self.auth:
            return self._exchange(request, args, kwargs)
        renewed = StandIn(now, self.wrapped, self._in_effect, ("", None), self._notes)
        vars(renewed)["_formers"] = self._formers
        return renewed.send(request, *args, **kwargs)

    def _origin(self, request: PreparedRequest, options: Options) -> Origin | None:
        url, origin = self._decided
        if request.url != url:
            return super()._origin(request, options)
        return unproxied(origin, url, options)

    def _transmit(
        self, request: PreparedRequest, token: Token | None, args: Any, kwargs: Any
    ) -> Response:
        if self._formers or not self._keep_alive:
            return self._former_send(request, *args, **kwargs)
        return keepalive.send(self.wrapped, request, token, args, kwargs)

    def _note(self, *answer: Any) -> None:
        """Note it here only if the session does not call the wrapped ``resolve_redirects``."""
        if self._notes and self._in_effect() is not None:
            super()._note(*answer)

    def close(self) -> None:
        self._former("close")()

    # Other code may wrap the methods of what get_adapter() returns: `send = adapter.send`, then
    # `adapter.send = mine`, which calls `send`. It changes the wrapped adapter, for later requests.
    # This one then goes on with the method that the adapter had before.

    def _former(self, name: str) -> Any:
        return self._formers.get(name) or getattr(self.wrapped, name)

    def _former_send(self, *args: Any, **kwargs: Any) -> Response:
        response: Response = self._former("send")(*args, **kwargs)
        return response

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in METHODS:
            super().__setattr__(name, value)
        elif getattr(value, "__self__", None) is self:  # it is restored, as by pytest's monkeypatch
            delattr(self, name)
        else:
            former = self._former(name)
            vars(self).update({"_formers": {name: former, **self._formers}, name: value})
            setattr(self.wrapped, name, value)

    def __delattr__(self, name: str) -> None:
        formers = {**self._formers}
        former = formers.pop(name, None)
        vars(self)["_formers"] = formers
        vars(self).pop(name, None)
        delattr(self.wrapped, name)
        if former and former != getattr(self.wrapped, name):
            setattr(self.wrapped, name, former)

    # Other code may compare, copy and pickle it, too.

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self.wrapped)  # for isinstance(); type() returns the real one

    def __eq__(self, other: object) -> bool:
        return bool(self.wrapped == (other.wrapped if type(other) is StandIn else other))

    def __hash__(self) -> int:
        return hash(self.wrapped)

    def __copy__(self) -> BaseAdapter:
        return copy.copy(self.wrapped)

    def __deepcopy__(self, memo: dict[int, Any]) -> BaseAdapter:
        return copy.deepcopy(self.wrapped, memo)

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        return self.wrapped.__reduce_ex__(protocol)
