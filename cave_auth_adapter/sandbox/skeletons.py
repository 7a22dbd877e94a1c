"""The skeleton service, under `/skeletoncache`, and the level 2 cache, under `/l2cache`.

A skeleton has a vertex in each chunk that the cell is in; edges join these in their order.
"""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from typing import Any

import flask
import numpy as np
from flask.typing import ResponseReturnValue

from .graphene import TABLES, descendants
from .graphene import may_view as may_view_table
from .protect import auth_required, requires_permission
from .volume import RESOLUTION, chunk_centre, parents

VERSIONS = [-1, 0, 1, 2, 3, 4]
RADIUS = 100.0  # nanometers

skeletons = flask.Blueprint("skeletons", __name__, url_prefix="/skeletoncache/api")
l2cache = flask.Blueprint("l2cache", __name__, url_prefix="/l2cache/api/v1")
may_view = requires_permission("view", table_arg="datastack", resource_namespace="datastack")


@skeletons.get("/version")
@auth_required
def version() -> ResponseReturnValue:
    return flask.jsonify("0.22.0")


@skeletons.get("/versions")
@auth_required
def versions() -> ResponseReturnValue:
    return flask.jsonify(VERSIONS)


@skeletons.get("/v1/<datastack>/precomputed/skeleton/info")
@skeletons.get("/v1/<datastack>/precomputed/skeleton/<int(signed=True):_>/info")
@may_view
def info(datastack: str, _: int = 4) -> ResponseReturnValue:
    return flask.jsonify(
        {"@type": "neuroglancer_skeletons", "transform": [], "vertex_attributes": []}
    )


@skeletons.post("/v1/<datastack>/precomputed/skeleton/exists")
@may_view
def exist(datastack: str) -> ResponseReturnValue:
    asked = flask.request.get_json()["root_ids"]
    return flask.jsonify({str(root): int(root) in parents().values() for root in asked})


_SKELETON = "skeleton/<int(signed=True):_>/<int:root>/<kind>"


@skeletons.get(f"/v1/<datastack>/async/get_{_SKELETON}")
@skeletons.get(f"/v1/<datastack>/precomputed/{_SKELETON}")
@may_view
def skeleton(datastack: str, _: int, root: int, kind: str) -> ResponseReturnValue:
    nodes = descendants(root, 2)
    if not nodes:
        return "Invalid root id", 400
    vertices = [_nanometers(node) for node in nodes]
    if kind == "flatdict":
        text = json.dumps(_as_dictionary(nodes, vertices))
    elif kind == "swccompressed":
        text = _as_swc(vertices)
    else:
        return f"No such format: {kind}", 400
    return flask.Response(gzip.compress(text.encode()), mimetype="application/octet-stream")


def _nanometers(node: int) -> list[float]:
    return [float(each) for each in np.multiply(chunk_centre(node), RESOLUTION)]


def _as_dictionary(nodes: list[int], vertices: list[list[float]]) -> dict[str, Any]:
    count = len(nodes)
    return {
        "meta": {},
        "root": 0,
        "vertices": vertices,
        "edges": list(pairwise(range(count))),
        "mesh_to_skel_map": list(range(count)),
        "lvl2_ids": nodes,
        "radius": [RADIUS] * count,
        "compartment": [1] + [3] * (count - 1),  # soma, dendrite (the SWC format's numbers)
    }


def _as_swc(vertices: list[list[float]]) -> str:
    return "\n".join(
        f"{number} {3 if number else 1} {x} {y} {z} {RADIUS} {number - 1}"
        for number, (x, y, z) in enumerate(vertices)
    )


# --- The level 2 cache ---------------------------------------------------------------------


@l2cache.get("/table_mapping")
@auth_required
def table_mapping() -> ResponseReturnValue:
    return flask.jsonify({name: {"l2cache_id": name, "cv_path": ""} for name in TABLES})


@l2cache.get("/attribute_metadata")
@auth_required
def attribute_metadata() -> ResponseReturnValue:
    return flask.jsonify({"rep_coord_nm": "float32", "max_dt_nm": "float32"})


@l2cache.post("/table/<table>/attributes")
@may_view_table
def attributes(table: str) -> ResponseReturnValue:
    asked = flask.request.get_json(force=True)["l2_ids"]
    found = {}
    for node in map(int, asked):
        known = node in parents()
        found[str(node)] = {"rep_coord_nm": _nanometers(node), "max_dt_nm": RADIUS} if known else {}
    return flask.jsonify(found)
