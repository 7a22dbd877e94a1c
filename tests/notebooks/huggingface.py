"""A server on this computer that `hf auth login` takes for Hugging Face: RFC 8628 and `whoami`."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CODE = "ABCD-EFGH"


class HuggingFace(ThreadingHTTPServer):
    """Waits for one person, who has logged in once ``authorized`` is set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.authorized = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str) -> dict[str, Any]:
        if path == "/oauth/device":
            page = f"{self.address}/oauth/device"
            return {
                "device_code": "0123456789abcdef",
                "user_code": CODE,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={CODE}",
                "interval": 1,
                "expires_in": 900,
            }
        if path == "/oauth/token" and not self.authorized.is_set():
            return {"error": "authorization_pending"}
        if path == "/oauth/token":
            return {"access_token": "hf_oauth_0123", "expires_in": 30 * 86400}
        if path == "/api/whoami-v2":
            return {"name": "ada", "type": "user", "auth": {"type": "oauth"}}
        return {}


class _Handler(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        assert isinstance(self.server, HuggingFace)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        told = self.server.answer(self.path)
        body = json.dumps(told).encode()
        self.send_response(400 if "error" in told else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815 - the names of http.server

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def huggingface() -> Iterator[HuggingFace]:
    """Run the server."""
    with HuggingFace() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
