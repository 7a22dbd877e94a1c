"""A server with TLS on loopback that answers whatever a test wants."""

from __future__ import annotations

import http.server
import ssl
import threading
import time
from typing import NamedTuple


class Answer(NamedTuple):
    status: int = 200
    body: bytes = b"{}"
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0  # seconds
    length: int | None = None  # the value of Content-Length; None: the real length


class StubServer:
    """A TLS server on loopback that gives one answer to every request, and records the requests."""

    def __init__(self, context: ssl.SSLContext | None):
        self.answer = Answer()
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = stub.answer_to(self.command, self.path)
                stub.requests.append((self.command, self.path, dict(self.headers)))
                time.sleep(answer.delay)
                self.send_response(answer.status)
                length = len(answer.body) if answer.length is None else answer.length
                self.send_header("Content-Length", str(length))
                self.send_header("Content-Type", answer.content_type)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: object) -> None:
                pass  # a client that hangs up, as it does after its time-out

        self._server = Server(("127.0.0.1", 0), Handler)
        scheme = "http"
        if context:
            scheme = "https"
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.address = f"{scheme}://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def answer_to(self, method: str, path: str) -> Answer:
        """The answer to a request; by default the same for all."""
        return self.answer

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
