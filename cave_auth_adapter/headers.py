"""Sign requests, and remove the signature again.

The signature is ``Authorization: Bearer <token>`` (RFC 6750, section 2.1) and the cookie
``middle_auth_token=<token>``; never a query parameter, because access logs hold these.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Collection, MutableMapping
from typing import Any

from requests import PreparedRequest, Response
from requests.auth import HTTPBasicAuth
from requests.exceptions import UnrewindableBodyError
from requests.structures import CaseInsensitiveDict
from requests.utils import get_netrc_auth, rewind_body
from urllib3 import HTTPResponse

from .tokens import Token

COOKIE_NAME = "middle_auth_token"
_SIGNATURE = ("Authorization", "Cookie")  # the headers that hold it
_NOBODYS = ("", "none", "null", "undefined")  # in lower case
_STRIPPED = 16  # characters; a shorter token may be part of any header by chance

Headers = MutableMapping[str, str | bytes]  # requests allows both as values


def sign(headers: Headers, token: str) -> None:
    """Add the signature; replace a cookie of that name, and keep all others.

    >>> headers = {"Cookie": "a=1; middle_auth_token=stale"}
    >>> sign(headers, "0123abcd")
    >>> headers
    {'Cookie': 'a=1; middle_auth_token=0123abcd', 'Authorization': 'Bearer 0123abcd'}
    """
    headers["Authorization"] = f"Bearer {token}"
    cookie = f"{COOKIE_NAME}={token}"
    if "Cookie" in headers:
        others = _without(_text(headers["Cookie"])).strip("; \t")
        cookie = f"{others}; {cookie}" if others else cookie
    headers["Cookie"] = cookie


def unsign(headers: Headers) -> None:
    """Remove a bearer token and the cookie.

    >>> headers = {"Cookie": "a=1; middle_auth_token=0123", "Authorization": "Bearer 0123"}
    >>> unsign(headers)
    >>> headers
    {'Cookie': 'a=1'}
    """
    if bearer_token(headers) is not None:
        del headers["Authorization"]
    _take_cookies_off(headers)


def strip(headers: Headers, tokens: Collection[str]) -> None:
    """Remove our cookie with any value, and each header and cookie that holds one of the tokens.

    >>> token = "0123456789abcdef"
    >>> headers = {"X": "1", "X-Token": token, "Cookie": f"a=1; middle_auth_token=89ab; b={token}"}
    >>> strip(headers, [token])
    >>> headers
    {'X': '1', 'Cookie': 'a=1'}
    """
    _take_cookies_off(headers)
    strip_values(headers, tokens)


def strip_values(headers: Headers, tokens: Collection[str]) -> None:
    """Remove each header and each cookie that holds one of the tokens.

    A token of fewer than 16 characters (``test``, say) is ignored: it may be part of any value.

    >>> headers = {"X-Token": "0123456789abcdef", "Content-Length": "11"}
    >>> strip_values(headers, ["0123456789abcdef", "1"])
    >>> headers
    {'Content-Length': '11'}
    """
    tokens = [token for token in tokens if len(token) >= _STRIPPED]
    _take_cookies_off(headers, lambda pair: _holds_one(pair, tokens))
    for name, value in list(headers.items()):
        if _holds_one(_text(value), tokens):
            del headers[name]


def holds(headers: Headers, tokens: Collection[str]) -> bool:
    """Whether headers hold our cookie, or any of the tokens.

    >>> holds({"X-Token": "0123456789abcdef"}, ["0123456789abcdef"])
    True
    """
    if has_cookie(headers):
        return True
    return any(_holds_one(_text(value), tokens) for value in headers.values())


def has_cookie(headers: Headers) -> bool:
    """Whether there is a cookie with the name that CAVE reads a token from.

    >>> has_cookie({"Cookie": "a=1; middle_auth_token=89ab"}), has_cookie({"Cookie": "a=1"})
    (True, False)
    """
    return any(_is_ours(pair) for pair in _text(headers.get("Cookie")).split(";"))


def bearer_token(headers: Headers) -> str | None:
    """The bearer token of a request; None if there is none, "" if nothing follows the scheme.

    >>> bearer_token({"Authorization": "bearer 0123"})
    '0123'
    """
    scheme, _, token = _text(headers.get("Authorization")).partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def copy_of(request: PreparedRequest) -> PreparedRequest:
    """A copy of a request with headers of its own.

    It shares body, cookie jar and hooks. ``PreparedRequest.copy()`` copies the jar, too, which
    takes many times as long, and we don't change it.
    """
    twin = _twin(request)
    twin.headers = CaseInsensitiveDict(request.headers)
    return twin


def _twin(request: PreparedRequest) -> PreparedRequest:
    """A shallow copy, for the usual type three times as fast as ``copy.copy``."""
    if type(request) is not PreparedRequest:
        return copy.copy(request)
    twin = PreparedRequest.__new__(PreparedRequest)
    vars(twin).update(vars(request))
    return twin


class SignedHeaders(CaseInsensitiveDict[Any]):
    """Headers with the signature; a pickle and a ``repr`` leave it out.

    An auth object signs the request itself, and ``requests`` makes the next hop of a redirect from
    a copy of it. :attr:`follows` says whether such copies are signed, too.

    >>> from cave_auth_adapter.tokens import Source
    >>> headers = SignedHeaders({"Accept": "*/*"}, Token("0123456789abcdef", Source("token=")))
    >>> headers["Authorization"]
    'Bearer 0123456789abcdef'
    >>> headers
    {'Accept': '*/*'}
    """

    def __init__(self, headers: Headers, token: Token, state: dict[str, bool] | None = None):
        if type(headers) is CaseInsensitiveDict:
            vars(self).update(vars(headers.copy()))  # twice as fast as setting each header
        else:
            super().__init__(headers)
        self.token = token
        self._state = {"follows": True} if state is None else state  # one for all copies
        if state is None:
            sign(self, token.value)

    @property
    def is_signed(self) -> bool:
        """Whether the signature is still there: other code may have replaced the header."""
        return bearer_token(self) == self.token.value

    @property
    def follows(self) -> bool:
        """Whether copies of these headers, and of copies of them, are signed."""
        return self._state["follows"]

    @follows.setter
    def follows(self, value: bool) -> None:
        self._state["follows"] = value

    def bare(self) -> CaseInsensitiveDict[Any]:
        """The same headers without the signature."""
        bare = super().copy()
        if self.is_signed:
            del bare["Authorization"]
        _take_cookies_off(bare)
        return bare

    def copy(self) -> CaseInsensitiveDict[Any]:
        return SignedHeaders(self, self.token, self._state) if self.follows else self.bare()

    def __copy__(self) -> CaseInsensitiveDict[Any]:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> CaseInsensitiveDict[Any]:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return CaseInsensitiveDict, (dict(self.bare().items()),)

    def __repr__(self) -> str:
        return repr(self.bare())


def copy_changes(
    sent: PreparedRequest, asked: PreparedRequest, ours: tuple[str, str], token: str | None = None
) -> None:
    """Copy what an adapter has changed in the sent copy to the caller's request.

    CacheControl adds ``If-None-Match``, for example, and other adapters change the URL or the body.

    >>> asked, sent = PreparedRequest(), PreparedRequest()
    >>> asked.headers = CaseInsensitiveDict(Accept="*/*")
    >>> sent.headers = CaseInsensitiveDict({"Authorization": "Bearer 0123", "If-None-Match": "1"})
    >>> copy_changes(sent, asked, ("X-Requested-With", "cave-auth-adapter"), "0123")
    >>> asked.headers
    {'If-None-Match': '1'}

    :param ours: a header that we have added, beside the signature.
    :param token: our token: what holds it is not copied.
    """

    def is_shown(value: object) -> bool:
        return not (token and isinstance(value, (str, bytes)) and token in _text(value))

    asked.headers = headers = CaseInsensitiveDict() if asked.headers is None else asked.headers
    for name, value in vars(sent).items():
        is_known = name in ("headers", "hooks") or value is getattr(asked, name, None)
        if not is_known and is_shown(value):
            setattr(asked, name, value)
    for name, value in sent.headers.items():
        is_known = name in _SIGNATURE or (name, value) == ours or headers.get(name) == value
        if not is_known and is_shown(value):
            headers[name] = value
    for name in [*headers]:
        if name not in _SIGNATURE and name not in sent.headers:
            del headers[name]


def signed_copy(request: PreparedRequest, token: Token) -> PreparedRequest:
    """A signed copy of a request."""
    twin = _twin(request)
    twin.headers = SignedHeaders(request.headers, token)
    return twin


def without_signature(request: PreparedRequest) -> PreparedRequest:
    """A copy of a request without the signature, which the caller may see."""
    headers = request.headers
    if not isinstance(headers, SignedHeaders):
        return copy_of(request)
    twin = _twin(request)
    twin.headers = headers.bare()
    return twin


def has_empty_bearer(headers: Headers) -> bool:
    """Whether a bearer header has no token in it, like ``f"Bearer {None}"``.

    >>> has_empty_bearer({"Authorization": "Bearer None"})
    True
    >>> has_empty_bearer({"Authorization": "Bearer 0123"})
    False
    """
    token = bearer_token(headers)
    return token is not None and token.lower() in _NOBODYS


def comes_from_netrc(request: PreparedRequest) -> bool:
    """Whether the ``Authorization`` of a request is from netrc.

    ``requests`` adds it, again at each redirect. A ``default`` entry matches CAVE's hosts, too, but
    they accept only the Bearer scheme.
    """
    if not _text(request.headers.get("Authorization")).startswith("Basic "):
        return False
    found = get_netrc_auth(request.url or "")
    if found is None:
        return False
    probe = PreparedRequest()
    probe.headers = CaseInsensitiveDict()
    HTTPBasicAuth(*found)(probe)
    return bool(probe.headers["Authorization"] == request.headers["Authorization"])


def keep_out_of_jars(response: Response, token: str) -> None:
    """Remove cookies that hold our token from an answer, before requests puts them into jars.

    A jar sends them to other ports of the host, too, and without ``Secure`` over plain http.
    """
    raw = response.raw
    # urllib3 says at once that there is no such header; requests raises and catches KeyError first.
    if type(raw) is HTTPResponse and "Set-Cookie" not in raw.headers:
        return
    if token not in _text(response.headers.get("Set-Cookie")):
        return
    # requests.cookies.extract_cookies_to_jar reads this; without it, no jar is filled.
    message = getattr(getattr(raw, "_original_response", None), "msg", None)
    if message is not None:
        kept = [line for line in message.get_all("Set-Cookie", []) if token not in line]
        del message["Set-Cookie"]
        for line in kept:
            message["Set-Cookie"] = line
    cookies: list[Any] = list(response.cookies)
    for cookie in cookies:
        if token in (cookie.value or ""):
            response.cookies.clear(cookie.domain, cookie.path, cookie.name)


def rewind(request: PreparedRequest) -> bool:
    """Rewind the body of a request to send it again; False if it can't be sent twice.

    A file is rewound to its position when the request was prepared. A generator can't be rewound.
    """
    if request.body is None or isinstance(request.body, (bytes, str)):
        return True
    if not isinstance(request._body_position, int):
        return False
    try:
        rewind_body(request)
    except (UnrewindableBodyError, OSError, ValueError):  # ValueError: the file was closed
        return False
    return True


def discard(response: Response) -> None:
    """Close an answer and its connection.

    The server may be closing the connection without saying so, and the next request would fail.
    To keep it, we would have to read the whole body, which can take for ever.

    Answers of adapters for tests may have another kind of ``raw``, or none.
    """
    with contextlib.suppress(OSError, AttributeError):
        response.close()


def _text(value: object) -> str:
    """The value of a header as a string; http.client accepts numbers, too."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value or "")


def _is_ours(pair: str) -> bool:
    return pair.partition("=")[0].strip() == COOKIE_NAME


def _holds_one(value: str, tokens: Collection[str]) -> bool:
    return any(token in value for token in tokens)


def _take_cookies_off(headers: Headers, is_meant: Callable[[str], bool] = _is_ours) -> None:
    cookies = _text(headers.get("Cookie"))
    kept = _without(cookies, is_meant)
    if kept == cookies:
        return
    if kept:
        headers["Cookie"] = kept
    else:
        del headers["Cookie"]


def _without(cookies: str, is_meant: Callable[[str], bool] = _is_ours) -> str:
    """A Cookie header without some of its pairs.

    Semicolons separate pairs (RFC 6265, section 4.2.1). The other pairs stay byte for byte: some
    servers read quoted values with a semicolon in them, and the UTF-8 of "à" ends in a byte that
    ``str.strip`` takes for white space.
    """
    pairs = cookies.split(";")
    kept = [pair for pair in pairs if not is_meant(pair)]
    return cookies if len(kept) == len(pairs) else ";".join(kept).strip("; \t")
