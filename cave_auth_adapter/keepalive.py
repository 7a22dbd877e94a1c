"""One keep-alive transport per process, for sessions that live for a single call.

``requests.get`` makes a session, and with it a TCP and a TLS connection, for every call;
cloud-volume's graphene code does so for every query. A pristine default adapter can be served by
this transport instead: nothing that it was set up for is lost, because nothing was set up.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from http.client import RemoteDisconnected
from typing import Any

from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

_HOSTS = 32  # connection pools kept, one per host, port and TLS setting
_CONNECTIONS = 64  # idle connections kept per pool

# RFC 9110, section 9.2.2: these may be sent again when a connection fails under them.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
# Seconds. A firewall may have forgotten a connection that idles for long, without a word to us.
_MAX_IDLE = 30.0
# Seconds. What can't be sent again should not meet a connection that the server is about to close:
# the shortest keep-alive time-out in common use is 2 s (gunicorn).
_MAX_IDLE_UNREPEATABLE = 1.0

_CLOSED = (RemoteDisconnected, ConnectionResetError, BrokenPipeError)
_SOCKET = socket.socket

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
        # Recorders replace the one (vcrpy), guards and mocks the other (pytest-socket): they must
        # see every connection, and an open one would go around them.
        and HTTPSConnectionPool.ConnectionCls is HTTPSConnection
        and socket.socket is _SOCKET
    )


class _Connection(HTTPSConnection):
    """A connection that makes no error of it when the server has closed its idle socket.

    urllib3 notices a socket that was closed by the time it is taken from the pool. What is left
    is a server that closes it while the request is on its way; a new connection, as each request
    had without us, never meets that.
    """

    _answered_at: float | None = None  # monotonic; None: nothing was answered on this socket yet
    _repeat: Callable[[], None] | None = None

    def connect(self) -> None:
        self._answered_at = None
        super().connect()

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        # Whichever way a request comes: urllib3 1.26 sends chunked ones by request_chunked().
        self._repeat = None
        super().putrequest(*args, **kwargs)

    def request(
        self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any
    ) -> None:
        def send() -> None:
            super(_Connection, self).request(method, url, body=body, headers=headers, **options)

        is_plain = body is None or isinstance(body, (bytes, str))
        may_repeat = is_plain and method.upper() in _IDEMPOTENT
        max_idle = _MAX_IDLE if may_repeat else _MAX_IDLE_UNREPEATABLE
        self._renew(max_idle if is_plain else 0.0)
        may_repeat = may_repeat and self._answered_at is not None
        # A close may come before all of a body has left, and an answer may have come before it.
        with contextlib.suppress(*(_CLOSED if may_repeat else ())):
            send()
        self._repeat = send if may_repeat else None

    def request_chunked(self, *args: Any, **kwargs: Any) -> None:
        self._renew(0.0)  # urllib3 1.26 sends so what is read as it is sent
        super().request_chunked(*args, **kwargs)

    def _renew(self, max_idle: float) -> None:
        """Open the connection anew if it has been idle; 0: in any case, for what is read once."""
        if self._answered_at is not None and time.monotonic() - self._answered_at >= max_idle:
            self.close()
            self.connect()

    def getresponse(self) -> Any:  # urllib3 1.26 tries with an argument, and minds a TypeError
        repeat, self._repeat = self._repeat, None
        try:
            response = super().getresponse()
        except _CLOSED:
            if repeat is None:
                raise
            self.close()
            repeat()  # http.client connects anew
            response = super().getresponse()
        self._answered_at = time.monotonic()
        if response.status < 200:
            # http.client takes what comes before an answer (RFC 8297, say) for the answer. The one
            # that follows must not become that of the next request.
            self.close()
        return response


class _Idle:
    """The idle connections of a pool: what came last goes first, and nothing waits.

    The lock of a ``queue.LifoQueue`` is taken in Python code, and a Ctrl-C in that instant leaves
    it held: a pool that outlives its sessions would then stop every later request. What is done to
    a deque here is atomic without a lock.
    """

    def __init__(self, maxsize: int) -> None:
        self.queue: deque[Any] = deque()
        self._maxsize = maxsize

    def get(self, block: bool = False, timeout: float | None = None) -> Any:
        try:
            return self.queue.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, item: Any, block: bool = False, timeout: float | None = None) -> None:
        if len(self.queue) >= self._maxsize:
            raise queue.Full
        self.queue.append(item)

    def qsize(self) -> int:
        return len(self.queue)


class _ConnectionPool(HTTPSConnectionPool):
    ConnectionCls = _Connection
    QueueCls: Any = _Idle

    def _put_conn(self, conn: Any) -> None:
        # As urllib3 does it, but for its warning of a full pool: without us each session had a
        # pool of its own, and no one was warned.
        with contextlib.suppress(queue.Full):
            if (pool := self.pool) is not None:  # None: closed meanwhile
                pool.put(conn, block=False)
                return
        if conn is not None:
            conn.close()


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
    """In a forked child: the parent goes on using the sockets, and its locks may be held.

    The transport of the parent is kept, unused: urllib3 closes the connections of a pool that goes
    away, and another thread of the parent may have been at work on them.
    """
    global _transport, _lock
    _of_parents.append(_transport)
    _transport, _lock = None, threading.Lock()


_of_parents: list[KeepAliveTransport | None] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
