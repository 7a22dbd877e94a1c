"""The auth service's pages for people, under `/sticky_auth`: log-in, user name, tokens, terms.

They lead where those of middle_auth 2.30 lead (neuroglancer_auth/server.py).
"""

from __future__ import annotations

import json
import secrets
from typing import Any, cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import flask
from flask.typing import ResponseReturnValue

from .accounts import LOGIN_SECONDS, Token, User
from .catalog import TERMS
from .html import page
from .identity import NEW_ACCOUNT, IdentityProvider
from .privileges import accounts, me
from .protect import auth_required

COOKIE = "middle_auth_token"

pages = flask.Blueprint("pages", __name__)


def _identity() -> IdentityProvider:
    return cast(IdentityProvider, flask.current_app.config["IDENTITY"])


# --- Logging in ----------------------------------------------------------------------------


@pages.route("/api/v1/authorize", methods=["GET", "POST"])
def authorize() -> ResponseReturnValue:
    state = secrets.token_urlsafe(16)
    flask.session.update(state=state, redirect=flask.request.args.get("redirect"))
    asked = {
        "response_type": "code",
        "client_id": "sandbox",
        "redirect_uri": _identity().callback,
        "scope": "openid email profile",
        "state": state,
    }
    address = f"{_identity().address}?{urlencode(asked)}"
    if flask.request.headers.get("X-Requested-With"):
        return address
    return flask.redirect(address)


@pages.get("/api/v1/oauth2callback")
def oauth2callback() -> ResponseReturnValue:
    asked = flask.request.args
    if "session" not in flask.request.cookies:
        return "Invalid Request, are third-party cookies enabled?", 400
    if "state" not in flask.session:
        return "Your session has expired.", 400
    if asked.get("state") != flask.session["state"]:
        return flask.jsonify("authorization error")
    if "code" not in asked:
        flask.abort(500)  # somebody said no, which the real service does not expect
    who = _identity().redeem(asked["code"])
    if who is None:
        return flask.jsonify("authorization error")
    if who != NEW_ACCOUNT:
        return _finish(_login_token(accounts().user(int(who))))
    token = _login_token(accounts().create_user("New User", groups=["default"]))
    address = "/sticky_auth/settings/username?new_account=true"
    return _with_cookie(flask.redirect(address), token)


def _login_token(user: User) -> str:
    return accounts().create_token(user, ttl=LOGIN_SECONDS).token


@pages.get("/settings/username")
@auth_required
def choose_username() -> ResponseReturnValue:
    return page(
        "Choose a user name",
        "<p>Others will see your annotations under this name.</p><form method=post>"
        "<p><input name=customName value='{{ name }}' aria-label='User name'></p>"
        "<p><button>Save</button></p></form>",
        name=me().name,
    )


@pages.post("/settings/username")
@auth_required
def username_chosen() -> ResponseReturnValue:
    if name := flask.request.form.get("customName"):
        me().name = name
    new = flask.request.args.get("new_account") == "true"
    return _finish(flask.g.auth_token, None if new else page("User settings updated", ""))


def _finish(token: str, text: str | None = None) -> ResponseReturnValue:
    """End a log-in: bring the token where its beginning said, else show the text."""
    target = flask.session.pop("redirect", None)
    if not target:
        return text or _message({"token": token, "app_urls": []})
    own = f"{flask.request.host}/sticky_auth"
    added = {COOKIE: token, "middle_auth_url": own, "token": token}
    url = urlsplit(target)
    kept = [pair for pair in parse_qsl(url.query, keep_blank_values=True) if pair[0] not in added]
    query = urlencode([*kept, *added.items()])
    return _with_cookie(flask.redirect(urlunsplit(url._replace(query=query))), token)


def _message(what: Any) -> str:
    """What the page of a viewer that opened this one is told."""
    return (
        "<script>if (window.opener) { window.opener.postMessage("
        f'{json.dumps(what)}, "*"); }}</script>'
    )


def _with_cookie(response: Any, token: str) -> ResponseReturnValue:
    # The real service sets it for its whole host, where ours has other servers (see auth_app).
    response.set_cookie(COOKIE, token, secure=True, httponly=True, path="/sticky_auth")
    return cast(ResponseReturnValue, response)


# --- Tokens --------------------------------------------------------------------------------


@pages.get("/settings/tokens")
@auth_required
def tokens_page() -> ResponseReturnValue:
    server = f"{flask.request.host}/auth"
    return page(
        "Your tokens",
        "<ul>{% for key in keys %}<li>{{ key.description or 'unknown' }} "
        "<a download='{{ name }}' href='{{ file(key) }}'>download JSON</a><br>"
        "token: <code>{{ key.token }}</code></li>{% endfor %}</ul>",
        keys=accounts().keys(me().id),
        file=lambda key: _secret_file(key, server),
        # The real page says "server/auth-cave-secret.json", of which browsers make this.
        name=server.replace("/", "_") + "-cave-secret.json",
    )


def _secret_file(key: Token, server: str) -> str:
    """The address of a file within the page that shows it."""
    said = {
        "token": key.token,
        "description": key.description or "unknown",
        "middle_auth_url": server,
    }
    return "data:application/json," + quote(json.dumps(said, indent=4))


# --- Terms of service ----------------------------------------------------------------------


@pages.get("/api/v1/tos/<int:number>/accept")
@auth_required
def terms_page(number: int) -> ResponseReturnValue:
    flask.session["redirect"] = flask.request.args.get("redirect")
    if number not in TERMS:
        return "Terms of Service does not exist", 404
    if number in me().accepted_tos:
        return _already_accepted(number)
    form = "<p>{{ text }}</p><form method=post><button>Accept</button></form>"
    return page(TERMS[number].name, form, text=TERMS[number].text)


@pages.post("/api/v1/tos/<int:number>/accept")
@auth_required
def accept_terms(number: int) -> ResponseReturnValue:
    if number not in TERMS:
        return "Terms of Service does not exist", 404
    if number in me().accepted_tos:
        return _already_accepted(number)
    me().accepted_tos.add(number)
    if flask.request.args.get("client") == "ng":
        return _message("success")
    if target := flask.request.args.get("redirect"):
        flask.session["redirect"] = target
    if not flask.session.get("redirect"):
        flask.abort(500)  # the real service has no template for its page of thanks
    return _finish(flask.g.auth_token)


def _already_accepted(number: int) -> str:
    return page(TERMS[number].name, "<p>You have already accepted the Terms of Service</p>")
