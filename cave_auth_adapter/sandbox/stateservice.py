"""The state service, under `/nglstate`: it keeps what Neuroglancer shows, by number, in memory."""

from __future__ import annotations

import itertools
from typing import Any

import flask
from flask.typing import ResponseReturnValue

from .protect import auth_required, protected_app

states = flask.Blueprint("states", __name__)


def state_app() -> flask.Flask:
    """Return the application, to be mounted at `/nglstate`."""
    app = protected_app("states", STATES={}, NUMBERS=itertools.count(1))
    app.register_blueprint(states)
    return app


def _known() -> dict[int, Any]:
    kept: dict[int, Any] = flask.current_app.config["STATES"]
    return kept


@states.get("/api/v1/version")
@auth_required
def version() -> ResponseReturnValue:
    return flask.jsonify("0.5.0")


@states.post("/api/v1/post")
@states.post("/post")
@auth_required
def upload() -> ResponseReturnValue:
    number = next(flask.current_app.config["NUMBERS"])
    _known()[number] = flask.request.get_json(force=True)
    return flask.jsonify(f"https://{flask.request.host}/nglstate/api/v1/{number}")


@states.get("/api/v1/<int:number>")
@states.get("/api/v1/raw/<int:number>")
@states.get("/<int:number>")
@states.get("/raw/<int:number>")
@auth_required
def state(number: int) -> ResponseReturnValue:
    return flask.jsonify(_known()[number]) if number in _known() else ("Not found", 404)
