"""The sentence for each refusal: what happened, to which host, with which token, what to do next.

Nothing is looked up here. The command comes last, so that it can be copied and pasted.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from ..origins import auth_server_of, parse_origin
from ..plain import printable
from ..shells import unset
from ..tokens import Kind, Token

#: How long a service caches whose token it is, or that it is unknown.
CACHED = 300.0  # seconds


class About(NamedTuple):
    """The facts about the service that refused.

    :ivar host: as shown to people; for an unusual URL, what looks like the host.
    :ivar server: as used in commands: ``host`` or ``host:port``, or a placeholder.
    :ivar auth_server: where to log in for it, if that is known.
    :ivar token: the token that this plugin added to the request.
    :ivar led_by: the untrusted host that redirected there, if the request was not signed for that.
    """

    host: str
    server: str
    url: str
    auth_server: str | None
    is_trusted: bool
    token: Token | None
    led_by: str | None


def no_token(about: About) -> str:
    start = f"{about.host} wants a token, and the request had none."
    if about.led_by:
        return (
            f"{start} It followed a redirect from {about.led_by}, so it was not signed. "
            f"Request the address directly: {printable(about.url)}"
        )
    return f"{start} Log in: {_login(about)}"


def not_trusted(about: About) -> str:
    host, server = about.host, about.auth_server
    if about.url.startswith("http://"):
        return f"{host} wants a token, but tokens are sent over https only. Use https:// there."
    start = f"{host} wants a CAVE token, but is not trusted, so the request had none."
    if server in (None, host):
        return f"{start} If you know who runs it, log in there: cave-auth login {about.server}"
    return (
        f"{start} It says that it accepts the tokens of {server}. If you know who runs it: "
        f"cave-auth trust {about.server} --server {server}"
    )


def refused(about: About) -> str:
    token = about.token
    if token is None:
        return (
            f"{about.host} refuses the token that your code sent: it is invalid or has expired. "
            f"Remove it from your code and log in: {_login(about)}"
        )
    start = f"{about.host} refuses the token from {token.source}: it is invalid or has expired."
    kind = token.source.kind
    remedy = _REMEDIES.get(kind, "").format(unset=unset(kind))
    login = f"A login does not replace it: {remedy}" if remedy else "Log in again"
    return f"{start} {_wait(about)}{login}: {_login(about)}"


#: How to replace a token that a login does not replace.
_REMEDIES: dict[Kind, str] = {
    "token=": "give a new one there, or leave token= out and log in",
    "token_file=": "save a new one there, or leave token_file= out and log in",
    "source=": "let source= return a new one, or leave it out and log in",
    "CAVE_TOKEN": "set a new one, or {unset} and log in",
    "CAVE_TOKEN_FILE": "save a new one there, or {unset} and log in",
    "CAVE_TOKEN_COMMAND": "let it print a new one, or {unset} and log in",
}


def _wait(about: About) -> str:
    """Advice to wait, for a new token: data services cache that they don't know a token."""
    if about.host == about.auth_server or about.token is None or _is_old(about.token):
        return ""
    return "If it is new, wait up to five minutes: services remember unknown tokens that long. "


def _is_old(token: Token) -> bool:
    try:
        return time.time() - os.stat(token.source.path or "").st_mtime > CACHED
    except (OSError, ValueError):
        return False


def bad_header(about: About, scheme: str) -> str:
    what = "It held a password, from auth=, the URL or netrc. " if scheme == "basic" else ""
    return (
        f"{about.host} does not understand the Authorization header of the request: it must "
        f"be 'Bearer' and a token. {what}Remove it, and cave-auth-adapter adds one."
    )


#: Errors about the table in an address -> what is wrong.
TABLES = {
    "invalid_table_id": "the table in the address belongs to no dataset that the auth server knows",
    "missing_table_id": "the address names no table, and permission is given by table",
}


def no_table(about: About, error: str) -> str:
    return f"{about.host}: {TABLES[error]}. Your token is fine; check the address."


def terms(about: About, name: str, form: str, is_own: bool) -> str:
    """:param is_own: whether the form is on the deployment's own auth server."""
    named = f" {name!r}" if name else ""
    where = f"Accept them in a browser: {form}"
    if not form:
        where = f"Accept them on your account page: https://{about.auth_server or about.host}"
    elif not is_own:
        where = (
            "Open their form in a browser (the server chose this address: check it before you "
            f"open it): {form}"
        )
    return f"{about.host}: your account has not accepted the terms of service{named}. {where}"


def form_address(url: str) -> str:
    """The address of the form for terms of service, completed so that it works in a browser.

    Without a page to redirect to, the auth server records that the terms are accepted, but then
    answers 500. It appends the token to that address, so it must be a page of the same server.

    >>> form_address("https://global.daf-apis.com/sticky_auth/api/v1/tos/1/accept")
    'https://global.daf-apis.com/sticky_auth/api/v1/tos/1/accept?redirect=https://global...'
    """
    form = url.partition("?")[0]
    if not form.endswith("/accept"):
        return url
    return f"{form}?redirect={form.partition('/api/v1/')[0]}/settings/tokens"


def lacking(about: About, kind: str, name: str, dataset: str) -> str:
    return (
        f"{about.host}: your account lacks the {kind} {name!r} on the dataset {dataset!r}. "
        "Your token is fine; ask the dataset's administrators for access."
    )


def no_group(about: About, group: str) -> str:
    return (
        f"{about.host}: your account is not in the group {group!r}. Your token is fine; ask the "
        "group's administrators to add you."
    )


def no_privilege(about: About, privilege: str) -> str:
    return (
        f"{about.host}: only {_article(privilege)} {privilege} may do this. Your token is fine; "
        "ask the server's administrators."
    )


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _login(about: About) -> str:
    """The commands that get a token for a service and save it."""
    server = about.auth_server or about.server
    if server == about.server or _same_deployment(about):
        return f"cave-auth login {server}"
    return f"cave-auth login {server}, then cave-auth trust {about.server} --server {server}"


def _same_deployment(about: About) -> bool:
    origin = parse_origin(about.url)
    return origin is not None and auth_server_of(origin) is not None
