"""Decide which requests may share a connection with other sessions, and send them.

A session costs a TCP and a TLS handshake for each host. ``requests.get`` makes a session for each
call, cloud-volume for each query, and CAVEclient for each service. So this package keeps the
connections to CAVE hosts open, and lends them to later sessions.

Sessions share connections, not pools: each keeps its own adapter, with its retries and timeouts. A
connection is lent only to a request to the same host, with the same TLS settings and the same token
from this package.
"""

from __future__ import annotations

import http.client
import operator
import os
import socket
import ssl
from typing import Any

import urllib3.connection
import urllib3.util.connection
from requests import PreparedRequest, Response, adapters
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

from ..tokens import Token
from . import connections
from .connections import Key, Terms, reset

__all__ = ["reset", "send"]

# Seconds. A request that must not be sent twice should not use a connection that the server is
# about to close: the shortest common keep-alive timeout is 2 s (gunicorn).
_MAX_IDLE_UNSAFE = 1.0
_SAFE = frozenset({"GET", "OPTIONS", "TRACE"})  # RFC 9110, section 9.2.1


def send(
    adapter: BaseAdapter,
    request: PreparedRequest,
    token: Token | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Response:
    """Send a request by a session's own adapter, over a shared connection if that is safe.

    Call it in place of ``adapter.send(request, *args, **kwargs)``. Answers and errors are the same.

    :param adapter: the session's adapter. It shares connections only if it is a plain
        ``HTTPAdapter`` without any settings except ``max_retries`` and ``pool_maxsize``.
    :param request: the signed request. Only ``https`` connections without a proxy are shared.
    :param token: the token that this package added to the request; None: share no connection.
    :param args: the other arguments of ``adapter.send``, which are passed on.
    :param kwargs: the same, by name.
    """
    lender = _lender(adapter, request, token, args, kwargs)
    if lender is None:
        return adapter.send(request, *args, **kwargs)
    connections.reap()
    # A copy that borrows connections. copy.copy() would make a new pool manager.
    twin = HTTPAdapter.__new__(HTTPAdapter)
    vars(twin).update(vars(adapter), poolmanager=lender)
    response = twin.send(request, *args, **kwargs)
    response.connection = adapter  # type: ignore[assignment]
    if response.status_code in (204, 304) or (response.status_code >= 300 and request.body):
        lender.return_to_session()
    return response


def _lender(
    adapter: BaseAdapter,
    request: PreparedRequest,
    token: Token | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> _Lender | None:
    """The lender for a request; None if the request must use a connection of its session."""
    if token is None or type(adapter) is not HTTPAdapter or not _is_pristine(adapter):
        return None
    if request.method == "HEAD":  # some servers send a body anyway
        return None
    names = ("stream", "timeout", "verify", "cert", "proxies")  # of HTTPAdapter.send
    options = {**dict(zip(names, args, strict=False)), **kwargs}
    url, proxies = request.url or "", options.get("proxies")
    tls = _tls(options.get("verify", True))
    if (
        tls is None
        or options.get("cert")
        or url[:6].lower() != "https:"
        or (proxies and select_proxy(url, proxies))
        or "close" in str(request.headers.get("Connection", "")).lower()
    ):
        return None
    return _Lender(adapter.poolmanager, token, tls, _terms(request))


def _tls(verify: object) -> tuple[Any, ...] | None:
    """The TLS settings of a connection; None for settings that are not shared.

    ``requests`` does not verify with ``None``, ``0`` or ``""``, but uses the pool of ``True`` for
    them. So only ``True``, ``False`` and strings are shared.
    """
    if verify is False:
        return (False,)
    if verify is not True and (type(verify) is not str or not verify):
        return None
    path = adapters.DEFAULT_CA_BUNDLE_PATH if verify is True else verify
    try:
        now = os.stat(path)
    except (OSError, ValueError):  # let requests raise the error
        return None
    return verify, path, now.st_dev, now.st_ino, now.st_mtime_ns, now.st_size


def _terms(request: PreparedRequest) -> Terms:
    """What kind of connection a request may have."""
    if not (request.body is None or isinstance(request.body, (bytes, str))):
        return Terms(0.0, False)  # the body can't be sent twice
    if request.method in _SAFE:
        return Terms(connections.MAX_IDLE, True)
    return Terms(_MAX_IDLE_UNSAFE, False)


class _Lender:
    """A pool manager that returns views, or the session's own pool if it has one."""

    def __init__(self, manager: PoolManager, token: Token, tls: tuple[Any, ...], terms: Terms):
        self._manager = manager
        self._token = token
        self._tls = tls
        self._terms = terms
        self._asked: tuple[Any, ...] = ()  # the arguments of the last call

    def connection_from_host(
        self,
        host: str,
        port: int | None = None,
        scheme: str = "https",
        pool_kwargs: dict[str, Any] | None = None,
    ) -> HTTPConnectionPool:
        """The pool for a request. :class:`HTTPAdapter` calls this."""
        options = tuple(sorted((pool_kwargs or {}).items()))
        key = Key(host, port or 443, self._tls, options, _route(), self._token)
        self._asked = host, port, scheme, pool_kwargs
        if self._has_own_pool(key) or not _is_known(options):
            return self._manager.connection_from_host(*self._asked)
        return connections.view(key, self._terms)

    def return_to_session(self) -> None:
        """Let the session keep connections of its own to the host from now on.

        Its last answer ended a shared connection, and the next one may do so, too.
        """
        self._manager.connection_from_host(*self._asked)

    def _has_own_pool(self, key: Key) -> bool:
        """Whether the session has a pool for the host, which may have been configured by hand."""
        pools = self._manager.pools.keys()
        return any((each.key_host, each.key_port) == (key.host, key.port) for each in pools)


def _is_known(options: tuple[tuple[str, Any], ...]) -> bool:
    """Whether urllib3's options follow from ``verify`` only."""
    # requests 2.32.0 to 2.32.4 share one context between all sessions.
    shared = getattr(adapters, "_preloaded_ssl_context", None)
    return all(
        name in ("cert_reqs", "ca_certs", "ca_cert_dir")
        or (name == "ssl_context" and value is shared)
        for name, value in options
    )


def _route() -> tuple[Any, ...]:
    """The functions that connect to a host: tests and tunnels replace them to lead it elsewhere."""
    return (
        socket.getaddrinfo,
        socket.create_connection,
        urllib3.util.connection.create_connection,
    )


# -- Whether anything differs from what requests and urllib3 ship


class _Settings:
    """The settings that a new object of requests or urllib3 has.

    :param new: such an object.
    :param free: the attributes that still work when an adapter borrows connections, or are looked
        at elsewhere.
    """

    def __init__(self, new: object, *free: str):
        own = vars(new)
        self._names = frozenset(own)
        self._values = operator.itemgetter(*(name for name in own if name not in free))
        # Dictionaries may be changed in place, and all managers share one.
        before = (dict(v) if isinstance(v, dict) else v for v in self._values(own))
        self._before = tuple(before)

    def are_those_of(self, other: object) -> bool:
        own = vars(other)
        return own.keys() == self._names and bool(self._values(own) == self._before)


def _surroundings() -> tuple[Any, ...]:
    """The classes and functions that other code replaces to record or forbid connections."""
    return (
        HTTPSConnectionPool.ConnectionCls,  # vcrpy
        socket.socket,  # pytest-socket
        getattr(socket.socket, "connect", None),  # pytest-socket, if some hosts are allowed
        ssl.SSLContext,  # truststore
        ssl.SSLSocket,
        getattr(ssl.SSLContext, "wrap_socket", None),
        urllib3.util.ssl_.SSLContext,
        urllib3.connection.create_urllib3_context,  # recipes that set ciphers
        urllib3.connection.ssl_wrap_socket,
        getattr(http.client.HTTPConnection, "response_class", None),
    )


_CLASSES = (HTTPAdapter, PoolManager, HTTPConnection, HTTPSConnection)
_NEW = HTTPAdapter()
_OF_ADAPTERS = _Settings(_NEW, "poolmanager", "proxy_manager", "max_retries", "_pool_maxsize")
_OF_MANAGERS = _Settings(_NEW.poolmanager, "pools", "connection_pool_kw")
_SURROUNDINGS = _surroundings()
_METHODS = [dict(vars(each)) for each in _CLASSES]


def _is_pristine(adapter: HTTPAdapter) -> bool:
    """Whether an adapter, and everything that it uses, is unmodified."""
    return (
        _SHAPE_IS_KNOWN
        and hasattr(adapter, "poolmanager")
        and type(adapter.poolmanager) is PoolManager
        and _OF_MANAGERS.are_those_of(manager := adapter.poolmanager)
        and type(manager.pools) is type(_NEW.poolmanager.pools)
        and {**manager.connection_pool_kw, "maxsize": 10} == _NEW.poolmanager.connection_pool_kw
        and _OF_ADAPTERS.are_those_of(adapter)
        and _surroundings() == _SURROUNDINGS
        and all(vars(each) == was for each, was in zip(_CLASSES, _METHODS, strict=True))
    )


def _shape_is_known() -> bool:
    manager = HTTPAdapter().poolmanager
    return (
        connections.shape_is_known()
        and type(manager) is PoolManager
        and manager.connection_pool_kw == {"maxsize": 10, "block": False}
        and manager.pool_classes_by_scheme
        == {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
    )


_SHAPE_IS_KNOWN = _shape_is_known()
