"""The data server: the services of the datastacks, and addresses to test a client with."""

from __future__ import annotations

import flask

from .foreign import METHODS, echo, redirect
from .graphene import meshing, segmentation
from .materialization import materialization
from .probes import probes
from .protect import auth_required, protected_app
from .skeletons import l2cache, skeletons


def data_app() -> flask.Flask:
    """Return the application."""
    app = protected_app("data", AUTH_SERVICE_NAMESPACE="pychunkedgraph")
    for blueprint in (segmentation, meshing, materialization, skeletons, l2cache, probes):
        app.register_blueprint(blueprint)
    app.add_url_rule("/public", "public", echo, methods=METHODS)
    app.add_url_rule("/redirect", "redirect", redirect, methods=METHODS)
    app.add_url_rule("/echo", "echo", auth_required(echo), methods=METHODS)
    app.add_url_rule("/auth-redirect", "auth_redirect", auth_required(redirect), methods=METHODS)
    return app
