"""Idle connections that outlive their sessions, and when one may be used again.

They are in one list for the process. urllib3 borrows from it through a :class:`View`: a pool that
owns no connection, and whose settings never change.
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
# Seconds. A firewall forgets a connection that idles for long, and tells nobody.
MAX_IDLE = 30.0

# How the end of a connection shows when a request is sent over it, or its answer is awaited.
_CLOSED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class Key(NamedTuple):
    """Requests with equal keys may use the same connection."""

    host: str
    port: int
    tls: tuple[Any, ...]  # ``verify``, and the file that it names as it is now
    options: tuple[tuple[str, Any], ...]  # what requests makes of it for urllib3
    route: tuple[Any, ...]  # what finds the address of the host
    token: Token  # never its text: keys show in tracebacks


class Terms(NamedTuple):
    """What kind of connection a request may have."""

    max_idle: float  # seconds; 0: only a new one
    may_repeat: bool  # whether the request may be sent a second time, over a new one


# The newest comes last. Only methods that are atomic touch it: a lock could be left held by a
# Ctrl-C, a signal handler or a fork.
idle: list[_Connection] = []


def reap() -> None:
    """Close the oldest idle connections: those past their time, and those too many."""
    oldest = time.monotonic() - MAX_IDLE
    with contextlib.suppress(IndexError):  # none left
        while len(idle) > MAX_CONNECTIONS or idle[0].idle_since <= oldest:
            idle.pop(0).close()


def reset() -> None:
    """Close all idle connections; those in use are closed when their answer has been read."""
    global idle
    closing, idle = idle, []
    for connection in closing:
        connection.close()


def shape_is_known() -> bool:
    """Whether the parts that this module overrides look like those of urllib3 2.

    Those of urllib3 1.26 don't, nor those of urllib3-future, which installs under the same name.
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
    """Reads an answer, and looks before it closes whether more has come."""

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
            self.peek(1)  # returns what is there, or b"" at the end of the connection
        except ssl.SSLWantReadError:
            return True
        except (OSError, ValueError):
            return False
        return False


class _Answer(http.client.HTTPResponse):
    """An answer that knows whether its connection may be used again."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any):
        super().__init__(sock, *args, **kwargs)
        self.is_head = kwargs.get("method") == "HEAD"
        self.reader = self.fp = _Reader(self.fp.detach(), sock)

    def leaves_clean(self, has_body: bool) -> bool:
        """Whether it was read to an end that is beyond doubt, with nothing after it.

        :param has_body: of the request. A server that refuses one before it has read all of it may
            take the rest for the next request.
        """
        framing = [
            *self.headers.get_all("Content-Length", ()),
            *self.headers.get_all("Transfer-Encoding", ()),
        ]
        return (
            self.reader.found_nothing
            and not self.length
            and not self.is_head  # some servers send the body all the same
            and 200 <= self.status < (300 if has_body else 600)
            and self.status not in (204, 304)
            and self.version == 11
            and len(framing) == 1
        )


class _Connection(HTTPSConnection):
    """A connection that can outlive its session."""

    answer: _Answer | None = None  # the one that is being read
    has_body = False  # the request that it answers
    key: Key | None = None
    idle_since = 0.0  # time.monotonic()
    home: list[_Connection]  # the idle connections of the process that opened it

    def connect(self) -> None:
        self.home = idle
        super().connect()

    def response_class(  # type: ignore[override]
        self, sock: Any, *args: Any, **kwargs: Any
    ) -> _Answer:
        """Make an answer; called by http.client."""
        self.answer = _Answer(sock, *args, **kwargs)
        return self.answer


class _Queue:
    """The idle connections with one key, as the queue that urllib3 expects in a pool."""

    def __init__(self, key: Key, max_idle: float):
        self._key = key
        self._max_idle = max_idle

    def get(self, block: bool = False, timeout: float | None = None) -> _Connection:
        """Take the newest. urllib3 then looks whether the server has closed it."""
        oldest = time.monotonic() - self._max_idle
        for connection in reversed(idle[:]):
            if connection.key == self._key and connection.idle_since > oldest:
                with contextlib.suppress(ValueError):  # another thread was faster
                    idle.remove(connection)
                    return connection
        raise queue.Empty

    def put(
        self, connection: _Connection | None, block: bool = False, timeout: float | None = None
    ) -> None:
        """Keep a connection if what comes next on it can only answer its next request."""
        if connection is None or connection.sock is None:
            return
        answer, connection.answer = connection.answer, None
        if answer is None or not answer.isclosed():
            # Given back too early. The answer can still be read: the socket stays open for it.
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
    """A pool that owns no connection, for all requests with equal key and terms."""

    ConnectionCls = _Connection

    def __init__(self, key: Key, terms: Terms):
        super().__init__(key.host, key.port, maxsize=1, block=False, **dict(key.options))
        # Not before: when a pool is garbage, urllib3 closes what is in the queue it began with.
        self.pool: Any = _Queue(key, terms.max_idle)
        self._may_repeat = terms.may_repeat

    def _make_request(  # type: ignore[override]
        self, conn: Any, method: str, url: str, **options: Any
    ) -> Any:
        """Send a request, and send it again if a kept connection ended under it and it may be.

        Without this package each session opens its connection, and never meets that.
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
        """Do nothing: others use it, too."""


for _own, _theirs in ((View, HTTPSConnectionPool), (_Connection, HTTPSConnection)):
    # The messages of urllib3's errors name the class.
    _own.__name__ = _own.__qualname__ = _theirs.__name__
    _own.__module__ = _theirs.__module__


@functools.lru_cache(maxsize=256)
def view(key: Key, terms: Terms) -> View:
    """The view for a key. One that is dropped from the cache loses no connection."""
    return View(key, terms)


after_fork(reset)  # a child closes its copies of the sockets; the parent's stay open
on_reset(reset)
