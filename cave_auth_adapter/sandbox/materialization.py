"""The materialization service, under `/materialize`: one version of one small table, "cells"."""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable
from typing import Any

import flask
from flask.typing import ResponseReturnValue

from .catalog import TABLES
from .protect import auth_required, requires_permission
from .volume import CELLS, LAYERS, RESOLUTION, centre, node_id, supervoxels

VERSION = 1
TABLE = "cells"
TIME = "2025-01-01T00:00:00.000000"

FILTERS: dict[str, Callable[[Any, Any], bool]] = {
    "filter_in_dict": lambda value, given: value in given,
    "filter_notin_dict": lambda value, given: value not in given,
    "filter_equal_dict": operator.eq,
    "filter_greater_dict": operator.gt,
    "filter_less_dict": operator.lt,
    "filter_greater_equal_dict": operator.ge,
    "filter_less_equal_dict": operator.le,
}

materialization = flask.Blueprint("materialization", __name__, url_prefix="/materialize")
may_view = requires_permission("view", table_arg="datastack", resource_namespace="datastack")


def rows() -> list[dict[str, Any]]:
    """Return the table: where the middle of each cell is, and of which kind the cell is."""
    found = []
    for number, kind in zip(CELLS, ("ball", "bar"), strict=True):
        x, y, z = centre(number)
        found.append(
            {
                "id": number,
                "valid": True,
                "cell_type": kind,
                "pt_position_x": x,
                "pt_position_y": y,
                "pt_position_z": z,
                "pt_supervoxel_id": int(supervoxels()[x, y, z]),
                "pt_root_id": node_id(LAYERS, (0, 0, 0), number),
            }
        )
    return found


def _version(datastack: str) -> dict[str, Any]:
    return {
        "id": 1,
        "version": VERSION,
        "datastack": datastack,
        "valid": True,
        "status": "AVAILABLE",
        "is_merged": True,
        "time_stamp": TIME,
        "expires_on": "2125-01-01T00:00:00.000000",
    }


def _metadata(datastack: str) -> dict[str, Any]:
    return {
        "id": 1,
        "table_name": TABLE,
        "aligned_volume": next(iter(TABLES["aligned_volume"])),
        "annotation_table": TABLE,
        "schema": "cell_type_local",
        "schema_type": "cell_type_local",
        "datastack": datastack,
        "description": "The two cells of the sandbox.",
        "reference_table": None,
        "valid": True,
        "created": TIME,
        "last_modified": TIME,
        **{f"voxel_resolution_{axis}": n for axis, n in zip("xyz", RESOLUTION, strict=True)},
    }


@materialization.get("/version")
@auth_required
def version() -> ResponseReturnValue:
    return flask.jsonify("5.13.0")


@materialization.get("/api/versions")
@auth_required
def api_versions() -> ResponseReturnValue:
    return flask.jsonify([2, 3])


@materialization.get("/api/v<int:_>/datastack/<datastack>/versions")
@may_view
def versions(_: int, datastack: str) -> ResponseReturnValue:
    return flask.jsonify([VERSION])


@materialization.get("/api/v<int:_>/datastack/<datastack>/metadata")
@may_view
def versions_metadata(_: int, datastack: str) -> ResponseReturnValue:
    return flask.jsonify([_version(datastack)])


@materialization.get(f"/api/v<int:_>/datastack/<datastack>/version/{VERSION}")
@may_view
def version_metadata(_: int, datastack: str) -> ResponseReturnValue:
    return flask.jsonify(_version(datastack))


@materialization.get(f"/api/v<int:_>/datastack/<datastack>/version/{VERSION}/tables")
@may_view
def tables(_: int, datastack: str) -> ResponseReturnValue:
    return flask.jsonify([TABLE])


@materialization.get(f"/api/v<int:_>/datastack/<datastack>/version/{VERSION}/tables/metadata")
@may_view
def tables_metadata(_: int, datastack: str) -> ResponseReturnValue:
    return flask.jsonify([_metadata(datastack)])


@materialization.get(
    f"/api/v<int:_>/datastack/<datastack>/version/{VERSION}/table/{TABLE}/metadata"
)
@may_view
def table_metadata(_: int, datastack: str) -> ResponseReturnValue:
    return flask.jsonify(_metadata(datastack))


@materialization.get(f"/api/v<int:_>/datastack/<datastack>/version/{VERSION}/table/{TABLE}/count")
@may_view
def table_count(_: int, datastack: str) -> ResponseReturnValue:
    return flask.jsonify(len(rows()))


@materialization.post(f"/api/v<int:_>/datastack/<datastack>/version/{VERSION}/table/{TABLE}/query")
@may_view
def query(_: int, datastack: str) -> ResponseReturnValue:
    return _answer(flask.request.get_json())


@materialization.post("/api/v<int:_>/datastack/<datastack>/query")
@may_view
def live_query(_: int, datastack: str) -> ResponseReturnValue:
    asked = flask.request.get_json()
    return _answer(asked) if asked.get("table") == TABLE else ("Table not found", 404)


def _answer(asked: dict[str, Any]) -> ResponseReturnValue:
    filters = {kind: given for kind, given in asked.items() if kind.startswith("filter_")}
    if unknown := set(filters) - set(FILTERS):
        return f"The sandbox has no {', '.join(sorted(unknown))}", 501
    try:
        found = [row for row in rows() if _passes(row, filters)]
    except KeyError as column:
        return f"No such column: {column}", 400
    start = asked.get("offset") or 0
    found = _columns(found[start : start + (asked.get("limit") or len(found))], asked)
    if flask.request.args.get("arrow_format") == "True":
        return _arrow(found)
    return flask.jsonify(found)


def _passes(row: dict[str, Any], filters: dict[str, Any]) -> bool:
    return all(
        FILTERS[kind](row[column], value)
        for kind, given in filters.items()
        for column, value in given.get(TABLE, {}).items()
    )


def _columns(found: list[dict[str, Any]], asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Leave the columns that were asked for; "pt_position" is three."""
    wanted = asked.get("select_columns") or asked.get("select_column_map")
    if isinstance(wanted, dict):
        wanted = wanted.get(TABLE)
    if not wanted:
        return found
    return [
        {name: row[name] for name in row if name in wanted or name[:-2] in wanted} for row in found
    ]


def _arrow(found: list[dict[str, Any]]) -> ResponseReturnValue:
    try:
        pyarrow: Any = importlib.import_module("pyarrow")  # CAVEclient, which asks for it, has it
    except ModuleNotFoundError:
        return "The sandbox needs pyarrow for this: pip install pyarrow", 501
    table = pyarrow.Table.from_pylist(found)
    stream = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    headers = {
        "Content-Type": "data.arrow",
        "dataframe_resolution": ", ".join(map(str, RESOLUTION)),
    }
    return flask.Response(stream.getvalue().to_pybytes(), headers=headers)
