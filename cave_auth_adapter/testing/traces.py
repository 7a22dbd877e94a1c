"""Find tokens in a request."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

from ..sandbox import RecordedRequest
from .guard import TOKEN_NAME


def assert_bare(received: Iterable[RecordedRequest], tokens: Collection[str]) -> None:
    """Raise an AssertionError if a request has a token, or if there is no request.

    :param tokens: the tokens to look for anywhere. Any bearer token or ``middle_auth_token`` is
        found, too.
    """
    __tracebackhide__ = True  # pytest shows the line of the test
    received = list(received)
    if not received:
        raise AssertionError(
            "No request arrived, so this proves nothing. Did the request fail before it was sent? "
            "If none should be sent, assert that `requests` is empty."
        )
    found = [
        f"  {request.method} {request.url.partition('?')[0]}: in {', '.join(places)}"
        for request in received
        if (places := places_of_tokens(request, tokens))
    ]
    if found:
        raise AssertionError("A token arrived at a server that is not CAVE:\n" + "\n".join(found))


def places_of_tokens(request: RecordedRequest, tokens: Collection[str]) -> list[str]:
    """The parts of a request that hold a token. The token is not shown.

    >>> header = [("X-Key", "0123456789abcdef")]
    >>> request = RecordedRequest("", "GET", "https://a.example/", header, b"")
    >>> places_of_tokens(request, ["0123456789abcdef"])
    ['the header X-Key']
    """
    places = [
        f"the header {name}"
        for name, value in request.headers
        if _is_cave_form(name, value) or _holds(_readable(value), tokens)
    ]
    names = {name for name, _ in parse_qsl(urlsplit(request.url).query)}
    if TOKEN_NAME in names or _holds(request.url, tokens):
        places.append("the URL")
    if _holds(request.body.decode("latin-1"), tokens):
        places.append("the body")
    return places


def _is_cave_form(name: str, value: str) -> bool:
    if name.lower() == "authorization":
        return value.lower().startswith("bearer ")
    return name.lower() == "cookie" and f"{TOKEN_NAME}=" in value


def _holds(text: str, tokens: Collection[str]) -> bool:
    forms = (text, unquote(text), unquote_plus(text))
    return any(token in form for token in tokens for form in forms)


def _readable(value: str) -> str:
    """The value of a header, with Basic credentials decoded (RFC 7617)."""
    scheme, _, credentials = value.partition(" ")
    if scheme.lower() != "basic":
        return value
    try:
        return base64.b64decode(credentials).decode("latin-1")
    except binascii.Error:
        return value
