"""The auth service's API for users: who they are, their tokens, their terms of service.

It is under `/auth/api/v1` and `/sticky_auth/api/v1`, and answers as middle_auth 2.30 does
(neuroglancer_auth/server.py).
"""

from __future__ import annotations

import secrets
from typing import Any

import flask
from flask.typing import ResponseReturnValue

from .accounts import Accounts, User
from .authadmin import admin_api
from .catalog import TERMS
from .identity import IdentityProvider
from .loginpages import pages
from .privileges import accounts, me, requires_some_admin
from .protect import auth_required, protected_app

LONGEST_DESCRIPTION = 120  # of an API key; the real database has no room for more

api = flask.Blueprint("api", __name__)


def auth_app(known: Accounts, identity: IdentityProvider) -> flask.Flask:
    """Return the application."""
    app = protected_app(
        "auth",
        ACCOUNTS=known,
        IDENTITY=identity,
        DOWN=False,
        # All servers may share one host name, and cookies know no ports (RFC 6265, 8.5): the path
        # keeps those of the auth service from the other servers.
        SESSION_COOKIE_PATH="/sticky_auth",
        SESSION_COOKIE_SECURE=True,
    )
    app.secret_key = secrets.token_bytes(16)
    for name in ("auth", "sticky_auth"):
        for blueprint in (api, admin_api):
            prefix = f"/{name}/api/v1"
            app.register_blueprint(blueprint, name=f"{name}_{blueprint.name}", url_prefix=prefix)
    app.register_blueprint(pages, url_prefix="/sticky_auth")
    app.before_request(_refuse_while_down)
    return app


def _refuse_while_down() -> None:
    if flask.current_app.config["DOWN"]:
        flask.abort(503)


# --- Users ---------------------------------------------------------------------------------


def _ids() -> list[int]:
    return [int(each) for each in flask.request.args.get("id", "").split(",") if each.isdigit()]


def _tells_all() -> bool:
    return bool(flask.g.auth_user["admin"] or flask.g.auth_user["service_account"])


def _people() -> list[User]:
    return [user for user in accounts().users() if not user.service_account]


@api.get("/user/me")
@auth_required
def user_me() -> ResponseReturnValue:
    return flask.jsonify(me().profile(full=True))


@api.get("/user/cache")
@auth_required
def user_cache() -> ResponseReturnValue:
    return flask.jsonify(flask.g.auth_user)


@api.get("/my_permissions")
@auth_required
def my_permissions() -> ResponseReturnValue:
    return flask.jsonify(me().cache())


@api.get("/user/<int:user_id>")
@auth_required
def user_by_id(user_id: int) -> ResponseReturnValue:
    for user in accounts().users([user_id]):
        if not user.service_account:
            return flask.jsonify(user.profile(full=_tells_all()))
    return "User doesn't exist", 404


@api.get("/user")
@requires_some_admin
def users() -> ResponseReturnValue:
    asked = flask.request.args
    if asked.get("id"):
        found = accounts().users(_ids())
    elif "email" in asked or "name" in asked:
        wanted = {field: asked.get(field, "").lower() for field in ("email", "name")}
        found = [
            user
            for user in _people()
            if all(text in getattr(user, field).lower() for field, text in wanted.items())
        ]
    else:
        return flask.jsonify(_page_of_users(asked))
    return flask.jsonify([user.profile(full=_tells_all()) for user in found])


def _page_of_users(asked: Any) -> dict[str, Any]:
    page, size = asked.get("page", 1, type=int), asked.get("per_page", 20, type=int)
    if page < 1 or size < 1:
        flask.abort(404)
    people = _people()
    shown = people[(page - 1) * size : page * size]
    return {
        "pages": -(-len(people) // size),
        "items": [user.profile(full=False) for user in shown],
    }


@api.get("/username")
@auth_required
def usernames() -> ResponseReturnValue:
    known = accounts().users(_ids())
    return flask.jsonify([{"id": user.id, "name": user.name} for user in known])


# --- Tokens --------------------------------------------------------------------------------


@api.get("/user/token")
@auth_required
def list_keys() -> ResponseReturnValue:
    return flask.jsonify([key.listing() for key in accounts().keys(me().id)])


@api.get("/create_token")
@api.post("/user/token")
@auth_required
def create_key() -> ResponseReturnValue:
    details = flask.request.get_json(silent=True) or {}
    description = details.get("description")
    if len(description or "") > LONGEST_DESCRIPTION:
        # The key is known to Redis before the database refuses it: it works, and nobody sees it.
        accounts().create_token(me(), listed=False)
        flask.abort(500)
    return flask.jsonify(accounts().create_token(me(), description=description).token)


@api.delete("/user/token/<int:key_id>")
@auth_required
def delete_key(key_id: int) -> ResponseReturnValue:
    for key in accounts().keys(me().id):
        if key.id == key_id:
            accounts().remove(key.token)
            return flask.jsonify("success")
    return "Token doesn't exist", 404


@api.get("/user/token/<token>/ttl")
@auth_required
def token_ttl(token: str) -> ResponseReturnValue:
    found = accounts().find(token)
    if found and found.user.id == me().id:
        return flask.jsonify(found.ttl)
    message = "Token does not exist or is not asociated with your account."  # the real spelling
    return flask.jsonify({"error": "invalid_token", "message": message}), 404


@api.get("/refresh_token")
@auth_required
def refresh_token() -> ResponseReturnValue:
    keys = accounts().keys(me().id)
    if len(keys) > 1:
        return "Refresh token does not work for accounts with more than one API Key", 400
    for key in keys:
        accounts().remove(key.token)
    return flask.jsonify(accounts().create_token(me()).token)


@api.get("/logout")
@auth_required
def logout() -> ResponseReturnValue:
    token = flask.g.auth_token
    if any(key.token == token for key in accounts().keys(me().id)):
        return "Can't logout an API Key.", 422
    accounts().remove(token)
    return flask.jsonify("success")


@api.get("/logout_all")
@auth_required
def logout_all() -> ResponseReturnValue:
    for token in accounts().tokens(me().id):
        if token.expires is not None:
            accounts().remove(token.token)
    return flask.jsonify("success")


# --- Terms of service ----------------------------------------------------------------------


@api.get("/user/missing")
@auth_required
def missing_terms() -> ResponseReturnValue:
    return flask.jsonify(me().missing_terms())


def _terms(number: int) -> dict[str, Any]:
    return {"id": number, "name": TERMS[number].name, "text": TERMS[number].text}


@api.get("/tos")
@auth_required
def all_terms() -> ResponseReturnValue:
    part = flask.request.args.get("name", "").lower()
    return flask.jsonify([_terms(each) for each in TERMS if part in TERMS[each].name.lower()])


@api.get("/tos/<int:number>")
@requires_some_admin
def terms_by_id(number: int) -> ResponseReturnValue:
    return flask.jsonify(_terms(number)) if number in TERMS else ("tos doesn't exist", 404)
