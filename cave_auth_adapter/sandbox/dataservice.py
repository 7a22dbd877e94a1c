"""The data server: segmentation, meshes and the volume, and endpoints to test a client with."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator

import flask
from flask.typing import ResponseReturnValue

from .foreign import METHODS, echo, redirect
from .graphene import meshing, segmentation
from .protect import auth_required, requires_group, requires_permission
from .volume import files

probes = flask.Blueprint("probes", __name__)


def data_app(service_token: str) -> flask.Flask:
    """Return the application."""
    app = flask.Flask("data")
    # The real services look their tables up with a token of their own.
    app.config.update(AUTH_TOKEN=service_token, AUTH_SERVICE_NAMESPACE="pychunkedgraph")
    for blueprint in (segmentation, meshing, probes):
        app.register_blueprint(blueprint)
    app.add_url_rule("/public", "public", echo, methods=METHODS)
    app.add_url_rule("/redirect", "redirect", redirect, methods=METHODS)
    app.add_url_rule("/echo", "echo", auth_required(echo), methods=METHODS)
    app.add_url_rule("/auth-redirect", "auth_redirect", auth_required(redirect), methods=METHODS)
    return app


@probes.get("/volume/sandbox/<path:name>")
@requires_permission("view", dataset="sandbox")
def volume(name: str) -> ResponseReturnValue:
    """A file of the precomputed volume."""
    if name not in files():
        return "Not found", 404
    kind = "application/json" if name.endswith("info") else "application/octet-stream"
    return flask.Response(files()[name], mimetype=kind)


@probes.get("/needs-permission")
@requires_permission("view", dataset="sandbox_restricted")
def needs_permission() -> ResponseReturnValue:
    """Refused with `missing_permission` to users without a permission on that dataset."""
    return echo()


@probes.get("/needs-tos")
@requires_permission("view", dataset="sandbox_terms")
def needs_terms() -> ResponseReturnValue:
    """Refused with `missing_tos` to users who did not accept terms of service 1."""
    return echo()


@probes.get("/needs-group")
@requires_group("sandbox_insiders")
def needs_group() -> ResponseReturnValue:
    """Refused in plain text to users outside that group."""
    return echo()


_attempts: Counter[str] = Counter()
_attempts_lock = threading.Lock()


@probes.route("/flaky/<name>", methods=METHODS)
@auth_required
def flaky(name: str) -> ResponseReturnValue:
    """Answer `status` (503) to the first `fail` (2) requests of that name, then an echo."""
    with _attempts_lock:
        _attempts[name] += 1
        attempt = _attempts[name]
    if attempt <= flask.request.args.get("fail", 2, type=int):
        return "Try again", flask.request.args.get("status", 503, type=int)
    return echo()


@probes.get("/slow")
@auth_required
def slow() -> ResponseReturnValue:
    """Answer after `seconds` (1)."""
    time.sleep(flask.request.args.get("seconds", 1.0, type=float))
    return echo()


@probes.get("/stream")
@auth_required
def stream() -> ResponseReturnValue:
    """Answer in `chunks` (10) pieces, without a length."""

    def pieces(count: int) -> Iterator[bytes]:
        for number in range(count):
            yield f"chunk {number}\n".encode()

    return flask.Response(pieces(flask.request.args.get("chunks", 10, type=int)))
