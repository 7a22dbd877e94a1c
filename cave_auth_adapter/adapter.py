"""The second door: an adapter that signs each request that passes through it, hop by hop.

https://requests.readthedocs.io/en/latest/user/advanced/#transport-adapters
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import Any

from requests import PreparedRequest, RequestException, Response, Session
from requests.adapters import BaseAdapter, HTTPAdapter

from .auth import MAX_REPEATS, PROGRAMMATIC, CaveAuth, checked
from .errors import CaveAuthError
from .headers import bearer_token, copy_of, has, sign, unsign
from .origins import Origin

_OWN = ("auth", "wrapped")


class CaveAdapter(HTTPAdapter):
    """An :class:`requests.adapters.HTTPAdapter` that signs requests to trusted CAVE hosts.

    It decides for each request by the request's own URL, never by the prefix on which it is
    mounted: ``requests`` matches prefixes by their first characters, and
    ``https://global.daf-apis.com.evil.example`` begins with ``https://global.daf-apis.com``.
    It signs a copy, so that no token is left in ``response.request``, and it leaves alone a
    request that comes with an ``Authorization`` header of the caller's own.

    :param auth: what to sign with; None: a :class:`CaveAuth` without arguments.
    :param wrapped: an adapter that does the sending, with its own retries and connection pool;
        None: this adapter sends by itself.
    :param http_adapter_options: the arguments of :class:`requests.adapters.HTTPAdapter`
        (``max_retries``, ``pool_maxsize`` and so on) for an adapter without ``wrapped``.
    :raises TypeError: if both ``wrapped`` and options are given.

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
            raise TypeError(f"{names}: give these to the wrapped adapter, which does the sending")
        if not isinstance(wrapped, BaseAdapter | None):
            raise TypeError("wrapped is an adapter, such as requests.adapters.HTTPAdapter()")
        self.auth = checked(auth)
        self.wrapped = wrapped
        if wrapped is None:
            super().__init__(**http_adapter_options)

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send a request, signed if its host may see a token and one is known.

        :param request: the request that the caller made; it is not changed.
        :param args: those of :meth:`requests.adapters.HTTPAdapter.send`, or whatever the wrapped
            adapter takes.
        :param kwargs: the same.
        :raises CaveAuthError: before anything is sent, if a token or secret file is bad.
        """
        proxies = args[4] if len(args) > 4 else kwargs.get("proxies")
        send = self._sender(request, proxies)
        origin = self._origin(request, proxies)
        if origin is None:
            return send(request, *args, **kwargs)
        sent = self._outgoing(request, origin)
        try:
            response = send(sent, *args, **kwargs)
            for _ in range(MAX_REPEATS):
                if (response.status_code or 0) < 300:  # None: adapters for tests may leave it out
                    break
                again = self._again(sent, origin, response)
                if again is None:
                    break
                sent = again
                response = send(sent, *args, **kwargs)
            if getattr(response, "request", None) is sent:  # as a rule
                response.request = request
            else:
                self._cover(response, origin, sent, request)
            if (response.status_code or 0) >= 300:
                stream = args[0] if args else kwargs.get("stream")
                self.auth.conclude(sent, origin, response, bool(stream))
        except RequestException as error:
            for trace in (error, error.response):
                self._cover(trace, origin, sent, request)
            raise
        return response

    def _cover(
        self,
        trace: Response | RequestException | None,
        origin: Origin,
        sent: PreparedRequest,
        request: PreparedRequest,
    ) -> None:
        """Let an answer or an error tell of the request that the caller made, not of ours."""
        told = getattr(trace, "request", None)
        if trace is None or told is None or sent is request:
            return
        if told is sent:
            trace.request = request
        elif self.auth.our_token(told, origin):  # an adapter that makes a copy of its own
            trace.request = copy_of(told)
            unsign(trace.request.headers)

    def close(self) -> None:
        """Close the adapter that sends."""
        if self.wrapped is None:
            super().close()
        else:
            self.wrapped.close()

    def _sender(self, request: PreparedRequest, proxies: Any) -> Callable[..., Response]:
        """The method that sends."""
        return super().send if self.wrapped is None else self.wrapped.send

    def _origin(self, request: PreparedRequest, proxies: Any) -> Origin | None:
        """The origin of a request that may be signed; None where it may not."""
        return self.auth.origin_for(request.url or "", proxies)

    def _outgoing(self, request: PreparedRequest, origin: Origin) -> PreparedRequest:
        """What goes over the wire to a trusted host: a signed copy, or the request itself."""
        if has(request.headers, "Authorization") and not self._is_ours(request, origin):
            return request
        token = self.auth.credentials.token_for(origin)
        outgoing = copy_of(request)
        if token:
            sign(outgoing.headers, token.value)
        else:
            outgoing.headers.setdefault(*PROGRAMMATIC)
        return outgoing

    def _is_ours(self, request: PreparedRequest, origin: Origin) -> bool:
        """Whether the token in a request's header is one that we gave out for its host."""
        if bearer_token(request.headers) is None:
            return False
        # It may be in a file that we have not read yet. If that file is bad, that is no reason to
        # fail a request which brings its own header.
        with contextlib.suppress(CaveAuthError):
            self.auth.credentials.token_for(origin)
        return self.auth.our_token(request, origin) is not None

    def _again(
        self, sent: PreparedRequest, origin: Origin, response: Response
    ) -> PreparedRequest | None:
        """What to send once more after a refusal; None: the answer stands."""
        return self.auth.sign_again(sent, origin, response)

    # With a wrapped adapter, this one is a skin: what it does not have is the wrapped adapter's
    # (its pool manager, say), and a setting changed on it is changed there.

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
    """Wrap every adapter that a session has, so that each signs; return the session.

    The adapters keep their retries, their connection pools and the prefixes they are mounted on.
    Mounting again changes nothing, or replaces ``auth`` where one is given.

    :param session: any :class:`requests.Session`.
    :param auth: what to sign with; None: a :class:`CaveAuth` without arguments.

    >>> import requests
    >>> session = mount(requests.Session())
    >>> session.get_adapter("https://global.daf-apis.com/")
    CaveAdapter(CaveAuth(), wrapped=<requests.adapters.HTTPAdapter object at 0x...>)
    """
    new_auth = checked(auth)
    skins: dict[int, BaseAdapter] = {}  # one adapter mounted on two prefixes stays one
    for prefix, adapter in session.adapters.items():
        if not isinstance(adapter, CaveAdapter):
            skin: BaseAdapter = CaveAdapter(new_auth, wrapped=adapter)
        else:
            skin = adapter if auth is None else _with_auth(adapter, auth)
        session.adapters[prefix] = skins.setdefault(id(adapter), skin)
    return session


def _with_auth(adapter: CaveAdapter, auth: CaveAuth) -> CaveAdapter:
    """The same adapter with another auth; another session may have the old one."""
    twin = copy.copy(adapter)
    twin.auth = auth
    if isinstance(twin.wrapped, CaveAdapter):
        twin.wrapped = _with_auth(twin.wrapped, auth)
    return twin
