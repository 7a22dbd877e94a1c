"""The sentence for each refusal: what happened, to which host, with which token, what to do next.

Nothing is found out here. A command comes last, so that it can be copied and pasted.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from ..origins import auth_server_of, parse_origin
from ..plain import printable
from ..tokens import Kind, Token

#: How long a service remembers whom a token belongs to, or that it belongs to nobody.
CACHED = 300.0  # seconds


class About(NamedTuple):
    """The facts about the service that refused.

    :ivar host: for people; of an unusual URL, what looks like the host.
    :ivar server: for commands: ``host`` or ``host:port``, or a word for it.
    :ivar auth_server: where to log in for it, as far as anybody says.
    :ivar token: the token of ours that the request bore.
    :ivar led_by: the host whose redirect led there, if the request went unsigned for it.
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
            f"{start} A redirect from {about.led_by} led here, and such a request is not signed. "
            f"Ask for the address itself: {printable(about.url)}"
        )
    return f"{start} Log in: {_login(about)}"


def not_trusted(about: About) -> str:
    host, server = about.host, about.auth_server
    if about.url.startswith("http://"):
        return f"{host} wants a token, but tokens travel over https only. Use https:// there."
    start = f"{host} wants a CAVE token, but is not trusted, so the request had none."
    if server in (None, host):
        return f"{start} If you know who runs it, log in there: cave-auth login {about.server}"
    return (
        f"{start} It says that it takes the tokens of {server}. If you know who runs it: "
        f"cave-auth trust {about.server} --server {server}"
    )


def refused(about: About) -> str:
    token = about.token
    if token is None:
        return (
            f"{about.host} refuses the token that the request carried: it is invalid or has "
            "expired. Leave it out of your code, and the request gets the one of your login: "
            f"{_login(about)}"
        )
    start = f"{about.host} refuses the token from {token.source}: it is invalid or has expired."
    remedy = _REMEDIES.get(token.source.kind)
    login = f"A login does not replace it: {remedy}" if remedy else "Log in again"
    return f"{start} {_wait(about)}{login}: {_login(about)}"


#: What to do about a token that a login does not replace.
_REMEDIES: dict[Kind, str] = {
    "token=": "give a new one there, or leave token= out and log in",
    "token_file=": "save a new one there, or leave token_file= out and log in",
    "source=": "let source= return a new one, or leave it out and log in",
    "CAVE_TOKEN": "set a new one, or unset CAVE_TOKEN and log in",
    "CAVE_TOKEN_FILE": "save a new one there, or unset CAVE_TOKEN_FILE and log in",
    "CAVE_TOKEN_COMMAND": "let it print a new one, or unset CAVE_TOKEN_COMMAND and log in",
}


def _wait(about: About) -> str:
    """A data service that saw a token before the auth service knew it refuses it for a while."""
    if about.host == about.auth_server or about.token is None or _is_old(about.token):
        return ""
    return "If it is new, wait up to five minutes: services remember unknown tokens that long. "


def _is_old(token: Token) -> bool:
    try:
        return time.time() - os.stat(token.source.path or "").st_mtime > CACHED
    except (OSError, ValueError):
        return False


def bad_header(about: About, scheme: str) -> str:
    what = "It had a password, from auth=, the URL or netrc. " if scheme == "basic" else ""
    return (
        f"{about.host} does not understand the Authorization header of the request: it must "
        f"be 'Bearer' and a token. {what}Leave it out, and cave-auth-adapter puts one there."
    )


#: Errors about the table in an address -> what is wrong.
TABLES = {
    "invalid_table_id": "the table in the address belongs to no dataset that the auth server knows",
    "missing_table_id": "the address names no table, and the service asks for permission by table",
}


def no_table(about: About, error: str) -> str:
    return f"{about.host}: {TABLES[error]}. Your token is good; check the address."


def terms(about: About, name: str, form: str, is_own: bool) -> str:
    """:param is_own: whether the form is on the deployment's own auth server."""
    named = f" {name!r}" if name else ""
    where = f"Open their form in a browser: {form}"
    if not form:
        where = f"See the pages of your account: https://{about.auth_server or about.host}"
    elif not is_own:
        where = (
            "Open their form in a browser (the address is the server's word; look at it before "
            f"you open it): {form}"
        )
    return f"{about.host}: your account has yet to accept the terms of service{named}. {where}"


def form_address(url: str) -> str:
    """The address of a form for terms of service, so that it works in a browser.

    Without an address to go on to, the auth server records that the terms are accepted, but then
    answers 500. It puts the token in that address, so that only a page of its own will do.

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
        "The token is good; ask those who run the dataset to let you in."
    )


def no_group(about: About, group: str) -> str:
    return (
        f"{about.host}: your account is not in the group {group!r}. The token is good; ask those "
        "who run the group to let you in."
    )


def no_privilege(about: About, privilege: str) -> str:
    return (
        f"{about.host}: this takes the privilege of {_article(privilege)} {privilege}, which your "
        "account lacks. The token is good; ask those who run the server."
    )


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _login(about: About) -> str:
    """The commands that get a token for a service, and save it."""
    server = about.auth_server or about.server
    if server == about.server or _same_deployment(about):
        return f"cave-auth login {server}"
    return f"cave-auth login {server}, then cave-auth trust {about.server} --server {server}"


def _same_deployment(about: About) -> bool:
    origin = parse_origin(about.url)
    return origin is not None and auth_server_of(origin) is not None
