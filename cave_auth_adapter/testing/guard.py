"""Decide what a protected service answers, as middle_auth_client does, but without its servers.

This follows ``auth_required``, ``auth_requires_permission`` and ``auth_requires_group`` of
``middle_auth_client/decorators.py``. Our tests compare it with them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from requests import PreparedRequest

TOKEN_NAME = "middle_auth_token"  # the name of the cookie and of the query parameter


class Answer(NamedTuple):
    """A status, headers and a body: what a callback of ``responses`` returns."""

    status: int
    headers: dict[str, str]
    body: str | bytes


class Account(NamedTuple):
    """What the user of a token may do; None: everything."""

    permissions: Mapping[str, Collection[str]] | None = None
    groups: Collection[str] | None = None
    terms: Collection[str] | None = None

    def has_permission(self, dataset: str, permission: str) -> bool:
        """Whether the user has a permission, with or without accepted terms."""
        return self.permissions is None or permission in self.permissions.get(dataset, ())

    def accepted(self, terms: str | None) -> bool:
        """Whether the user accepted terms of service; True if there are none."""
        return terms is None or self.terms is None or terms in self.terms

    def is_member(self, group: str) -> bool:
        """Whether the user is in a group."""
        return self.groups is None or group in self.groups


class Needs(NamedTuple):
    """What a service requires of the user."""

    dataset: str | None = None
    permission: str = "view"
    terms: str | None = None
    terms_id: int = 0
    group: str | None = None


class Visit:
    """A request as a service sees it."""

    def __init__(self, request: PreparedRequest, sticky_auth: str) -> None:
        self.url = request.url or ""
        self.is_preflight = request.method == "OPTIONS"
        self.authorization = _header(request, "Authorization")
        self.parameter = _first(parse_qsl(urlsplit(self.url).query), TOKEN_NAME)
        self.is_program = bool(
            self.authorization or _header(request, "X-Requested-With") or _header(request, "Origin")
        )
        self._cookie = _first(_pairs(_header(request, "Cookie")), TOKEN_NAME)
        self.sticky_auth = sticky_auth

    @property
    def token(self) -> str:
        """The token. A header outranks a parameter, and a parameter a cookie."""
        if self.authorization:
            return self.authorization.split(" ")[1]
        return self.parameter or self._cookie


def judge(visit: Visit, accounts: Mapping[str, Account], needs: Needs) -> Answer | None:
    """The refusal of a request; None if it is allowed."""
    if visit.is_preflight:
        return None
    if visit.authorization and not visit.authorization.startswith("Bearer "):
        challenge = _challenge(visit, "invalid_request", "Header must begin with 'Bearer'")
        message = "Authorization header must begin with 'Bearer'"
        return _error(400, "bad_auth_header", message, challenge=challenge)
    if visit.parameter and not visit.is_program:
        return _cookie_for_parameter(visit)
    account = accounts.get(visit.token) if visit.token else None
    if account is not None:
        return _forbidden(visit, account, needs)
    if not visit.is_program:
        return _to(visit.sticky_auth + "/api/v1/authorize", visit)
    if not visit.token:
        message = "Unauthorized - No Token Provided"
        return _error(401, "no_token", message, challenge=_challenge(visit))
    challenge = _challenge(visit, "invalid_token", "Invalid/Expired Token")
    message = "Unauthorized - Token is Invalid or Expired"
    return _error(401, "invalid_token", message, challenge=challenge)


def _forbidden(visit: Visit, account: Account, needs: Needs) -> Answer | None:
    if needs.group is not None and not account.is_member(needs.group):
        html = {"Content-Type": "text/html; charset=utf-8"}
        return Answer(403, html, f"Requires membership of group: {needs.group}")
    if needs.dataset is None:
        return None
    if not account.has_permission(needs.dataset, needs.permission):
        message = f"Missing permission: {needs.permission} for dataset {needs.dataset}"
        data: dict[str, Any] = {
            "required_permission": needs.permission,
            "auth_dataset": needs.dataset,
        }
        return _error(403, "missing_permission", message, data=data)
    return None if account.accepted(needs.terms) else _missing_terms(visit, needs)


def _missing_terms(visit: Visit, needs: Needs) -> Answer:
    form = f"{visit.sticky_auth}/api/v1/tos/{needs.terms_id}/accept"
    if not visit.is_program:
        return _to(form, visit)
    message = "Need to accept Terms of Service to access resource."
    data = {"tos_id": needs.terms_id, "tos_name": needs.terms, "tos_form_url": form}
    return _error(403, "missing_tos", message, data=data)


def _cookie_for_parameter(visit: Visit) -> Answer:
    parts = urlsplit(visit.url)
    kept = [pair for pair in parse_qsl(parts.query) if pair[0] not in (TOKEN_NAME, "token")]
    cookie = f"{TOKEN_NAME}={visit.parameter}; Secure; HttpOnly; Path=/"
    clean = parts._replace(query=urlencode(kept)).geturl()
    return Answer(302, {"Location": clean, "Set-Cookie": cookie}, "")


def _to(page: str, visit: Visit) -> Answer:
    """A redirect to a page of the auth service, which redirects back afterwards."""
    return Answer(302, {"Location": f"{page}?redirect={quote(visit.url)}"}, "")


def _challenge(visit: Visit, error: str = "", description: str = "") -> dict[str, str]:
    value = f'Bearer realm="{visit.sticky_auth}/api/v1/authorize"'
    if error:
        value += f', error="{error}", error_description="{description}"'
    return {"WWW-Authenticate": value}


def _error(
    status: int,
    code: str,
    message: str,
    *,
    data: dict[str, Any] | None = None,
    challenge: dict[str, str] | None = None,
) -> Answer:
    said = {"error": code, "message": message} | ({"data": data} if data else {})
    headers = {"Content-Type": "application/json"} | (challenge or {})
    return Answer(status, headers, json.dumps(said))


def _header(request: PreparedRequest, name: str) -> str:
    value = request.headers.get(name) or ""
    # requests sends bytes too; white space at the ends is not part of a value (RFC 9110, 5.5).
    return (value.decode("latin-1") if isinstance(value, bytes) else value).strip()


def _pairs(cookies: str) -> list[tuple[str, str]]:
    parted = (pair.partition("=") for pair in cookies.split(";"))
    return [(name.strip(), value.strip()) for name, _, value in parted]


def _first(pairs: list[tuple[str, str]], name: str) -> str:
    return next((value for key, value in pairs if key == name), "")
