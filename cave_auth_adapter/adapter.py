"""``CaveAdapter``, a transport adapter that signs each request that it sends, hop by hop.

https://requests.readthedocs.io/en/latest/user/advanced/#transport-adapters
"""

from __future__ import annotations

import copy
from collections.abc import MutableMapping
from typing import Any

from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter, HTTPAdapter

from .asked import note_answer, trail_of
from .auth import CaveAuth, checked
from .exchange import Exchange, Options, is_direct, log_decision, origin_of
from .origins import Origin
from .refusals import warn_of_stranger
from .tokens import Token

METHODS = ("send", "close")  # other code may wrap them, and call the former ones
_OWN = ("auth", "wrapped", *METHODS)


class CaveAdapter(HTTPAdapter):
    """An :class:`requests.adapters.HTTPAdapter` that signs requests to trusted CAVE hosts.

    It decides by the URL of each request, not by the prefix on which it is mounted. ``requests``
    compares only the first characters, and ``https://global.daf-apis.com.evil.example`` begins
    with ``https://global.daf-apis.com``.

    It signs a copy, so that no token is left in ``response.request``. It does not change a request
    that has an ``Authorization`` header of its own.

    If you mount it only on the prefix of a CAVE host, it can't see the redirects of other hosts,
    and signs a request that another host led to. :func:`mount` wraps all adapters of a session,
    so that such a request is sent unsigned.

    :param auth: signs the requests; None: a :class:`CaveAuth` without arguments.
    :param wrapped: an adapter that sends the requests, with its own retries and connection pool;
        None: this adapter sends them itself.
    :param http_adapter_options: the arguments of :class:`requests.adapters.HTTPAdapter`
        (``max_retries``, ``pool_maxsize`` and so on) for an adapter without ``wrapped``.
    :raises TypeError: if both ``wrapped`` and options are given, or one has the wrong type.

    >>> import requests
    >>> session = requests.Session()
    >>> session.mount("https://global.daf-apis.com", CaveAdapter(max_retries=3))
    """

    def __init__(
        self,
        auth: CaveAuth | None = None,
        *,
        wrapped: BaseAdapter | None = None,
        **http_adapter_options: Any,
    ):
        if wrapped is not None and http_adapter_options:
            names = ", ".join(sorted(http_adapter_options))
            raise TypeError(f"{names}: pass these to the wrapped adapter, which sends the requests")
        if not isinstance(wrapped, BaseAdapter | None):
            raise TypeError("wrapped must be an adapter, such as requests.adapters.HTTPAdapter()")
        self.auth = checked(auth)
        self.wrapped = _own(wrapped)
        if wrapped is None:
            super().__init__(**http_adapter_options)

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send a request, signed if its host may see a token and one is known.

        :param request: the caller's request; it is not changed.
        :param args: the arguments of :meth:`requests.adapters.HTTPAdapter.send`, or of the wrapped
            adapter.
        :param kwargs: the same.
        :raises CaveAuthError: before anything is sent, if a token or secret file is invalid.
        """
        return self._exchange(request, args, kwargs)

    def _exchange(self, request: PreparedRequest, args: Any, kwargs: Any) -> Response:
        options, trail = self._options(*args, **kwargs), trail_of(request)
        origin, led = self._origin(request, options), trail is not None and trail.leads(request)
        if origin is None:
            log_decision(self.auth, request.url or "", None, None)
            response = self._transmit(request, None, args, kwargs)
        elif trail is not None and trail.is_signed_by_other(self.auth) and not led:
            response = self._transmit(request, None, args, kwargs)
        else:
            exchange = Exchange.begin(self.auth, request, origin, options, led, self._lenient)
            response = exchange.run(lambda sent: self._transmit(sent, exchange.token, args, kwargs))
        self._note(request, response, origin, options)
        return response

    def _origin(self, request: PreparedRequest, options: Options) -> Origin | None:
        """The origin of a request that may be signed; None if it may not."""
        return origin_of(self.auth, request.url or "", options)

    _lenient = False  # a broken token source is an error

    def _transmit(
        self, request: PreparedRequest, token: Token | None, args: Any, kwargs: Any
    ) -> Response:
        """Send a request as it is.

        :param token: the token that this plugin added to it.
        """
        send = super().send if self.wrapped is None else self.wrapped.send
        return send(request, *args, **kwargs)

    def _note(
        self, request: PreparedRequest, response: Response, origin: Origin | None, options: Options
    ) -> None:
        """Note which server led where, for the hops of a redirect."""
        if origin is None:
            warn_of_stranger(response)
        note_answer(request, response, origin, self.auth.hosts.trusted_origin, options.verify)

    def _options(
        self,
        stream: Any = False,
        timeout: Any = None,
        verify: object = True,
        cert: Any = None,
        proxies: Any = None,
        *rest: Any,
        **others: Any,
    ) -> Options:
        """The options of an exchange, from the arguments of ``HTTPAdapter.send``."""
        wrapped = self.wrapped
        direct = is_direct(self, CaveAdapter) if wrapped is None else is_direct(wrapped)
        return Options(bool(stream), verify, proxies, direct)

    def close(self) -> None:
        """Close the adapter that sends the requests."""
        if self.wrapped is None:
            super().close()
        else:
            self.wrapped.close()

    # With a wrapped adapter, this one is a proxy: other attributes (the pool manager, say) are read
    # from the wrapped adapter, and set there.

    def __getattr__(self, name: str) -> Any:
        wrapped = self.__dict__.get("wrapped")
        if wrapped is None or name.startswith("__"):  # copy looks for __deepcopy__ on objects
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(wrapped, name)

    def __setattr__(self, name: str, value: Any) -> None:
        wrapped = self.__dict__.get("wrapped")
        if wrapped is None or name in _OWN:
            super().__setattr__(name, value)
        else:
            setattr(wrapped, name, value)

    def __delattr__(self, name: str) -> None:
        wrapped = self.__dict__.get("wrapped")
        if wrapped is None or name in self.__dict__:
            super().__delattr__(name)
        else:
            delattr(wrapped, name)

    def __getstate__(self) -> dict[str, Any]:
        own = {"auth": self.auth, "wrapped": self.wrapped}
        return own if self.wrapped is not None else {**super().__getstate__(), **own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(auth=state["auth"], wrapped=state["wrapped"])
        if self.wrapped is None:
            super().__setstate__(state)

    def __repr__(self) -> str:
        wrapped = "" if self.wrapped is None else f", wrapped={self.wrapped!r}"
        return f"{type(self).__name__}({self.auth!r}{wrapped})"


def mount(session: Session, auth: CaveAuth | None = None) -> Session:
    """Wrap every adapter of a session, so that each signs; return the session.

    The adapters keep their retries, connection pools and prefixes. Mounting again replaces ``auth``
    if you pass one, and otherwise changes nothing. An adapter that you mount on the session later
    does not sign, so call ``mount`` last.

    :param session: any :class:`requests.Session`.
    :param auth: signs the requests; None: a :class:`CaveAuth` without arguments.
    :raises TypeError: if ``session`` is not a session, or ``auth`` not a :class:`CaveAuth`.

    >>> import requests
    >>> session = mount(requests.Session())
    >>> session.get_adapter("https://global.daf-apis.com/")
    CaveAdapter(CaveAuth(), wrapped=<requests.adapters.HTTPAdapter object at 0x...>)
    """
    if not isinstance(getattr(session, "adapters", None), MutableMapping):
        raise TypeError(
            f"mount() takes a session, not {type(session).__name__}: use mount(requests.Session())."
        )
    new_auth = checked(auth)
    skins: dict[int, BaseAdapter] = {}  # an adapter mounted on two prefixes stays one adapter
    for prefix, adapter in session.adapters.items():
        own = _own(adapter)
        if not isinstance(own, CaveAdapter):
            skin: BaseAdapter = CaveAdapter(new_auth, wrapped=own)
        else:
            skin = own if auth is None else _with_auth(own, auth)
        session.adapters[prefix] = skins.setdefault(id(own), skin)
    return session


def _own(adapter: Any) -> Any:
    """The adapter itself, where ``install()`` stands in for it and would sign for another auth."""
    return adapter.wrapped if isinstance(adapter, CaveAdapter) and adapter._lenient else adapter


def _with_auth(adapter: CaveAdapter, auth: CaveAuth) -> CaveAdapter:
    """A copy of an adapter with another auth: another session may use the old one."""
    twin = copy.copy(adapter)
    twin.auth = auth
    if isinstance(twin.wrapped, CaveAdapter):
        twin.wrapped = _with_auth(twin.wrapped, auth)
    return twin
