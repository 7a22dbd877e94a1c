"""What the server's answer means, and what to do next, in words.

The answers are those of the real services, see ``middle_auth_client/decorators.py`` and the table
in docs/refusals.md. What a server says is shown, but never acted upon.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from requests import RequestException, Response

from .errors import PermissionMissing, Refusal, TermsNotAccepted, TokenNotFound, TokenRefused
from .headers import bearer_token
from .origins import auth_server_of, parse_origin
from .tokens import Kind, Source, Token

_AUTH_API = "/auth/api/"  # of an auth server
_LOGIN_PAGE = "/api/v1/authorize"  # of the auth service, under whatever prefix it is deployed
_BODY = 4096  # bytes of a text that are looked at
_SHOWN = 300  # characters of a server's word that are shown
_GROUP = re.compile(r"Requires membership of group: (.+)")
_CHALLENGE = 4096  # characters of a WWW-Authenticate header that are looked at
_BEARER = re.compile(r"\bBearer\b", re.IGNORECASE)
_ERROR = re.compile(r'\berror="(\w{1,64})"', re.IGNORECASE)
_ODD = re.compile(r"[\x00-\x20\x7f\\]")


class Verdict(NamedTuple):
    """A recognised refusal."""

    cause: str
    error: type[Refusal]
    sentence: str
    details: dict[str, str]


def explain(response: Response) -> str | None:
    """What went wrong with a request to a CAVE service, and what to do next.

    :param response: any answer; its body is read if it has not been.
    :return: a sentence or two; None if the answer is not a refusal that CAVE services give.

    >>> response = Response()
    >>> response.status_code, response.url = 200, "https://global.daf-apis.com/info"
    >>> explain(response) is None
    True
    """
    verdict = judge(response, body_of(response))
    return verdict.sentence if verdict else None


def raise_for_auth(response: Response) -> None:
    """Raise the error that matches a refusal; do nothing for any other answer.

    >>> response = Response()
    >>> response.status_code, response.url = 401, "https://global.daf-apis.com/info"
    >>> response.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    >>> try:
    ...     raise_for_auth(response)
    ... except TokenRefused as error:
    ...     print(error.host, error.response.status_code)
    global.daf-apis.com 401

    :param response: any answer; its body is read if it has not been.
    :raises TokenNotFound: the service wants a token and the request had none.
    :raises TokenRefused: the token is invalid or has expired, or its header is malformed.
    :raises TermsNotAccepted: the account has yet to accept terms of service.
    :raises PermissionMissing: the account lacks a permission or is not in a group.
    """
    verdict = judge(response, body_of(response))
    if verdict:
        source = source_of(response)
        raise verdict.error(
            verdict.sentence,
            response=response,
            host=_host(response),
            source=str(source) if source else None,
            **verdict.details,
        )


def judge(response: Response, body: bytes) -> Verdict | None:
    """The verdict on an answer whose body, or b"" where it is not to be read, is given."""
    secrets = _secrets_of(response)
    if login_page(response) or any(map(login_page, response.history)):
        return _unauthorized(response, "invalid_token" if source_of(response) else "no_token")
    status = response.status_code
    said = _without(secrets, _json_object(body))
    error = str(said.get("error") or _challenge(response) or "")
    if status == 401:
        return _unauthorized(response, error)
    if status == 400 and error in ("bad_auth_header", "invalid_request"):
        return _bad_header(response)
    if status == 403:
        text = _without(secrets, body[:_BODY].decode("utf-8", "replace"))
        return _forbidden(response, error, said, text)
    return None


def login_page(response: Response) -> str | None:
    """The address of the login page that an answer redirects to; None if it does not."""
    target = redirect_target(response)
    return target if target and urlsplit(target).path.endswith(_LOGIN_PAGE) else None


def redirect_target(response: Response) -> str | None:
    """The absolute URL that a redirect leads to; None if it is none, or an odd one.

    Where parsers may disagree (more than two slashes, backslashes, white space, a scheme without
    an authority), what requests makes of it need not be what is made of it here.
    """
    if not response.is_redirect:
        return None
    # http.client decodes headers as Latin-1 while servers send UTF-8: as requests does, see
    # SessionRedirectMixin.get_redirect_target.
    location = response.headers["location"].encode("latin-1", "replace").decode("utf-8", "replace")
    if location.startswith("//"):
        location = f"{urlsplit(response.url).scheme}:{location}"
    if parse_origin(location):
        return location
    is_relative = ":" not in location.partition("/")[0] and not location.startswith("//")
    if not is_relative or _ODD.search(location):
        return None
    return urljoin(response.url, location)


def body_of(response: Response) -> bytes:
    """The body of a refusal; empty for other answers, and where it can't be read any more."""
    if response.status_code not in (400, 401, 403):
        return b""
    try:
        return response.content or b""
    except (RequestException, RuntimeError):  # RuntimeError: it was read as a stream
        return b""


def remember_token(response: Response, token: Token) -> None:
    """Note on an answer which token of ours its request bore; pickles leave it out."""
    response._cave_token = token  # type: ignore[attr-defined]


def source_of(response: Response) -> Source | None:
    """Where the token of a request came from; None if it had none, or not from us."""
    token: Token | None = getattr(response, "_cave_token", None)
    return token.source if token else None


def _no_token(response: Response) -> Verdict:
    host = _host(response)
    sentence = f"{host} wants a token, and the request had none. {_save_one(response)}"
    return Verdict("no_token", TokenNotFound, sentence, {})


def _unauthorized(response: Response, error: str) -> Verdict | None:
    source = source_of(response)
    if error == "no_token":
        return _no_token(response)
    if error == "invalid_token" or source:
        token = f"the token from {source}" if source else "the token that the request carried"
        remedy = _OUTRANKING.get(source.kind) if source else None
        first = f"It outranks what a login saves: {remedy}. " if remedy else ""
        sentence = (
            f"{_host(response)} refuses {token}: it is invalid or has expired. "
            f"{first}{_save_one(response)}"
        )
        return Verdict("invalid_token", TokenRefused, sentence, {})
    return None


#: Sources of tokens that a login does not replace -> what to do before it.
_OUTRANKING: dict[Kind, str] = {
    "token=": "give a new one there, or leave it out",
    "token_file=": "save a new one there, or leave token_file= out",
    "source=": "let it return a new one, or leave it out",
    "CAVE_TOKEN": "unset CAVE_TOKEN",
    "CAVE_TOKEN_FILE": "unset CAVE_TOKEN_FILE",
    "CAVE_TOKEN_COMMAND": "unset CAVE_TOKEN_COMMAND",
}


def _bad_header(response: Response) -> Verdict:
    sentence = (
        f"{_host(response)} does not understand the Authorization header of the request: it must "
        "be 'Bearer' and a token. Leave the header out, and let cave-auth-adapter put it there."
    )
    return Verdict("bad_auth_header", TokenRefused, sentence, {})


def _forbidden(response: Response, error: str, said: dict[str, Any], text: str) -> Verdict | None:
    host, data = _host(response), said.get("data")
    data = data if isinstance(data, dict) else {}
    if error == "missing_tos":
        name, url = _shown(data.get("tos_name")), _shown(data.get("tos_form_url"))
        sentence = (
            f"{host}: your account has yet to accept the terms of service {name!r}. Open their "
            f"form in a browser{_whose_word(response, url)}: {url}"
        )
        return Verdict(error, TermsNotAccepted, sentence, {"form_url": url})
    if error == "missing_permission":
        permission = _shown(data.get("required_permission"))
        dataset = _shown(data.get("auth_dataset"))
        sentence = (
            f"{host}: your account lacks the permission {permission!r} on the dataset {dataset!r}. "
            "The token is good; ask those who run the dataset to let you in."
        )
        details = {"permission": permission, "dataset": dataset}
        return Verdict(error, PermissionMissing, sentence, details)
    if match := _GROUP.match(text):
        group = _shown(match[1])
        sentence = (
            f"{host}: your account is not in the group {group!r}. The token is good; ask those "
            "who run the group to let you in."
        )
        return Verdict("missing_group", PermissionMissing, sentence, {"group": group})
    return None


def _save_one(response: Response) -> str:
    """The command that gets a token and saves it."""
    origin = parse_origin(response.url or "")
    if origin and (server := auth_server_of(origin)):
        return f"Log in: cave-auth login {server}"
    if origin and urlsplit(response.url).path.startswith(_AUTH_API):
        return f"Log in: cave-auth login {origin.server}"
    name = origin.server if origin else None
    arguments = f"input('Token: '), {name!r}, overwrite=True"
    return (
        "Log in to the auth server of its deployment (cave-auth login SERVER), or save a token: "
        f'python -c "import cave_auth_adapter as c; c.TokenStore().save({arguments})"'
    )


def _whose_word(response: Response, url: str) -> str:
    """A note on an address that the server named, if it is not on the server's own host."""
    origin = parse_origin(url)
    if origin is not None and origin == parse_origin(response.url or ""):
        return ""
    return " (the address is the server's word; look at it before you open it)"


def _host(response: Response) -> str:
    origin = parse_origin(response.url or "")
    return origin.server if origin else urlsplit(response.url or "").netloc.rpartition("@")[2]


def _challenge(response: Response) -> str | None:
    """The error in a bearer challenge (RFC 6750, section 3); no error there means no token."""
    challenge = response.headers.get("WWW-Authenticate", "")[:_CHALLENGE]
    scheme = _BEARER.search(challenge)
    if scheme and (error := _ERROR.search(challenge, scheme.end())):
        return error[1]
    return "no_token" if _LOGIN_PAGE in challenge else None


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _secrets_of(response: Response) -> list[str]:
    """The tokens that the request bore: ours, and the caller's own."""
    ours, request = getattr(response, "_cave_token", None), getattr(response, "request", None)
    own = bearer_token(request.headers) if request is not None else None
    return [token for token in (ours and ours.value, own) if token]


def _without(secrets: Collection[str], said: Any) -> Any:
    """What a server said, with each secret in it replaced: it may send our own token back."""
    if isinstance(said, str):
        for secret in secrets:
            said = said.replace(secret, "<token>")
    elif isinstance(said, dict):
        said = {name: _without(secrets, value) for name, value in said.items()}
    return said


def _shown(word: object) -> str:
    """A server's word made fit for a terminal: one line of printable characters, not too long."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(word or "?"))
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
