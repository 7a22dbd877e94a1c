"""A server whose first answer a test chooses, in place of the network."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import requests
import urllib3
from requests.adapters import BaseAdapter

CAVE = "https://cave.example.org"
HOSTS = ["cave.example.org"]


class Server(BaseAdapter):
    """Gives the first request one answer and the others 200, and records the requests."""

    def __init__(self, **answer: Any):
        super().__init__()
        self.answer = answer
        self.arrived: list[tuple[str, dict[str, str | bytes]]] = []

    def send(self, request: Any, **_: Any) -> requests.Response:
        self.arrived.append((request.url or "", dict(request.headers)))
        answer = self.answer if len(self.arrived) == 1 else {}
        response: Any = requests.Response()
        response.status_code = answer.get("status", 200)
        response.headers.update(answer.get("headers", {}))
        body = answer.get("body", b"")
        response.raw = urllib3.HTTPResponse(
            body=io.BytesIO(body) if isinstance(body, bytes) else body, preload_content=False
        )
        response.url, response.request, response.connection = request.url, request, self
        return response

    def close(self) -> None:
        pass


Through = Callable[..., requests.Session]
