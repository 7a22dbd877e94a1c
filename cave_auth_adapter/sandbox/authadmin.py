"""The auth service's API for admins and for other services: groups, datasets, tables.

It answers as middle_auth 2.30 does (neuroglancer_auth/server.py).
"""

from __future__ import annotations

import flask
from flask.typing import ResponseReturnValue

from .accounts import User
from .catalog import PUBLIC_ROOTS, TABLES
from .privileges import accounts, requires_dataset_admin, requires_group_admin, requires_some_admin
from .protect import auth_required, requires_superadmin

admin_api = flask.Blueprint("admin_api", __name__)


# --- Groups and datasets -------------------------------------------------------------------


def _members(group_id: int) -> list[User]:
    group = accounts().groups().get(group_id)
    return [user for user in accounts().users() if group in user.groups]


@admin_api.get("/group")
@requires_some_admin
def groups() -> ResponseReturnValue:
    part = flask.request.args.get("name", "").lower()
    named = accounts().groups().items()
    found = [{"id": number, "name": name} for number, name in named if part in name.lower()]
    return flask.jsonify(found)


@admin_api.get("/group/<int:group_id>")
@requires_some_admin
def group_by_id(group_id: int) -> ResponseReturnValue:
    name = accounts().groups().get(group_id)
    return flask.jsonify({"id": group_id, "name": name}) if name else ("Group doesn't exist", 404)


@admin_api.get("/group/<int:group_id>/user")
@requires_some_admin
def group_users(group_id: int) -> ResponseReturnValue:
    group = accounts().groups().get(group_id)
    return flask.jsonify(
        [
            {"id": user.id, "name": user.name, "admin": group in user.groups_admin}
            for user in _members(group_id)
            if not user.service_account
        ]
    )


@admin_api.get("/group/<int:group_id>/service_account")
@requires_some_admin
def group_service_accounts(group_id: int) -> ResponseReturnValue:
    programs = [user for user in _members(group_id) if user.service_account]
    return flask.jsonify([{"id": user.id, "name": user.name} for user in programs])


@admin_api.post("/group/<int:group_id>/user")
@requires_group_admin
def add_to_group(group_id: int) -> ResponseReturnValue:
    asked = (flask.request.get_json(silent=True) or {}).get("user_id")
    group = accounts().groups().get(group_id)
    found = accounts().users([asked]) if isinstance(asked, int) else []
    if not found or group is None:
        return "Missing user_id.", 400
    if group in found[0].groups:
        return "User already belongs to group.", 422
    found[0].groups.append(group)
    return flask.jsonify("success")


@admin_api.get("/dataset/<int:dataset_id>/admin")
@requires_dataset_admin
def dataset_admins(dataset_id: int) -> ResponseReturnValue:
    return flask.jsonify(
        [
            {"id": user.id, "name": user.name}
            for user in accounts().users()
            if dataset_id in [each["id"] for each in user.profile(full=True)["admin_datasets"]]
        ]
    )


# --- Service accounts ----------------------------------------------------------------------


@admin_api.get("/service_account")
@requires_some_admin
def service_accounts() -> ResponseReturnValue:
    programs = [user for user in accounts().users() if user.service_account]
    return flask.jsonify([user.profile(full=False) for user in programs])


@admin_api.get("/service_account/<int:number>")
@requires_superadmin
def service_account(number: int) -> ResponseReturnValue:
    for user in accounts().users([number]):
        if user.service_account:
            return flask.jsonify(user.profile(full=True))
    return "Service account doesn't exist", 404


# --- What other services ask ---------------------------------------------------------------


@admin_api.get("/user/<int:user_id>/permissions")
@requires_some_admin
def user_permissions(user_id: int) -> ResponseReturnValue:
    found = accounts().users([user_id])
    if not found or found[0].service_account:
        return "User doesn't exist", 404
    return flask.jsonify(found[0].cache())


@admin_api.get("/service/<service>/table/<table>/dataset")
@auth_required
def dataset_of_table(service: str, table: str) -> ResponseReturnValue:
    dataset = TABLES.get(service, {}).get(table)
    if dataset:
        return flask.jsonify(dataset)
    return "No dataset for given service and table names", 404


@admin_api.get("/table/<table>/has_public")
@auth_required
def has_public(table: str) -> ResponseReturnValue:
    return flask.jsonify(bool(PUBLIC_ROOTS.get(table)))


@admin_api.get("/table/<table>/get_public_roots")
@auth_required
def public_roots(table: str) -> ResponseReturnValue:
    return flask.jsonify(sorted(PUBLIC_ROOTS.get(table, ())))


@admin_api.get("/table/<table>/root/<int:root>/is_public")
@auth_required
def is_public(table: str, root: int) -> ResponseReturnValue:
    return flask.jsonify(root in PUBLIC_ROOTS.get(table, ()))


@admin_api.post("/table/<table>/root_all_public")
@auth_required
def root_all_public(table: str) -> ResponseReturnValue:
    roots = flask.request.get_json(silent=True)
    if not isinstance(roots, list) or not roots:
        return flask.jsonify({"error": "missing_root_ids"}), 400
    return flask.jsonify(set(roots) <= PUBLIC_ROOTS.get(table, set()))
