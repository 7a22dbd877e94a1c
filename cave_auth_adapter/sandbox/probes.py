"""Addresses of the data server to test a client with: each way to refuse, to fail and to stall."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator

import flask
from flask.typing import ResponseReturnValue

from .foreign import METHODS, echo
from .protect import (
    auth_required,
    requires_group,
    requires_permission,
    requires_role,
    requires_superadmin,
    shares_a_group_with,
)
from .volume import files

probes = flask.Blueprint("probes", __name__)


@probes.get("/volume/sandbox/<path:name>")
@requires_permission("view", dataset="sandbox")
def volume(name: str) -> ResponseReturnValue:
    """A file of the precomputed volume."""
    if name not in files():
        return "Not found", 404
    kind = "application/json" if name.endswith("info") else "application/octet-stream"
    return flask.Response(files()[name], mimetype=kind)


# --- Refusals ------------------------------------------------------------------------------


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


@probes.get("/needs-role")
@requires_role("sandbox_restricted")
def needs_role() -> ResponseReturnValue:
    """Refused with `missing_role` to users who are not admins of that dataset."""
    return echo()


@probes.get("/needs-superadmin")
@requires_superadmin
def needs_superadmin() -> ResponseReturnValue:
    """Refused in plain text to users who are not admins of the deployment."""
    return echo()


@probes.get("/needs-group")
@requires_group("sandbox_insiders")
def needs_group() -> ResponseReturnValue:
    """Refused in plain text to users outside that group; the 21st time in 300 s with a 500."""
    return echo()


@probes.get("/needs-common-group/<int:user>")
@auth_required
def needs_common_group(user: int) -> ResponseReturnValue:
    """Refused to users who share no group with that one; 500 if there is no such user."""
    try:
        return echo() if shares_a_group_with(user) else ("Requires a common group", 403)
    except RuntimeError:
        flask.abort(500)


@probes.get("/needs-table")
@probes.get("/needs-table/<table_id>")
@requires_permission("view")
def needs_table(table_id: str) -> ResponseReturnValue:
    """Refused with `missing_table_id` or, if no dataset has the table, `invalid_table_id`."""
    return echo()


# --- Failures ------------------------------------------------------------------------------


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
