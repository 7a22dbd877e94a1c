"""The log of the requests that the servers received."""

from __future__ import annotations

import base64
import io
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from wsgiref.util import request_uri

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

LIMIT = 50_000


@dataclass(frozen=True)
class RecordedRequest:
    """A request as a server of the sandbox received it."""

    server: str
    method: str
    url: str
    headers: list[tuple[str, str]]  #: as received: every repetition, in order
    body: bytes  #: kept by `foreign_server` and `plain_server`, empty for the others

    def header(self, name: str) -> str | None:
        """Return the value of the first header of that name, or None.

        >>> request = RecordedRequest("", "GET", "/", [("Accept", "text/html")], b"")
        >>> request.header("accept")
        'text/html'
        """
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return None


class Log:
    """A bounded log, filled by the applications that it watches."""

    def __init__(self) -> None:
        self.enabled = True
        self._entries: deque[dict[str, Any]] = deque(maxlen=LIMIT)

    def watch(self, server: str, application: Application, *, body: bool = False) -> Application:
        """Wrap an application so that each request to it is logged, if wanted with its body."""

        def watched(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            if self.enabled:
                content = environ["wsgi.input"].read() if body else b""
                if body:
                    environ["wsgi.input"] = io.BytesIO(content)
                self._entries.append(_entry(server, environ, content))
            return application(environ, start_response)

        return watched

    def entries(self, server: str | None) -> list[dict[str, Any]]:
        """Return the entries of one server or of all, oldest first."""
        return [entry for entry in list(self._entries) if server in (None, entry["server"])]

    def clear(self) -> None:
        """Forget all entries."""
        self._entries.clear()


def _entry(server: str, environ: dict[str, Any], body: bytes) -> dict[str, Any]:
    return {
        "server": server,
        "method": environ["REQUEST_METHOD"],
        "url": request_uri(environ),
        "headers": environ["sandbox.headers"],
        "body": base64.b64encode(body).decode(),
    }
