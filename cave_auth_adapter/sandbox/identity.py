"""The identity provider: a server of its own that asks who you are, as accounts.google.com does."""

from __future__ import annotations

import secrets
from urllib.parse import urlencode

import flask
from flask.typing import ResponseReturnValue

from .accounts import Accounts
from .html import page

PATH = "/o/oauth2/auth"
NEW_ACCOUNT = "new"
REFUSED = "refused"


class IdentityProvider:
    """Knows who logged in, by the code that it gave to their browser."""

    def __init__(self, accounts: Accounts, address: str, callback: str) -> None:
        self._accounts = accounts
        self._codes: dict[str, str] = {}
        self.address = address + PATH
        self.callback = callback  #: where people are sent back to: the auth service

    def app(self) -> flask.Flask:
        """Return the application that people see."""
        app = flask.Flask("identity")
        app.add_url_rule(PATH, view_func=self._ask, methods=["GET"])
        app.add_url_rule(PATH, view_func=self._answer, methods=["POST"])
        return app

    def redeem(self, code: str) -> str | None:
        """Return, once, whose code it is: the id of a user, or `NEW_ACCOUNT`."""
        return self._codes.pop(code, None)

    def _ask(self) -> ResponseReturnValue:
        if flask.request.args.get("redirect_uri") != self.callback:
            return page("Error 400: redirect_uri_mismatch", ""), 400
        return page(
            "Log in to the CAVE sandbox",
            "<p>This page stands in for the Google login.</p><form method=post>"
            "{% for user in users %}<p><button name=user value={{ user.id }}>"
            "Log in as {{ user.name }}</button></p>{% endfor %}"
            "<p><button name=user value=new>Log in with a new account</button></p>"
            "<p><button name=user value=refused>Do not log in</button></p></form>",
            users=[user for user in self._accounts.users() if not user.service_account],
        )

    def _answer(self) -> ResponseReturnValue:
        asked, who = flask.request.args, flask.request.form.get("user", "")
        known = {str(user.id) for user in self._accounts.users() if not user.service_account}
        if asked.get("redirect_uri") != self.callback:
            return page("Error 400: redirect_uri_mismatch", ""), 400
        if who not in (*known, NEW_ACCOUNT, REFUSED):
            return page("Error 400: no such user", ""), 400
        answer = {"state": asked.get("state", "")}
        if who == REFUSED:
            answer["error"] = "access_denied"
        else:
            answer["code"] = code = secrets.token_urlsafe(16)
            self._codes[code] = who
        return flask.redirect(f"{self.callback}?{urlencode(answer)}")
