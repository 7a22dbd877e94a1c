"""A server that is not CAVE: it returns the request that it received, or redirects."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import flask

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def foreign_app() -> flask.Flask:
    """Return the application: `/redirect?to=URL&code=302`, and an echo everywhere else."""
    app = flask.Flask("foreign")
    app.add_url_rule("/redirect", view_func=redirect, methods=METHODS)
    app.add_url_rule("/", view_func=echo, methods=METHODS)
    app.add_url_rule("/<path:path>", view_func=echo, methods=METHODS)
    return app


def echo(**_: Any) -> flask.Response:
    """Answer 200 with the request in JSON."""
    request = flask.request
    body = request.get_data()
    answer: dict[str, Any] = {
        "method": request.method,
        "url": request.url,
        "headers": request.environ["sandbox.headers"],
        "cookies": request.cookies,
        "length": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "user_id": getattr(flask.g, "auth_user", {}).get("id"),
    }
    try:
        answer["body"] = body.decode()
    except UnicodeDecodeError:
        answer["body_base64"] = base64.b64encode(body).decode()
    return flask.jsonify(answer)


def redirect() -> flask.Response:
    """Redirect to the URL in `to` with the status in `code` (302)."""
    status = flask.request.args.get("code", 302, type=int)
    return flask.Response(status=status, headers={"Location": flask.request.args["to"]})
