"""The signature: what makes a request authenticated, put on it and taken off again.

``Authorization: Bearer <token>`` (RFC 6750, section 2.1) and the cookie
``middle_auth_token=<token>``. Never a query parameter: those end up in access logs.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, MutableMapping

from requests import PreparedRequest
from requests.structures import CaseInsensitiveDict

COOKIE_NAME = "middle_auth_token"

Headers = MutableMapping[str, str | bytes]  # requests allows both as values


def sign(headers: Headers, token: str) -> None:
    """Put the signature on; a cookie of that name is replaced, all others stay.

    >>> headers = {"Cookie": "a=1; middle_auth_token=stale"}
    >>> sign(headers, "0123abcd")
    >>> headers
    {'Cookie': 'a=1; middle_auth_token=0123abcd', 'Authorization': 'Bearer 0123abcd'}
    """
    headers["Authorization"] = f"Bearer {token}"
    others = _other_cookies(_text(headers.get("Cookie")))
    headers["Cookie"] = f"{others}; {COOKIE_NAME}={token}" if others else f"{COOKIE_NAME}={token}"


def unsign(headers: Headers) -> None:
    """Take a bearer token and the cookie off.

    >>> headers = {"Cookie": "a=1; middle_auth_token=0123", "Authorization": "Bearer 0123"}
    >>> unsign(headers)
    >>> headers
    {'Cookie': 'a=1'}
    """
    if bearer_token(headers) is not None:
        del headers["Authorization"]
    cookies = _text(headers.get("Cookie"))
    if others := _other_cookies(cookies):
        headers["Cookie"] = others
    elif cookies:
        del headers["Cookie"]


def strip(headers: Headers, tokens: Collection[str]) -> None:
    """Take off our cookie, whatever its value, and all that holds one of the tokens.

    >>> headers = {"X": "1", "X-Token": "0123", "Cookie": "a=1; middle_auth_token=89ab; b=0123"}
    >>> strip(headers, ["0123"])
    >>> headers
    {'X': '1', 'Cookie': 'a=1'}
    """
    pairs = [pair.strip() for pair in _other_cookies(_text(headers.pop("Cookie", ""))).split(";")]
    if kept := [pair for pair in pairs if pair and not any(token in pair for token in tokens)]:
        headers["Cookie"] = "; ".join(kept)
    for name, value in list(headers.items()):
        if any(token in _text(value) for token in tokens):
            del headers[name]


def holds(headers: Headers, tokens: Collection[str]) -> bool:
    """Whether headers hold our cookie, or any of the tokens.

    >>> holds({"X-Token": "0123"}, ["0123"]), holds({"Cookie": "a=1"}, ["0123"])
    (True, False)
    """
    if f"{COOKIE_NAME}=" in _text(headers.get("Cookie")):
        return True
    return any(token in _text(value) for value in headers.values() for token in tokens)


def bearer_token(headers: Headers) -> str | None:
    """The bearer token of a request; None without one, "" if the scheme has nothing behind it.

    >>> bearer_token({"Authorization": "bearer 0123"})
    '0123'
    """
    scheme, _, token = _text(headers.get("Authorization")).partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def copy_of(request: PreparedRequest) -> PreparedRequest:
    """A copy of a request whose headers can be changed without a trace in the original.

    Body, cookie jar and hooks are shared: ``PreparedRequest.copy()`` duplicates them too, which
    costs many times as much, and nothing here changes them.
    """
    twin = copy.copy(request)
    twin.headers = CaseInsensitiveDict(request.headers)
    return twin


def _text(value: str | bytes | None) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value or ""


def _other_cookies(cookies: str) -> str:
    """A Cookie header without ours (RFC 6265, section 4.2.1: pairs are split by semicolons)."""
    if not cookies:
        return ""
    pairs = (pair.strip() for pair in cookies.split(";"))
    return "; ".join(p for p in pairs if p and p.partition("=")[0].strip() != COOKIE_NAME)
