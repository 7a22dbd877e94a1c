"""Share idle connections between the sessions of a process.

A session costs a TCP and a TLS handshake for each host. ``requests.get`` makes a session for each
call, cloud-volume one for each query, and CAVEclient one for each service. This module keeps
the connections when their sessions are done with them, and lends them to the next ones.

Connections are shared, and pools are not: each session goes on with its own adapter, its own
retries and its own time-outs. A connection is lent only to a request with an equal :class:`_Key`:
the same host, the same TLS settings, and the same token of this package.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import inspect
import io
import os
import queue
import socket
import ssl
import time
from typing import Any, NamedTuple

import urllib3.util.connection
from requests import PreparedRequest, Response, adapters
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

from .tokens import Token

_MAX_CONNECTIONS = 64  # idle ones, to all hosts together
# Seconds. A firewall forgets a connection that idles for long, and tells nobody.
_MAX_IDLE = 30.0
# Seconds. A request that must not be sent twice should not meet a connection that the server is
# about to close: the shortest keep-alive time-out in common use is 2 s (gunicorn).
_MAX_IDLE_UNSAFE = 1.0

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, section 9.2.1
# How the end of a connection shows when a request is sent over it, or its answer is awaited.
_CLOSED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


def send(
    adapter: BaseAdapter,
    request: PreparedRequest,
    token: Token | None,
    /,
    *args: Any,
    **kwargs: Any,
) -> Response:
    """Send a request by a session's own adapter, over a shared connection where that is safe.

    Call it in place of ``adapter.send(request, …)``, with what goes over the wire:

    :param adapter: the adapter that the session chose.
    :param request: the signed request.
    :param token: the token of this package that the request carries; None shares nothing.
    :param args: what the caller gave to ``adapter.send``; passed on as it is.
    :param kwargs: the same.

    Answers and errors are those of ``adapter.send``. A connection is shared only over ``https``
    without a proxy, and only if the adapter is a plain ``HTTPAdapter``: any setting of its own but
    ``max_retries`` and ``pool_maxsize`` makes it use its own connections.
    """
    lender = _lender(adapter, request, token, args, kwargs)
    if lender is None:
        return adapter.send(request, *args, **kwargs)
    # A twin that borrows. copy.copy() would make a manager, and with it pools, of its own.
    twin = HTTPAdapter.__new__(HTTPAdapter)
    vars(twin).update(vars(adapter), poolmanager=lender)
    response = twin.send(request, *args, **kwargs)
    response.connection = adapter  # type: ignore[assignment]
    return response


def reset() -> None:
    """Close all idle connections; those in use are closed when their answer has been read."""
    global _idle
    idle, _idle = _idle, []
    for connection in idle:
        connection.close()
    _view.cache_clear()


# -- Which connections are equal


class _Key(NamedTuple):
    """Requests with equal keys may use the same connection."""

    host: str
    port: int
    tls: tuple[Any, ...]  # ``verify``, and the file that it names as it is now
    options: tuple[tuple[str, Any], ...]  # what requests makes of it for urllib3
    route: tuple[Any, ...]  # what finds the address of the host
    token: Token  # never its text: keys show in tracebacks


def _lender(
    adapter: BaseAdapter,
    request: PreparedRequest,
    token: Token | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> _Lender | None:
    """What lends connections to one request; None if it has to use those of its session."""
    if token is None or type(adapter) is not HTTPAdapter or not _is_pristine(adapter):
        return None
    names = ("stream", "timeout", "verify", "cert", "proxies")  # of HTTPAdapter.send
    options = {**dict(zip(names, args, strict=False)), **kwargs}
    url, verify = request.url or "", options.get("verify", True)
    tls = _tls(verify)
    if (
        tls is None
        or options.get("cert")
        or url[:6].lower() != "https:"
        or select_proxy(url, options.get("proxies"))
        or "close" in str(request.headers.get("Connection", "")).lower()
    ):
        return None
    return _Lender(adapter.poolmanager, token, tls, *_terms(request))


def _tls(verify: object) -> tuple[Any, ...] | None:
    """What a connection was verified against; None for settings that are not shared.

    ``requests`` takes ``None``, ``0`` and ``""`` for "do not verify" and yet gives them the pool of
    ``True``, so only what is exactly ``True``, ``False`` or a string is shared.
    """
    if verify is False:
        return (False,)
    if verify is not True and (type(verify) is not str or not verify):
        return None
    path = adapters.DEFAULT_CA_BUNDLE_PATH if verify is True else verify  # type: ignore[attr-defined]
    try:
        now = os.stat(path)
    except (OSError, ValueError):  # requests says what is wrong with it
        return None
    return verify, path, now.st_dev, now.st_ino, now.st_mtime_ns, now.st_size


def _terms(request: PreparedRequest) -> tuple[float, bool]:
    """How long a connection for this request may have idled, and whether it may be sent twice."""
    if not (request.body is None or isinstance(request.body, (bytes, str))):
        return 0.0, False  # it is read as it is sent
    return (_MAX_IDLE, True) if request.method in _SAFE else (_MAX_IDLE_UNSAFE, False)


def _setup(adapter: HTTPAdapter) -> tuple[Any, ...]:
    """How an adapter was set up, but for what it keeps when it borrows."""
    own, manager = dict(vars(adapter)), adapter.poolmanager
    for name in ("poolmanager", "proxy_manager", "max_retries", "_pool_maxsize"):
        own.pop(name, None)
    of_manager = dict(vars(manager))
    pools = of_manager.pop("pools", None)
    options = dict(of_manager.pop("connection_pool_kw", {}))
    options.pop("maxsize", None)
    return own, type(manager), of_manager, type(pools), options


def _surroundings() -> tuple[Any, ...]:
    """What other code replaces in order to see, record or forbid each connection."""
    return (
        HTTPSConnectionPool.ConnectionCls,  # vcrpy
        socket.socket,  # pytest-socket
        socket.socket.connect,  # pytest-socket, with hosts that are allowed
        ssl.SSLContext,  # truststore
        ssl.SSLSocket,
        urllib3.util.ssl_.SSLContext,
    )


def _route() -> tuple[Any, ...]:
    """What finds an address: tests and tunnels replace it to lead a host elsewhere."""
    return (
        socket.getaddrinfo,
        socket.create_connection,
        urllib3.util.connection.create_connection,
    )


_CLASSES = (HTTPAdapter, PoolManager, HTTPConnection, HTTPSConnection)
_PRISTINE = HTTPAdapter()
_SETUP = _setup(_PRISTINE)
_SURROUNDINGS = _surroundings()
_METHODS = [dict(vars(each)) for each in _CLASSES]


def _is_pristine(adapter: HTTPAdapter) -> bool:
    """Whether nothing about an adapter, or under it, differs from what `requests` ships."""
    return (
        _SHAPE_IS_KNOWN
        and isinstance(getattr(adapter, "poolmanager", None), PoolManager)
        and _setup(adapter) == _SETUP
        and _surroundings() == _SURROUNDINGS
        and all(vars(each) == was for each, was in zip(_CLASSES, _METHODS, strict=True))
    )


def _shape_is_known() -> bool:
    """Whether what is overridden below has the shape of urllib3 2 and `requests`.

    urllib3 1.26 differs, and urllib3-future, which takes its name.
    """
    manager = _PRISTINE.poolmanager
    try:
        made = list(inspect.signature(HTTPSConnectionPool._make_request).parameters)
        answered = list(inspect.signature(HTTPConnection.getresponse).parameters)
    except (AttributeError, TypeError, ValueError):
        return False
    return (
        issubclass(HTTPSConnection, http.client.HTTPConnection)
        and HTTPSConnectionPool.ConnectionCls is HTTPSConnection
        and made[:6] == ["self", "conn", "method", "url", "body", "headers"]
        and answered == ["self"]
        and type(manager) is PoolManager
        and manager.connection_pool_kw == {"maxsize": 10, "block": False}
        and manager.pool_classes_by_scheme
        == {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
    )


_SHAPE_IS_KNOWN = _shape_is_known()


# -- Idle connections


class _Answer(http.client.HTTPResponse):
    """An answer that knows whether its connection may be used again."""

    def __init__(self, sock: Any, debuglevel: int = 0, method: str | None = None):
        super().__init__(sock, debuglevel, method)
        self.is_head = method == "HEAD"
        self.reader = self.fp = _Reader(self.fp.detach(), sock)

    def leaves_clean(self, has_body: bool) -> bool:
        """Whether it was read to an end that nobody can doubt, and nothing came after that.

        :param has_body: of the request. A server that refuses one early may still have to answer
            what it then reads.
        """
        framing = [
            *self.headers.get_all("Content-Length", ()),
            *self.headers.get_all("Transfer-Encoding", ()),
        ]
        return (
            self.reader.is_quiet
            and not self.is_head  # some servers send the body all the same
            and 200 <= self.status < (300 if has_body else 600)
            and self.status not in (204, 304)
            and self.version == 11
            and len(framing) == 1
        )


class _Reader(io.BufferedReader):
    """What an answer is read with. Looks, before it closes, whether more has come."""

    is_quiet = False

    def __init__(self, raw: Any, sock: Any):
        super().__init__(raw)
        self._socket = sock

    def close(self) -> None:
        if not self.closed:
            self.is_quiet = self._hears_nothing()
        super().close()

    def _hears_nothing(self) -> bool:
        """Whether buffer, TLS layer and socket are empty, and the socket is open."""
        try:
            self._socket.settimeout(0.0)  # urllib3 sets it again before each use
            self.peek(1)  # a byte, or none at the end of the connection
        except ssl.SSLWantReadError:
            return True
        except (OSError, ValueError):
            return False
        return False


class _Connection(HTTPSConnection):
    """A connection that can outlive its session."""

    answer: _Answer | None = None  # the one that is being read
    has_body = False  # the request that it answers
    key: _Key | None = None
    idle_since = 0.0  # time.monotonic()
    home: list[_Connection]  # the list of idle connections when it was opened

    def connect(self) -> None:
        self.home = _idle
        super().connect()

    def response_class(  # type: ignore[override]
        self, sock: Any, debuglevel: int = 0, method: str | None = None
    ) -> _Answer:
        """Make an answer; called by http.client."""
        self.answer = _Answer(sock, debuglevel, method)
        return self.answer


# The newest comes last. Only methods that are atomic touch it: a lock could be left held by a
# Ctrl-C, a signal handler or a fork.
_idle: list[_Connection] = []


def _reap() -> None:
    """Close the oldest idle connections: those past their time, and those too many."""
    oldest = time.monotonic() - _MAX_IDLE
    with contextlib.suppress(IndexError):  # none left
        while len(_idle) > _MAX_CONNECTIONS or _idle[0].idle_since <= oldest:
            _idle.pop(0).close()


class _Queue:
    """The idle connections with one key, as the queue that urllib3 expects in a pool."""

    def __init__(self, key: _Key, max_idle: float):
        self._key = key
        self._max_idle = max_idle

    def get(self, block: bool = False, timeout: float | None = None) -> _Connection:
        """Take the newest; urllib3 looks whether its server has closed it."""
        _reap()
        oldest = time.monotonic() - self._max_idle
        for connection in reversed(_idle[:]):
            if connection.key == self._key and connection.idle_since > oldest:
                with contextlib.suppress(ValueError):  # another thread was faster
                    _idle.remove(connection)
                    return connection
        raise queue.Empty

    def put(
        self, connection: _Connection | None, block: bool = False, timeout: float | None = None
    ) -> None:
        """Keep a connection if its next answer can only be that of its next request."""
        if connection is None or connection.sock is None:
            return
        answer, connection.answer = connection.answer, None
        if answer is None or not answer.isclosed():
            # Given back too early. The answer can still be read: the socket stays open for it.
            connection.sock.close()
        elif connection.home is not _idle or not answer.leaves_clean(connection.has_body):
            connection.close()
        else:
            connection.key, connection.idle_since = self._key, time.monotonic()
            _idle.append(connection)
            _reap()

    def qsize(self) -> int:
        return sum(connection.key == self._key for connection in _idle[:])


# -- What borrows them


class _View(HTTPSConnectionPool):
    """A pool that owns no connection. Its settings are those of its key, and never change."""

    ConnectionCls = _Connection

    def __init__(self, key: _Key, max_idle: float, may_repeat: bool):
        super().__init__(key.host, key.port, maxsize=1, block=False, **dict(key.options))
        # Only now: urllib3 closes what is in the first one when a pool is garbage.
        self.pool: Any = _Queue(key, max_idle)
        self._may_repeat = may_repeat

    def _make_request(  # type: ignore[override]
        self, conn: Any, method: str, url: str, **options: Any
    ) -> Any:
        """Send a request; once more if it may be, and a kept connection ended under it.

        A new connection, as each request had without us, never ends so.
        """
        conn.has_body = options.get("body") is not None
        is_kept = not conn.is_closed
        try:
            return super()._make_request(conn, method, url, **options)
        except _CLOSED:
            if not (is_kept and self._may_repeat):
                raise
            conn.close()
            return super()._make_request(conn, method, url, **options)


# Errors and logs name the class.
_View.__name__ = HTTPSConnectionPool.__name__
_Connection.__name__ = HTTPSConnection.__name__


@functools.lru_cache(maxsize=256)
def _view(key: _Key, max_idle: float, may_repeat: bool) -> _View:
    return _View(key, max_idle, may_repeat)


class _Lender:
    """The manager of a twin: hands out views, or the session's own pool where it has one."""

    def __init__(
        self,
        manager: PoolManager,
        token: Token,
        tls: tuple[Any, ...],
        max_idle: float,
        may_repeat: bool,
    ):
        self._manager = manager
        self._token = token
        self._tls = tls
        self._terms = max_idle, may_repeat

    def connection_from_host(
        self,
        host: str,
        port: int | None = None,
        scheme: str = "https",
        pool_kwargs: dict[str, Any] | None = None,
    ) -> HTTPConnectionPool:
        """Called by :class:`HTTPAdapter`, as it calls :class:`PoolManager`."""
        options = tuple(sorted((pool_kwargs or {}).items()))
        key = _Key(host, port or 443, self._tls, options, _route(), self._token)
        if self._has_own_pool(key) or not _is_known(options):
            return self._manager.connection_from_host(
                host, port=port, scheme=scheme, pool_kwargs=pool_kwargs
            )
        return _view(key, *self._terms)

    def _has_own_pool(self, key: _Key) -> bool:
        """Whether the session has a pool for that host, which may have been set up by hand."""
        pools = self._manager.pools.keys()
        return any((each.key_host, each.key_port) == (key.host, key.port) for each in pools)


def _is_known(options: tuple[tuple[str, Any], ...]) -> bool:
    """Whether urllib3's options are what requests makes of ``verify`` alone."""
    # requests 2.32.0 to 2.32.4 have one context for all sessions.
    shared = getattr(adapters, "_preloaded_ssl_context", None)
    return all(
        name in ("cert_reqs", "ca_certs", "ca_cert_dir")
        or (name == "ssl_context" and value is shared)
        for name, value in options
    )


def _forget() -> None:
    """In a forked child: leave the connections to the parent, which goes on using them."""
    global _idle
    _inherited.append(_idle)
    _idle = []


_inherited: list[list[_Connection]] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
