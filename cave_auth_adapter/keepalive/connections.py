"""Keep idle connections, and decide when one may be used again.

The process has one lock-free list of them. urllib3 borrows from it through a :class:`View`: a pool
that owns no connection, and whose settings never change.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import inspect
import io
import queue
import ssl
import time
from typing import Any, NamedTuple

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

from ..runtime import after_fork, on_reset
from ..tokens import Token

MAX_CONNECTIONS = 64  # idle ones, to all hosts together
# Seconds. Firewalls silently drop connections that idle for long.
MAX_IDLE = 30.0

# The errors of a request over a connection that the server has closed.
_CLOSED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class Key(NamedTuple):
    """Requests with equal keys may use the same connection."""

    host: str
    port: int
    tls: tuple[Any, ...]  # ``verify``, and the state of the file that it names
    options: tuple[tuple[str, Any], ...]  # the options that requests passes to urllib3 for it
    route: tuple[Any, ...]  # the functions that connect to the host
    token: Token  # not a string: tracebacks show keys


class Terms(NamedTuple):
    """What kind of connection a request may have."""

    max_idle: float  # seconds; 0: only a new connection
    may_repeat: bool  # whether the request may be sent again, over a new connection


# The newest comes last. Use only atomic methods: a Ctrl-C, a signal handler or a fork could leave
# a lock held.
idle: list[_Connection] = []


def reap() -> None:
    """Close idle connections that are too old or too many, the oldest first."""
    oldest = time.monotonic() - MAX_IDLE
    with contextlib.suppress(IndexError):  # none left
        while len(idle) > MAX_CONNECTIONS or idle[0].idle_since <= oldest:
            idle.pop(0).close()


def reset() -> None:
    """Close all idle connections. Those in use are closed after their answer was read."""
    global idle
    closing, idle = idle, []
    for connection in closing:
        connection.close()


def shape_is_known() -> bool:
    """Whether the methods that this module overrides look like those of urllib3 2.

    urllib3 1.26 differs, and so does urllib3-future, which installs under the same name.
    """
    try:
        makes = list(inspect.signature(HTTPSConnectionPool._make_request).parameters)
        answers = list(inspect.signature(HTTPConnection.getresponse).parameters)
    except (AttributeError, TypeError, ValueError):
        return False
    return (
        issubclass(HTTPSConnection, http.client.HTTPConnection)
        and HTTPSConnectionPool.ConnectionCls is HTTPSConnection
        and HTTPSConnectionPool.QueueCls is queue.LifoQueue
        and makes[:6] == ["self", "conn", "method", "url", "body", "headers"]
        and answers == ["self"]
    )


class _Reader(io.BufferedReader):
    """Reads an answer, and checks at its end whether more data has arrived."""

    found_nothing = False

    def __init__(self, raw: Any, sock: Any):
        super().__init__(raw)
        self._socket = sock

    def close(self) -> None:
        if not self.closed:
            self.found_nothing = self._finds_nothing()
        super().close()

    def _finds_nothing(self) -> bool:
        """Whether the buffer, the TLS layer and the socket are empty, and the socket is open."""
        try:
            self._socket.settimeout(0.0)  # urllib3 sets it again before each use
            self.peek(1)  # returns the data, or b"" at the end of the connection
        except ssl.SSLWantReadError:
            return True
        except (OSError, ValueError):
            return False
        return False


class _Answer(http.client.HTTPResponse):
    """An answer that knows whether its connection may be used again."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any):
        super().__init__(sock, *args, **kwargs)
        self.reader = self.fp = _Reader(self.fp.detach(), sock)

    def leaves_clean(self, has_body: bool) -> bool:
        """Whether it was certainly read to its end, and nothing follows.

        :param has_body: whether the request has a body. A server that refuses the request before it
            has read the body may read the rest as the next request.
        """
        framing = [
            *self.headers.get_all("Content-Length", ()),
            *self.headers.get_all("Transfer-Encoding", ()),
        ]
        return (
            self.reader.found_nothing
            and not self.length
            and 200 <= self.status < (300 if has_body else 600)
            and self.status not in (204, 304)
            and self.version == 11
            and len(framing) == 1
        )


class _Connection(HTTPSConnection):
    """A connection that can outlive its session."""

    answer: _Answer | None = None  # the answer that is being read
    has_body = False  # whether its request has a body
    key: Key | None = None
    idle_since = 0.0  # time.monotonic()
    home: list[_Connection]  # the idle connections of the process that opened it

    def connect(self) -> None:
        self.home = idle
        super().connect()

    def response_class(  # type: ignore[override]
        self, sock: Any, *args: Any, **kwargs: Any
    ) -> _Answer:
        """Make an answer. http.client calls this."""
        self.answer = _Answer(sock, *args, **kwargs)
        return self.answer


class _Queue:
    """The idle connections with one key, as the queue that urllib3 expects in a pool."""

    def __init__(self, key: Key, max_idle: float):
        self._key = key
        self._max_idle = max_idle

    def get(self, block: bool = False, timeout: float | None = None) -> _Connection:
        """Take the newest. urllib3 then checks whether the server has closed it."""
        oldest = time.monotonic() - self._max_idle
        for connection in reversed(idle[:]):
            if connection.key == self._key and connection.idle_since > oldest:
                with contextlib.suppress(ValueError):  # another thread took it
                    idle.remove(connection)
                    return connection
        raise queue.Empty

    def put(
        self, connection: _Connection | None, block: bool = False, timeout: float | None = None
    ) -> None:
        """Keep a connection if it is clean: the next data on it must answer the next request."""
        if connection is None or connection.sock is None:
            return
        answer, connection.answer = connection.answer, None
        if answer is None or not answer.isclosed():
            # It was returned too early. The answer can still be read: it keeps the socket open.
            connection.sock.close()
        elif connection.home is not idle or not answer.leaves_clean(connection.has_body):
            connection.close()
        else:
            connection.key, connection.idle_since = self._key, time.monotonic()
            idle.append(connection)
            reap()

    def qsize(self) -> int:
        return sum(connection.key == self._key for connection in idle[:])


class View(HTTPSConnectionPool):
    """A pool that owns no connection, for all requests with the same key and terms."""

    ConnectionCls = _Connection

    def __init__(self, key: Key, terms: Terms):
        super().__init__(key.host, key.port, maxsize=1, block=False, **dict(key.options))
        # Set it afterwards: urllib3 closes the connections in a pool's first queue with the pool.
        self.pool: Any = _Queue(key, terms.max_idle)
        self._may_repeat = terms.may_repeat

    def _make_request(  # type: ignore[override]
        self, conn: Any, method: str, url: str, **options: Any
    ) -> Any:
        """Send a request, and repeat it if a kept connection was closed and it may be repeated.

        Without this package, each session opens a new connection, so this can't happen.
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

    def close(self) -> None:
        """Do nothing: other sessions use it, too."""


for _own, _theirs in (
    (View, HTTPSConnectionPool),
    (_Connection, HTTPSConnection),
    (_Answer, http.client.HTTPResponse),
):
    # urllib3's error messages contain the name of the class.
    _own.__name__ = _own.__qualname__ = _theirs.__name__
    _own.__module__ = _theirs.__module__


@functools.lru_cache(maxsize=256)
def view(key: Key, terms: Terms) -> View:
    """The view for a key. Views hold no connections, so the cache may drop them."""
    return View(key, terms)


after_fork(reset)  # a child closes its copies of the sockets; those of the parent stay open
on_reset(reset)
