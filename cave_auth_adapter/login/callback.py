"""A one-shot HTTP server on 127.0.0.1 that waits for the browser to bring a login token.

This is the loopback redirect of RFC 8252, section 7.3. One thread serves all connections, each for
a few seconds and a few kilobytes, so that a client that finds the port can't block the login.
Nothing is logged, since the token is in the request line.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from ..errors import InvalidToken
from ..headers import COOKIE_NAME
from ..tokens import check_token
from . import pages
from .pages import Page
from .prompt import HiddenLine

_REQUEST_BYTES = 16 * 1024  # of request line and headers; browsers send a tenth of that
_REQUEST_SECONDS = 5.0  # for a client to send them
_ANSWER_SECONDS = 1.0  # to send a page, which fits the kernel's buffers
_CONNECTIONS = 64  # at a time; a new one then replaces the oldest
_TICK = 1.0  # seconds between two updates of the progress
_KEYBOARD = 0.05  # seconds between two looks at the keyboard on Windows, where it can't wake us


def _listen() -> socket.socket:
    """A socket that listens on a free port, which no other process can take over."""
    exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
    if exclusive is None:
        return socket.create_server(("127.0.0.1", 0), backlog=128)
    listener = socket.socket()  # on Windows, another process could take the port over otherwise
    listener.setsockopt(socket.SOL_SOCKET, exclusive, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


class Callback:
    """A browser that brought a token and is waiting for a page.

    :ivar token: well-formed, but not verified; ``repr`` does not show it.
    """

    pasted = False

    def __init__(self, token: str, connection: socket.socket):
        self.token = token
        self._connection: socket.socket | None = connection

    def show(self, page: Page) -> None:
        """Send the page that the browser shows. Only the first call has an effect."""
        connection, self._connection = self._connection, None
        if connection is not None:
            _answer(connection, page)


@dataclass(eq=False)
class _Client:
    """A connection whose request is not complete yet."""

    connection: socket.socket
    received: bytearray = field(default_factory=bytearray)
    until: float = field(default_factory=lambda: time.monotonic() + _REQUEST_SECONDS)


class CallbackServer:
    """Listens from its construction on; use it in a ``with`` block.

    >>> with CallbackServer() as server:
    ...     server.address.startswith("http://127.0.0.1:")
    True
    """

    def __init__(self) -> None:
        # No other user of this computer can guess the path. It serves as the login's "state"
        # (RFC 6749, section 10.12).
        self._path = "/" + secrets.token_urlsafe(32)
        self._socket = _listen()
        self._socket.setblocking(False)
        self._host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._clients: dict[socket.socket, _Client] = {}
        self._callback: Callback | None = None

    def __enter__(self) -> CallbackServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """The address that the browser brings the token to."""
        return f"http://{self._host}{self._path}"

    def wait(
        self,
        timeout: float,
        tick: Callable[[float], None] | None = None,
        line: HiddenLine | None = None,
    ) -> Callback | str | None:
        """Wait for a request with the right path and a token; None after the timeout.

        Any other request gets a page that says what is wrong with it.

        :param timeout: in seconds.
        :param tick: called about once a second with the seconds that are left.
        :param line: input that ends the wait, too, and is returned.
        :raises EOFError: at the end of that input.
        """
        end = time.monotonic() + timeout
        with self._listening_to(line) as step:
            while self._callback is None and (left := end - time.monotonic()) > 0:
                if tick:
                    tick(left)
                if line is not None and (entered := line.read()) is not None:
                    return entered
                self._serve(min(left, step))
        return self._callback

    @contextlib.contextmanager
    def _listening_to(self, line: HiddenLine | None) -> Iterator[float]:
        """Wake up for input; yield the longest time to sleep, in seconds."""
        descriptor = line.fileno() if line else None
        if descriptor is None:
            yield _TICK if line is None else _KEYBOARD
            return
        self._selector.register(descriptor, selectors.EVENT_READ)
        try:
            yield _TICK
        finally:
            self._selector.unregister(descriptor)

    def close(self) -> None:
        """Stop listening. A browser that is waiting gets a page."""
        with contextlib.suppress(OSError):
            if self._callback is not None:
                self._callback.show(pages.BROKEN_OFF)  # if it has shown no other
                self._serve(0)
        for client in list(self._clients.values()):
            self._drop(client)
        self._selector.close()
        self._socket.close()

    def _serve(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            if key.fileobj is self._socket:
                self._accept()
        # New connections mostly come with their request: no need to select again.
        for client in list(self._clients.values()):
            self._read(client)

    def _accept(self) -> None:
        # BlockingIOError: no more clients. Others: the client left, or we are out of descriptors.
        with contextlib.suppress(OSError):
            while True:
                if len(self._clients) >= _CONNECTIONS:
                    self._read(oldest := next(iter(self._clients.values())))
                    self._drop(oldest)
                connection, _ = self._socket.accept()
                connection.setblocking(False)
                self._clients[connection] = _Client(connection)
                self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, client: _Client) -> None:
        """Read what a client has sent, and answer it if its request is complete."""
        if client.connection not in self._clients:
            return
        try:
            data = client.connection.recv(_REQUEST_BYTES)
        except BlockingIOError:
            if time.monotonic() > client.until:
                self._end(client, pages.TOO_SLOW)
            return
        except OSError:
            data = b""
        client.received += data
        head, complete, _ = client.received.partition(b"\r\n\r\n")
        if complete and len(head) <= _REQUEST_BYTES:
            self._judge(client, head.decode("latin-1"))
        elif len(client.received) > _REQUEST_BYTES:
            self._end(client, pages.TOO_LONG)
        elif not data:
            self._drop(client)
        elif time.monotonic() > client.until:
            self._end(client, pages.TOO_SLOW)

    def _judge(self, client: _Client, head: str) -> None:
        found = self._token_or_page(head)
        if isinstance(found, Page):
            self._end(client, found)
        elif self._callback is not None:
            self._end(client, pages.USED)
        else:
            self._forget(client)
            self._callback = Callback(found, client.connection)

    def _token_or_page(self, head: str) -> str | Page:
        """The token in a request, or the page that says what is wrong with it."""
        request_line, *lines = head.split("\r\n")
        words = request_line.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return pages.NOT_HTTP
        method, target, _ = words
        headers = [
            (name.lower(), value.strip()) for name, _, value in (h.partition(":") for h in lines)
        ]
        # DNS rebinding: a web page may reach us by a name that resolves to 127.0.0.1, which is then
        # in the Host header.
        if [value for name, value in headers if name == "host"] != [self._host]:
            return pages.WRONG_HOST
        path, _, query = target.partition("?")
        if not hmac.compare_digest(path.encode("latin-1"), self._path.encode("latin-1")):
            return pages.WRONG_PATH
        if method != "GET":
            return pages.WRONG_METHOD
        return token_in_query(query) or pages.NO_TOKEN

    def _end(self, client: _Client, page: Page) -> None:
        self._forget(client)
        _answer(client.connection, page)

    def _drop(self, client: _Client) -> None:
        if client.connection in self._clients:
            self._forget(client)
            client.connection.close()

    def _forget(self, client: _Client) -> None:
        del self._clients[client.connection]
        self._selector.unregister(client.connection)


def token_in_query(query: str) -> str | None:
    """The token in the query of an address; None if there is none, or more than one.

    The auth service appends it twice, as ``middle_auth_token`` and as ``token``.

    >>> token_in_query("x=1&middle_auth_token=0123&token=0123")
    '0123'
    >>> token_in_query("middle_auth_token=0123&token=4567") is None
    True
    """
    try:
        fields = parse_qs(query, keep_blank_values=True, max_num_fields=32)
        found = {*fields.get(COOKIE_NAME, []), *fields.get("token", [])}
        return check_token(found.pop(), "the token") if len(found) == 1 else None
    except (InvalidToken, ValueError):  # ValueError: too many fields
        return None


def _answer(connection: socket.socket, page: Page) -> None:
    """Send a page and close; don't wait for a client that does not read."""
    with contextlib.suppress(OSError), connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.sendall(pages.response(page))
        connection.shutdown(socket.SHUT_WR)
        # Unread data would make close() reset the connection, and the page would be lost
        # (RFC 9112, section 9.6).
        connection.setblocking(False)
        connection.recv(_REQUEST_BYTES)
