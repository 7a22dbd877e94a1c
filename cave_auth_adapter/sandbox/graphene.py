"""The chunked graph's services: `/segmentation` (which supervoxels are a cell) and `/meshing`."""

from __future__ import annotations

import gzip
from itertools import pairwise
from typing import Any

import flask
import numpy as np
from flask.typing import ResponseReturnValue

from .protect import requires_permission
from .volume import (
    CHUNK,
    LAYERS,
    SPATIAL_BITS,
    fragment,
    layer_of,
    parents,
    position_of,
    volume_info,
)

CREATED = 1577836800.0  # when all nodes were made: the oldest timestamp, in seconds

# Table -> the protocol of its bulk data. CloudVolume signs requests to the second only.
TABLES = {
    "sandbox": "https",
    "sandbox_middleauth": "middleauth+https",
    "sandbox_terms": "https",
    "sandbox_public": "https",
}

segmentation = flask.Blueprint("segmentation", __name__, url_prefix="/segmentation")
meshing = flask.Blueprint("meshing", __name__, url_prefix="/meshing")
may_view = requires_permission("view", table_arg="table")
may_view_table = requires_permission("view", table_arg="table", public_table_key="table")
may_view_node = requires_permission(
    "view", table_arg="table", public_table_key="table", public_node_key="node"
)
may_view_nodes = requires_permission(
    "view", table_arg="table", public_table_key="table", public_node_json_key="node_ids"
)


def ancestor(node: int, stop_layer: int = LAYERS) -> int:
    """Return the node above at that layer; an unknown one is its own ancestor."""
    while node in parents() and layer_of(node) < stop_layer:
        node = parents()[node]
    return node


def descendants(node: int, stop_layer: int = 1) -> list[int]:
    """Return the nodes below at that layer."""
    known = {*parents(), *parents().values()}
    at_layer = sorted(each for each in known if layer_of(each) == stop_layer)
    return [each for each in at_layer if ancestor(each, layer_of(node)) == node]


def _stop_layer(default: int) -> int:
    return flask.request.args.get("stop_layer", default, type=int)


def _within_bounds(node: int) -> bool:
    """Whether the chunk of a node touches the `bounds` asked for, "x-x_y-y_z-z" in voxels."""
    bounds = flask.request.args.get("bounds")
    if not bounds:
        return True
    ranges = [[int(edge) for edge in axis.split("-")] for axis in bounds.split("_")]
    return all(
        low < (each + 1) * CHUNK and high > each * CHUNK
        for (low, high), each in zip(ranges, position_of(node), strict=True)
    )


def _body() -> bytes:
    body = flask.request.get_data()
    return gzip.decompress(body) if flask.request.content_encoding == "gzip" else body


def _node_ids() -> list[int]:
    asked: dict[str, Any] = flask.request.get_json(force=True)
    return [int(node) for node in asked["node_ids"]]


@segmentation.get("/api/versions")
def versions() -> ResponseReturnValue:
    return flask.jsonify([0, 1])


@segmentation.get("/api/version")
def version() -> ResponseReturnValue:
    return flask.jsonify("3.0.5")


@segmentation.get("/table/<table>/info")
@may_view_table
def table_info(table: str) -> ResponseReturnValue:
    graph = {
        "chunk_size": [CHUNK, CHUNK, CHUNK],
        "cv_mip": 0,
        "n_bits_for_layer_id": 8,
        "n_layers": LAYERS,
        "spatial_bit_masks": {str(layer): bits for layer, bits in SPATIAL_BITS.items()},
    }
    return flask.jsonify(
        {
            **volume_info(),
            "app": {"supported_api_versions": [0, 1]},
            "chunks_start_at_voxel_offset": True,
            "data_dir": f"{TABLES[table]}://{flask.request.host}/volume/sandbox",
            "graph": graph,
        }
    )


@segmentation.post("/api/v1/table/<table>/roots_binary")
@may_view
def roots_binary(table: str) -> ResponseReturnValue:
    nodes = np.frombuffer(_body(), np.uint64).tolist()
    roots = [ancestor(node, _stop_layer(LAYERS)) for node in nodes]
    return flask.Response(np.array(roots, np.uint64).tobytes(), mimetype="application/octet-stream")


@segmentation.post("/api/v1/table/<table>/roots")
@may_view
def roots(table: str) -> ResponseReturnValue:
    found = [ancestor(node, _stop_layer(LAYERS)) for node in _node_ids()]
    return flask.jsonify({"root_ids": found})


@segmentation.get("/api/v1/table/<table>/node/<int:node>/root")
@may_view
def root(table: str, node: int) -> ResponseReturnValue:
    return flask.jsonify({"root_id": ancestor(node, _stop_layer(LAYERS))})


@segmentation.get("/api/v1/table/<table>/node/<int:node>/leaves")
@may_view_node
def leaves(table: str, node: int) -> ResponseReturnValue:
    below = descendants(node, _stop_layer(1))
    return flask.jsonify({"leaf_ids": [each for each in below if _within_bounds(each)]})


@segmentation.get("/api/v1/table/<table>/node/<int:node>/children")
@may_view_node
def children(table: str, node: int) -> ResponseReturnValue:
    return flask.jsonify({"children_ids": descendants(node, layer_of(node) - 1)})


@segmentation.post("/api/v1/table/<table>/is_latest_roots")
@may_view_nodes
def is_latest_roots(table: str) -> ResponseReturnValue:
    known = set(parents().values())
    latest = [node in known and layer_of(node) == LAYERS for node in _node_ids()]
    return flask.jsonify({"is_latest": latest})


@segmentation.get("/api/v1/table/<table>/valid_nodes")
@may_view
def valid_nodes(table: str) -> ResponseReturnValue:
    known = {*parents(), *parents().values()}
    return flask.jsonify({"valid_roots": [node for node in _node_ids() if node in known]})


@segmentation.get("/api/v1/table/<table>/node/<int:node>/lvl2_graph")
@may_view_node
def lvl2_graph(table: str, node: int) -> ResponseReturnValue:
    edges = [list(pair) for pair in pairwise(descendants(node, 2))]
    return flask.jsonify({"edge_graph": edges})


@segmentation.post("/api/v1/table/<table>/root_timestamps")
@may_view_nodes
def root_timestamps(table: str) -> ResponseReturnValue:
    latest = flask.request.args.get("latest") == "True"
    asked = float(flask.request.args.get("timestamp") or CREATED)
    return flask.jsonify({"timestamp": [asked if latest else CREATED for _ in _node_ids()]})


@segmentation.get("/api/v1/table/<table>/oldest_timestamp")
@may_view
def oldest_timestamp(table: str) -> ResponseReturnValue:
    return flask.jsonify({"iso": "2020-01-01T00:00:00+00:00"})


@meshing.get("/api/v1/table/<table>/manifest/<int:node>:<int:lod>")
@may_view_node
def manifest(table: str, node: int, lod: int) -> ResponseReturnValue:
    parts = [each for each in descendants(node, 2) if _within_bounds(each)]
    return flask.jsonify({"fragments": [fragment(each) for each in parts], "seg_ids": parts})
