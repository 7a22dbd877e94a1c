"""The signature: what makes a request authenticated, put on it and taken off again.

``Authorization: Bearer <token>`` (RFC 6750, section 2.1) and the cookie
``middle_auth_token=<token>``. Never a query parameter: those end up in access logs.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Collection, MutableMapping

from requests import PreparedRequest, Response
from requests.exceptions import UnrewindableBodyError
from requests.structures import CaseInsensitiveDict
from requests.utils import rewind_body

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
    cookie = f"{COOKIE_NAME}={token}"
    if has(headers, "Cookie"):
        others = _without(_text(headers["Cookie"])).strip("; \t")
        cookie = f"{others}; {cookie}" if others else cookie
    headers["Cookie"] = cookie


def unsign(headers: Headers) -> None:
    """Take a bearer token and the cookie off.

    >>> headers = {"Cookie": "a=1; middle_auth_token=0123", "Authorization": "Bearer 0123"}
    >>> unsign(headers)
    >>> headers
    {'Cookie': 'a=1'}
    """
    if bearer_token(headers) is not None:
        del headers["Authorization"]
    _take_cookies_off(headers)


def strip(headers: Headers, tokens: Collection[str]) -> None:
    """Take off our cookie, whatever its value, and all that holds one of the tokens.

    >>> headers = {"X": "1", "X-Token": "0123", "Cookie": "a=1; middle_auth_token=89ab; b=0123"}
    >>> strip(headers, ["0123"])
    >>> headers
    {'X': '1', 'Cookie': 'a=1'}
    """
    _take_cookies_off(headers, tokens)
    for name, value in list(headers.items()):
        if _holds_one(_text(value), tokens):
            del headers[name]


def holds(headers: Headers, tokens: Collection[str]) -> bool:
    """Whether headers hold our cookie, or any of the tokens.

    >>> holds({"X-Token": "0123"}, ["0123"]), holds({"Cookie": "a=1"}, ["0123"])
    (True, False)
    """
    if f"{COOKIE_NAME}=" in _text(headers.get("Cookie")):
        return True
    return any(_holds_one(_text(value), tokens) for value in headers.values())


def has(headers: Headers, name: str) -> bool:
    """Whether there is a header of that name.

    >>> has(CaseInsensitiveDict(accept="*/*"), "Accept")
    True
    """
    # A CaseInsensitiveDict finds out by raising and catching an error inside.
    if type(headers) is CaseInsensitiveDict:
        return name.lower() in headers._store
    return name in headers


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
    headers = request.headers
    if type(request) is not PreparedRequest or type(headers) is not CaseInsensitiveDict:
        twin = copy.copy(request)
        twin.headers = CaseInsensitiveDict(headers)
        return twin
    # The same for the usual types, in a fourth of the time: this is most of what signing costs.
    twin = PreparedRequest.__new__(PreparedRequest)
    twin.__dict__ = vars(request).copy()
    twin.headers = CaseInsensitiveDict.__new__(CaseInsensitiveDict)
    twin.headers._store = headers._store.copy()
    return twin


def rewind(request: PreparedRequest) -> bool:
    """Make a request ready to be sent again; False if its body can't be replayed.

    Bytes and strings are as they were; a file goes back to where it was when the request was
    prepared; a generator is spent.
    """
    if request.body is None or isinstance(request.body, (bytes, str)):
        return True
    if not isinstance(request._body_position, int):
        return False
    try:
        rewind_body(request)
    except (UnrewindableBodyError, OSError, ValueError):  # ValueError: a file closed meanwhile
        return False
    return True


def discard(response: Response) -> None:
    """Be done with an answer, and with its connection.

    A server may be about to close it, with no word of that in the answer, and the next request
    would fail. Reading a body to its end for the sake of its connection can take for ever, too.

    Adapters for tests make answers that have another kind of ``raw``, or none.
    """
    with contextlib.suppress(OSError, AttributeError):
        response.close()


def _text(value: str | bytes | None) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value or ""


def _take_cookies_off(headers: Headers, tokens: Collection[str] = ()) -> None:
    cookies = _text(headers.get("Cookie"))
    kept = _without(cookies, tokens)
    if kept == cookies:
        return
    if kept:
        headers["Cookie"] = kept
    else:
        del headers["Cookie"]


def _without(cookies: str, tokens: Collection[str] = ()) -> str:
    """A Cookie header without our cookie, and without those that hold one of the tokens.

    Pairs are split by semicolons (RFC 6265, section 4.2.1), and what is left stays byte for byte:
    some servers read quoted values with a semicolon in them, and the UTF-8 of "à" ends in what
    ``str.strip`` takes for white space.
    """
    pairs = cookies.split(";")
    kept = [pair for pair in pairs if not _is_ours(pair) and not _holds_one(pair, tokens)]
    return cookies if len(kept) == len(pairs) else ";".join(kept).strip("; \t")


def _is_ours(pair: str) -> bool:
    return pair.partition("=")[0].strip() == COOKIE_NAME


def _holds_one(value: str, tokens: Collection[str]) -> bool:
    return any(token in value for token in tokens)
