"""Recognise a refusal, and say what it means and what to do next.

The refusals are those of the real services: see ``middle_auth_client/decorators.py`` and the table
in docs/refusals.md. What a server says is shown, but never acted upon.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from requests import Response
from requests.models import REDIRECT_STATI

from ..errors import PermissionMissing, Refusal, TermsNotAccepted, TokenNotFound, TokenRefused
from ..hosts import KnownHosts
from ..origins import auth_server_of, parse_origin
from ..plain import printable
from ..runtime import warn_once
from ..tokens import Source, Token
from ..words import as_html
from . import advice
from .advice import About
from .answers import (
    all_covered,
    challenge,
    covered,
    history_of,
    host_in,
    is_terms_page,
    login_page,
    parsed,
    realm,
    scheme_of,
    sent_to,
    tokens_sent,
    url_of,
)
from .bodies import PEEKED, peek

_AUTH_SERVICE = ("/auth/api/", "/sticky_auth/")  # paths of an auth server
_TEXT = 4096  # characters of a text that are searched
_GROUP = r"Requires membership of group: (.+)"
_PRIVILEGE = r"Requires ((?:super|dataset |group )?admin) privilege\."


class Verdict(NamedTuple):
    """A recognised refusal.

    :ivar host: the service that refused; after redirects, the one that redirected to the login.
    :ivar details: what the refusal is about: dataset, permission, role, group and the like.
    :ivar token: the token that this plugin added and the service refused, if any.
    """

    cause: str
    error: type[Refusal]
    sentence: str
    details: dict[str, str]
    host: str
    token: Token | None

    @property
    def key(self) -> tuple[object, ...]:
        """Refusals with the same key are logged once."""
        return (self.host, self.cause, *self.details.values(), self.token)

    def as_error(self, response: Response) -> Refusal:
        """The error to raise for this refusal."""
        source = str(self.token.source) if self.token else None
        return self.error(
            self.sentence, response=response, host=self.host, source=source, **self.details
        )


class Explanation(str):
    """A string of a sentence or two that a notebook shows in full."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return f"<p>{as_html(self)}</p>"


def explain(
    response: Response | None = None,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes | str = b"",
    url: object = "",
) -> str | None:
    """Say what went wrong with a request to a CAVE service, and what to do next.

    >>> response = Response()
    >>> response.status_code, response.url = 200, "https://global.daf-apis.com/info"
    >>> explain(response) is None
    True

    For a response of another library (httpx, aiohttp), pass its parts:

    >>> url = "https://global.daf-apis.com/info"
    >>> print(explain(status=403, url=url, body="Requires admin privilege."))
    global.daf-apis.com: only an admin may do this. ...

    :param response: any response of ``requests``; you can still read its body afterwards.
    :param status: the status code of another library's response.
    :param headers: its headers.
    :param body: its body, without content coding. The first 64 KiB count.
    :param url: its URL: a string, or an object whose ``str`` is the URL.
    :return: a sentence or two; None if the response is not a refusal by a CAVE service.
    """
    if response is None:
        response = _response(status, headers, body, url)
    verdict = judge(response, body_of(response))
    return Explanation(verdict.sentence) if verdict else None


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

    :param response: any response; you can still read its body afterwards.
    :raises TokenNotFound: the service wants a token and the request had none.
    :raises TokenRefused: the token is invalid or has expired, or its header is malformed.
    :raises TermsNotAccepted: the account has not accepted the terms of service.
    :raises PermissionMissing: the account lacks a permission, a role or a group.
    :raises Refusal: the service can't tell which dataset the table belongs to.
    """
    if verdict := judge(response, body_of(response)):
        raise verdict.as_error(response)


def judge(response: Response, body: bytes) -> Verdict | None:
    """Decide what an answer refuses; None if it is no refusal.

    Nothing that a server can put in an answer raises here.

    :param body: its body; ``b""`` where it must not be read.
    """
    chain = [*history_of(response), response]
    place = next((n for n, each in enumerate(chain) if sent_to(each)), len(chain) - 1)
    refusing = chain[place]
    secrets = {token for each in chain for token in _secrets_of(each)}
    about = _about(refusing, led_by=chain[place - 1] if place else None)
    said = all_covered(_json_object(body if refusing is response else b""), secrets)
    text = covered((body or b"")[:_TEXT].decode("utf-8", "replace"), secrets)
    found = _judged(refusing, about, said, text)
    if found is None:
        return None
    cause, error, sentence, details = found
    return Verdict(
        cause,
        error,
        covered(sentence, secrets),
        {name: covered(value, secrets) for name, value in details.items()},
        covered(about.host, secrets),
        about.token,
    )


_Found = tuple[str, type[Refusal], str, dict[str, str]]


def _judged(response: Response, about: About, said: dict[str, Any], text: str) -> _Found | None:
    if page := sent_to(response):
        if is_terms_page(page):
            return _terms(about, "", page)
        has_one = about.token or tokens_sent(response)
        return _unauthorized(about, "invalid_token" if has_one else "no_token")
    error, status = _word(said.get("error")), response.status_code
    if status == 401:
        return _unauthorized(about, error or challenge(response))
    if status == 400:
        return _bad_request(response, about, error or challenge(response))
    if status == 403:
        data = said.get("data")
        return _forbidden(about, error, data if isinstance(data, dict) else {}, text)
    return None


def _unauthorized(about: About, error: str) -> _Found | None:
    if error == "invalid_token" or about.token:
        return "invalid_token", TokenRefused, advice.refused(about), {}
    if error == "no_token" and not about.is_trusted:
        return "not_trusted", TokenNotFound, advice.not_trusted(about), {}
    if error == "no_token":
        return "no_token", TokenNotFound, advice.no_token(about), {}
    return None


def _bad_request(response: Response, about: About, error: str) -> _Found | None:
    if error in ("bad_auth_header", "invalid_request"):
        sentence = advice.bad_header(about, scheme_of(response))
        return "bad_auth_header", TokenRefused, sentence, {}
    if error in advice.TABLES:
        return error, Refusal, advice.no_table(about, error), {}
    return None


def _forbidden(about: About, error: str, data: dict[str, Any], text: str) -> _Found | None:
    if error == "missing_tos":
        return _terms(about, _word(data.get("tos_name")), _word(data.get("tos_form_url")))
    if error in ("missing_permission", "missing_role"):
        name = error.removeprefix("missing_")
        lacking = _word(data.get(f"required_{name}")) or "?"
        dataset = _word(data.get("auth_dataset")) or "?"
        sentence = advice.lacking(about, name, lacking, dataset)
        return error, PermissionMissing, sentence, {name: lacking, "dataset": dataset}
    if match := re.match(_GROUP, text):
        group = printable(match[1])
        return "missing_group", PermissionMissing, advice.no_group(about, group), {"group": group}
    if match := re.match(_PRIVILEGE, text):
        sentence = advice.no_privilege(about, match[1])
        return "missing_privilege", PermissionMissing, sentence, {"privilege": match[1]}
    return None


def _terms(about: About, name: str, url: str) -> _Found:
    origin = parse_origin(url)
    is_own = origin is not None and (
        origin.server in (about.host, about.auth_server)
        or KnownHosts().trusted_origin(url) is not None
    )
    form = advice.form_address(url) if is_own else url
    sentence = advice.terms(about, name, form, is_own)
    return "missing_tos", TermsNotAccepted, sentence, {"form_url": form}


def warn_of_stranger(response: Response) -> None:
    """Warn once that a CAVE service is not trusted; do nothing for any other answer.

    A CAVE service is recognised by its redirect or challenge to log in. The body is not read.

    :param response: the answer of a host that is not trusted.
    """
    if response.status_code not in (401, *REDIRECT_STATI):
        return
    if not login_page(response) and not realm(response):
        return
    verdict = judge(response, b"")
    if verdict and verdict.cause == "not_trusted":
        warn_once(verdict.sentence, *verdict.key)


# --- What is noted on an answer ----------------------------------------------------------------


class _Asked(NamedTuple):
    token: Token | None
    led: bool


def remember_token(response: Response, token: Token | None, led: bool = False) -> None:
    """Note on a trusted host's answer how its request was sent; pickles leave the note out.

    :param token: the token that this plugin added to the request.
    :param led: whether the request followed an untrusted host's redirect, so was not signed.
    """
    response._cave_asked = _Asked(token, led)  # type: ignore[attr-defined]


def source_of(response: Response) -> Source | None:
    """Where the token of a request came from; None if this plugin did not add one."""
    asked = getattr(response, "_cave_asked", None)
    return asked.token.source if asked and asked.token else None


def _about(response: Response, led_by: Response | None) -> About:
    """The facts about the service that answered.

    :param led_by: the answer that redirected there, if it is known.
    """
    url, origin = url_of(response), parse_origin(url_of(response))
    asked = getattr(response, "_cave_asked", None)
    return About(
        host=_host(response) or "the server",
        server=origin.server if origin else "SERVER",
        url=url.partition("?")[0],
        auth_server=_auth_server(response),
        is_trusted=asked is not None or KnownHosts().trusted_origin(url) is not None,
        token=asked.token if asked else None,
        led_by=(_host(led_by) or "another site") if asked and asked.led else None,
    )


def _host(response: Response | None) -> str:
    url = url_of(response) if response is not None else ""
    origin = parse_origin(url)
    return origin.server if origin else host_in(url)


def _auth_server(response: Response) -> str | None:
    """The server to log in to: from the table of deployments, else as the service says."""
    url = url_of(response)
    origin = parse_origin(url)
    if origin is None:
        return None
    if known := auth_server_of(origin):
        return known
    if any(part in url for part in _AUTH_SERVICE):
        return origin.server
    named = parse_origin(login_page(response) or realm(response))
    return named.server if named else None


# --- Reading an answer -------------------------------------------------------------------------


def body_of(response: Response) -> bytes:
    """The start of a refusal's body; empty for other answers, and if it was read already."""
    return peek(response) if response.status_code in (400, 401, 403) else b""


def _response(status: int | None, headers: Any, body: bytes | str, url: object) -> Response:
    """Another library's answer as a response of requests."""
    response = Response()
    response.status_code = status  # type: ignore[assignment]
    response.headers.update(headers or {})
    response.headers.pop("Content-Encoding", None)
    response.raw = io.BytesIO(body.encode() if isinstance(body, str) else body)
    response.url = str(url)
    return response


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        said = parsed((body or b"")[:PEEKED])
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _secrets_of(response: Response) -> list[str]:
    """The tokens that the request carried: the plugin's and the caller's own."""
    asked = getattr(response, "_cave_asked", None)
    ours = [asked.token.value] if asked and asked.token else []
    return ours + tokens_sent(response)


def _word(said: object) -> str:
    """A server's text as one line that is safe to print; empty for anything but a string."""
    return printable(said) if isinstance(said, str) else ""
