"""The info service, under `/info`: which datastacks there are and where their services run."""

from __future__ import annotations

from typing import Any

import flask
from flask.typing import ResponseReturnValue

from .protect import auth_required, may_know, protected_app, requires_permission
from .volume import RESOLUTION

# Datastack -> table of its segmentation.
DATASTACKS = {
    "minisandbox": "sandbox",
    "minisandbox_middleauth": "sandbox_middleauth",
    "minisandbox_terms": "sandbox_terms",
}
VOLUME = "sandbox_volume"

info = flask.Blueprint("info", __name__)


def info_app(data_server: str) -> flask.Flask:
    """Return the application, to be mounted at `/info`."""
    app = protected_app("info", DATA_SERVER=data_server)
    app.register_blueprint(info)
    return app


def _aligned_volume() -> dict[str, Any]:
    return {
        "id": 1,
        "name": VOLUME,
        "display_name": "Sandbox",
        "description": "A volume of 64 x 64 x 32 voxels with two cells.",
        "image_source": f"precomputed://{flask.current_app.config['DATA_SERVER']}/volume/sandbox",
    }


@info.get("/version")
def version() -> ResponseReturnValue:
    return flask.jsonify("4.3.1")


@info.get("/api/versions")
def api_versions() -> ResponseReturnValue:
    return flask.jsonify([1, 2])


@info.get("/api/v2/datastacks")
@auth_required
def datastacks() -> ResponseReturnValue:
    return flask.jsonify(_datastacks())


def _datastacks() -> list[str]:
    """The datastacks that the caller may view, or may when the terms of service are accepted."""
    return [name for name in DATASTACKS if may_know(name)]


def _description(datastack: str) -> dict[str, Any]:
    server = flask.current_app.config["DATA_SERVER"]
    return {
        "analysis_database": None,
        "description": "A datastack of the sandbox.",
        "local_server": server,
        "segmentation_source": f"graphene://{server}/segmentation/table/{DATASTACKS[datastack]}",
        "skeleton_source": None,
        "soma_table": None,
        "synapse_table": None,
        "viewer_resolution_x": RESOLUTION[0],
        "viewer_resolution_y": RESOLUTION[1],
        "viewer_resolution_z": RESOLUTION[2],
        "viewer_site": None,
    }


@info.get("/api/v2/datastack/<datastack>")
@requires_permission("view", table_arg="datastack", ignore_tos=True)
def datastack_info(datastack: str) -> ResponseReturnValue:
    volume = {"aligned_volume": "/info/api/v2/aligned_volume/id/1"}
    return flask.jsonify({"id": 1, "name": datastack} | _description(datastack) | volume)


@info.get("/api/v2/datastack/full/<datastack>")
@requires_permission("view", table_arg="datastack")
def datastack_info_full(datastack: str) -> ResponseReturnValue:
    return flask.jsonify(_description(datastack) | {"aligned_volume": _aligned_volume()})


@info.get("/api/v2/datastack/<datastack>/image_sources")
@requires_permission("view", table_arg="datastack")
def image_sources(datastack: str) -> ResponseReturnValue:
    return flask.jsonify([_aligned_volume()])


@info.get("/api/v2/aligned_volume")
@auth_required
def aligned_volumes() -> ResponseReturnValue:
    return flask.jsonify([VOLUME])


@info.get(f"/api/v2/aligned_volume/{VOLUME}")
@info.get("/api/v2/aligned_volume/id/1")
@auth_required
def aligned_volume() -> ResponseReturnValue:
    return flask.jsonify(_aligned_volume())


@info.get(f"/api/v2/aligned_volume/{VOLUME}/datastacks")
@auth_required
def datastacks_of_volume() -> ResponseReturnValue:
    return flask.jsonify(_datastacks())
