"""The auth service: its API under `/auth` and `/sticky_auth`, and the pages for people.

Answers as middle_auth 2.30 does (neuroglancer_auth/server.py); its Google login is a page that
asks who you are.
"""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import flask
from flask.typing import ResponseReturnValue

from .accounts import LOGIN_SECONDS, TERMS, Accounts, User
from .protect import auth_required

COOKIE = "middle_auth_token"

# Which dataset decides who may see a table or datastack, in every service's namespace.
TABLES = {
    "sandbox": "sandbox",
    "sandbox_middleauth": "sandbox",
    "minisandbox": "sandbox",
    "minisandbox_middleauth": "sandbox",
}

api = flask.Blueprint("api", __name__, url_prefix="/api/v1")
pages = flask.Blueprint("pages", __name__)


def auth_app(accounts: Accounts) -> flask.Flask:
    """Return the application."""
    app = flask.Flask("auth")
    app.config["ACCOUNTS"] = accounts
    app.register_blueprint(api, name="auth", url_prefix="/auth/api/v1")
    app.register_blueprint(api, name="sticky", url_prefix="/sticky_auth/api/v1")
    app.register_blueprint(pages, name="pages", url_prefix="/sticky_auth")
    return app


def _accounts() -> Accounts:
    return cast(Accounts, flask.current_app.config["ACCOUNTS"])


def _me() -> User:
    return _accounts().user(flask.g.auth_user["id"])


def _ids() -> list[int]:
    return [int(each) for each in flask.request.args.get("id", "").split(",") if each.isdigit()]


def _need_admin() -> None:
    if not (flask.g.auth_user["admin"] or flask.g.auth_user["service_account"]):
        flask.abort(flask.Response("Requires admin privilege.", 403))


# --- The API -------------------------------------------------------------------------------


@api.get("/user/me")
@auth_required
def user_me() -> ResponseReturnValue:
    return flask.jsonify(_me().profile())


@api.get("/user/cache")
@auth_required
def user_cache() -> ResponseReturnValue:
    return flask.jsonify(flask.g.auth_user)


@api.get("/user/<int:user_id>/permissions")
@auth_required
def user_permissions(user_id: int) -> ResponseReturnValue:
    _need_admin()
    found = _accounts().users([user_id])
    return flask.jsonify(found[0].cache()) if found else ("User doesn't exist", 404)


@api.get("/user")
@auth_required
def users_by_id() -> ResponseReturnValue:
    _need_admin()
    return flask.jsonify([user.profile() for user in _accounts().users(_ids())])


@api.get("/username")
@auth_required
def usernames() -> ResponseReturnValue:
    users = _accounts().users(_ids())
    return flask.jsonify([{"id": user.id, "name": user.name} for user in users])


@api.get("/group/<int:group_id>/user")
@auth_required
def group_users(group_id: int) -> ResponseReturnValue:
    _need_admin()
    members = _accounts().members(group_id)
    return flask.jsonify([{"id": user.id, "name": user.name, "admin": False} for user in members])


@api.get("/user/token")
@auth_required
def list_keys() -> ResponseReturnValue:
    return flask.jsonify([key.listing() for key in _accounts().keys(_me().id)])


@api.get("/create_token")
@api.post("/user/token")
@auth_required
def create_key() -> ResponseReturnValue:
    details = flask.request.get_json(silent=True) or {}
    key = _accounts().create_token(_me(), description=details.get("description"))
    return flask.jsonify(key.token)


@api.delete("/user/token/<int:key_id>")
@auth_required
def delete_key(key_id: int) -> ResponseReturnValue:
    for key in _accounts().keys(_me().id):
        if key.id == key_id:
            _accounts().remove(key.token)
            return flask.jsonify("success")
    return "Token doesn't exist", 404


@api.get("/user/token/<token>/ttl")
@auth_required
def token_ttl(token: str) -> ResponseReturnValue:
    found = _accounts().find(token)
    if found and found.user.id == _me().id:
        return flask.jsonify(found.ttl)
    message = "Token does not exist or is not asociated with your account."  # the real spelling
    return flask.jsonify({"error": "invalid_token", "message": message}), 404


@api.get("/refresh_token")
@auth_required
def refresh_token() -> ResponseReturnValue:
    keys = _accounts().keys(_me().id)
    if len(keys) > 1:
        return "Refresh token does not work for accounts with more than one API Key", 400
    for key in keys:
        _accounts().remove(key.token)
    return flask.jsonify(_accounts().create_token(_me()).token)


@api.get("/logout")
@auth_required
def logout() -> ResponseReturnValue:
    token = flask.g.auth_token
    if any(key.token == token for key in _accounts().keys(_me().id)):
        return "Can't logout an API Key.", 422
    _accounts().remove(token)
    return flask.jsonify("success")


# --- What other services ask ---------------------------------------------------------------


@api.get("/service/<service>/table/<table>/dataset")
@auth_required
def dataset_of_table(service: str, table: str) -> ResponseReturnValue:
    if table in TABLES:
        return flask.jsonify(TABLES[table])
    return "No dataset for given service and table names", 404


@api.get("/table/<table>/has_public")
@auth_required
def has_public(table: str) -> ResponseReturnValue:
    return flask.jsonify(False)


@api.get("/table/<table>/root/<int:root>/is_public")
@auth_required
def is_public(table: str, root: int) -> ResponseReturnValue:
    return flask.jsonify(False)


@api.post("/table/<table>/root_all_public")
@auth_required
def root_all_public(table: str) -> ResponseReturnValue:
    return flask.jsonify(False)


# --- The pages for people ------------------------------------------------------------------


def _page(title: str, body: str, **values: Any) -> str:
    return flask.render_template_string(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{{ title }}</title>"
        "<style>body{font:1rem/1.5 sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}"
        "button,input{font:inherit;padding:.4rem .8rem;margin:.2rem 0}</style>"
        "<h1>{{ title }}</h1>" + body,
        title=title,
        **values,
    )


@pages.get("/api/v1/authorize")
def authorize() -> ResponseReturnValue:
    if flask.request.headers.get("X-Requested-With"):
        return flask.request.url, {"Content-Type": "text/html; charset=utf-8"}
    return _page(
        "Log in to the CAVE sandbox",
        "<p>This page stands in for the Google login.</p><form method=post>"
        "{% for user in users %}<p><button name=user value={{ user.id }}>"
        "Log in as {{ user.name }}</button></p>{% endfor %}"
        "<p><button name=user value=new>Log in with a new account</button></p></form>",
        users=[user for user in _accounts().users() if not user.service_account],
    )


@pages.post("/api/v1/authorize")
def logged_in() -> ResponseReturnValue:
    who = flask.request.form["user"]
    if who != "new":
        user = _accounts().user(int(who))
        return _finish(_accounts().create_token(user, ttl=LOGIN_SECONDS).token)
    user = _accounts().create_user("New User", ["default"], {}, [])
    token = _accounts().create_token(user, ttl=LOGIN_SECONDS).token
    query = urlencode({"new_account": "true", "redirect": flask.request.args.get("redirect", "")})
    return _with_cookie(flask.redirect(f"/sticky_auth/settings/username?{query}"), token)


@pages.get("/settings/username")
@auth_required
def choose_username() -> ResponseReturnValue:
    return _page(
        "Choose a user name",
        "<p>Others will see your annotations under this name.</p><form method=post>"
        "<p><input name=customName value='{{ name }}' aria-label='User name'></p>"
        "<p><button>Save</button></p></form>",
        name=_me().name,
    )


@pages.post("/settings/username")
@auth_required
def username_chosen() -> ResponseReturnValue:
    _me().name = flask.request.form["customName"]
    return _finish(flask.g.auth_token)


@pages.get("/settings/tokens")
@auth_required
def tokens_page() -> ResponseReturnValue:
    return _page(
        "Your tokens",
        "<ul>{% for key in keys %}<li><code>{{ key.token }}</code> {{ key.description or '' }}"
        "</li>{% endfor %}</ul>",
        keys=_accounts().keys(_me().id),
    )


@pages.route("/api/v1/tos/<int:tos>/accept", methods=["GET", "POST"])
@auth_required
def accept_terms(tos: int) -> ResponseReturnValue:
    if tos not in TERMS:
        return "Terms of Service does not exist", 404
    if tos in _me().accepted_tos:
        return _page(TERMS[tos], "<p>You have already accepted the Terms of Service</p>")
    if flask.request.method == "GET":
        return _page(TERMS[tos], "<p>Be kind.</p><form method=post><button>Accept</button></form>")
    _me().accepted_tos.add(tos)
    if flask.request.args.get("redirect"):
        return _finish(flask.g.auth_token)
    return _page(TERMS[tos], "<p>Thank you for accepting the Terms of Service!</p>")


def _finish(token: str) -> ResponseReturnValue:
    """End a login: bring the token to the URL in `redirect`."""
    target = flask.request.args.get("redirect")
    if not target:
        return _with_cookie(flask.make_response(_page("You are logged in", "")), token)
    own = f"{flask.request.host}/sticky_auth"
    added = {COOKIE: token, "middle_auth_url": own, "token": token}
    url = urlsplit(target)
    query = parse_qsl(url.query, keep_blank_values=True) + list(added.items())
    return _with_cookie(flask.redirect(urlunsplit(url._replace(query=urlencode(query)))), token)


def _with_cookie(response: Any, token: str) -> ResponseReturnValue:
    # The real service sets it for its whole host. Here all servers share one host name, and
    # cookies know no ports (RFC 6265, 8.5): the path keeps it from the other servers.
    response.set_cookie(COOKIE, token, secure=True, httponly=True, path="/sticky_auth")
    return cast(ResponseReturnValue, response)
