"""One keep-alive transport per process, for sessions that live for a single call.

``requests.get`` makes a session, and with it a TCP and a TLS connection, for every call;
cloud-volume's graphene code does so for every query. A pristine default adapter can be served by
this transport instead: nothing that it was set up for is lost, because nothing was set up.
"""

from __future__ import annotations

import os
import threading
import time
from http.client import RemoteDisconnected
from typing import Any

from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

_HOSTS = 32  # connection pools kept, one per host, port and TLS setting
_CONNECTIONS = 64  # idle connections kept per pool

# RFC 9110, section 9.2.2: these may be sent again when a connection fails under them.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
# Seconds. Others may not, so they don't meet a connection that the server is about to close:
# the shortest keep-alive time-out in common use is 2 s (gunicorn).
_MAX_IDLE_OTHERS = 1.0

_lock = threading.Lock()
_transport: KeepAliveTransport | None = None


def transport() -> KeepAliveTransport:
    """The transport of this process; connections are kept per host and TLS setting."""
    global _transport
    with _lock:
        if _transport is None:
            _transport = KeepAliveTransport(pool_connections=_HOSTS, pool_maxsize=_CONNECTIONS)
        return _transport


def can_serve(adapter: BaseAdapter) -> bool:
    """Whether an adapter is as a session makes it, so that the transport can stand in for it."""
    return (
        type(adapter) is HTTPAdapter
        and _settings(adapter) == _PRISTINE
        # Recorders (vcrpy) replace this class; they must see every request.
        and HTTPSConnectionPool.ConnectionCls is HTTPSConnection
    )


class _Connection(HTTPSConnection):
    """A connection that makes no error of it when the server has closed its idle socket.

    urllib3 notices a socket that was closed by the time it is taken from the pool. What is left
    is a server that closes it while the request is on its way; a new connection, as each request
    had without us, never meets that.
    """

    _requests = 0
    _last_used = 0.0
    _repeatable: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def connect(self) -> None:
        self._requests = 0
        super().connect()

    def request(self, method: str, *args: Any, **kwargs: Any) -> None:
        now = time.monotonic()
        may_repeat = method.upper() in _IDEMPOTENT
        if self._requests and not may_repeat and now - self._last_used > _MAX_IDLE_OTHERS:
            self.close()  # http.client opens it again
            self._requests = 0
        body = kwargs.get("body")
        is_plain = body is None or isinstance(body, (bytes, str))
        reused = self._requests > 0
        self._repeatable = ((method, *args), kwargs) if reused and may_repeat and is_plain else None
        self._requests += 1
        self._last_used = now
        super().request(method, *args, **kwargs)

    def getresponse(self) -> Any:
        try:
            return super().getresponse()
        except (RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            if self._repeatable is None:
                raise
            (args, kwargs), self._repeatable = self._repeatable, None
            self.close()
            super().request(*args, **kwargs)
            return super().getresponse()


class _ConnectionPool(HTTPSConnectionPool):
    ConnectionCls = _Connection


class KeepAliveTransport(HTTPAdapter):
    """An adapter for ``https`` without a proxy that nobody's ``Session.close()`` closes."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"https": _ConnectionPool}

    def close(self) -> None:
        """Do nothing: the sessions that close it share it with others."""


def _settings(adapter: HTTPAdapter) -> dict[str, Any]:
    settings = dict(vars(adapter))
    manager = settings.pop("poolmanager", None)
    settings.pop("proxy_manager", None)  # what was connected to, not how
    settings["max_retries"] = vars(adapter.max_retries)
    settings["manager"] = type(manager), getattr(manager, "connection_pool_kw", None)
    return settings


_PRISTINE = _settings(HTTPAdapter())


def _forget() -> None:
    """In a forked child: the parent goes on using the sockets, and the lock may be held."""
    global _transport, _lock
    _transport, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
