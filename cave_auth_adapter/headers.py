"""The signature: what makes a request authenticated, put on it and taken off again.

``Authorization: Bearer <token>`` (RFC 6750, section 2.1) and the cookie
``middle_auth_token=<token>``. Never a query parameter: those end up in access logs.
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

from .tokens import Token

COOKIE_NAME = "middle_auth_token"
_SIGNATURE = ("Authorization", "Cookie")  # the headers that it is in
_NOBODYS = ("", "none", "null", "undefined")  # in lower case
_STRIPPED = 16  # characters; what is shorter may be part of an innocent header

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
    if "Cookie" in headers:
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

    >>> token = "0123456789abcdef"
    >>> headers = {"X": "1", "X-Token": token, "Cookie": f"a=1; middle_auth_token=89ab; b={token}"}
    >>> strip(headers, [token])
    >>> headers
    {'X': '1', 'Cookie': 'a=1'}
    """
    _take_cookies_off(headers)
    strip_values(headers, tokens)


def strip_values(headers: Headers, tokens: Collection[str]) -> None:
    """Take off each header and each cookie that holds one of the tokens.

    A token of fewer than 16 characters (``test``, say) may be part of anything, and is left.

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
    """Whether there is a cookie of the name that CAVE takes a token from.

    >>> has_cookie({"Cookie": "a=1; middle_auth_token=89ab"}), has_cookie({"Cookie": "a=1"})
    (True, False)
    """
    return any(_is_ours(pair) for pair in _text(headers.get("Cookie")).split(";"))


def bearer_token(headers: Headers) -> str | None:
    """The bearer token of a request; None without one, "" if the scheme has nothing behind it.

    >>> bearer_token({"Authorization": "bearer 0123"})
    '0123'
    """
    scheme, _, token = _text(headers.get("Authorization")).partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def copy_of(request: PreparedRequest) -> PreparedRequest:
    """A copy of a request whose headers can be changed without a trace in the original.

    Body, cookie jar and hooks are shared: ``PreparedRequest.copy()`` duplicates the jar too, which
    costs many times as much, and nothing here changes it.
    """
    twin = _twin(request)
    twin.headers = CaseInsensitiveDict(request.headers)
    return twin


def _twin(request: PreparedRequest) -> PreparedRequest:
    """A shallow copy; for the usual type in a third of the time that ``copy.copy`` takes."""
    if type(request) is not PreparedRequest:
        return copy.copy(request)
    twin = PreparedRequest.__new__(PreparedRequest)
    vars(twin).update(vars(request))
    return twin


class SignedHeaders(CaseInsensitiveDict[Any]):
    """Headers with the signature on them; a pickle and a ``repr`` leave it out.

    A request that an auth object signs is the one that ``requests`` goes on with, and makes the
    next hop of a redirect from a copy of: :attr:`follows` says whether such copies are signed, too.

    >>> from cave_auth_adapter.tokens import Source
    >>> headers = SignedHeaders({"Accept": "*/*"}, Token("0123456789abcdef", Source("token=")))
    >>> headers["Authorization"]
    'Bearer 0123456789abcdef'
    >>> headers
    {'Accept': '*/*'}
    """

    def __init__(self, headers: Headers, token: Token, state: dict[str, bool] | None = None):
        if type(headers) is CaseInsensitiveDict:
            vars(self).update(vars(headers.copy()))  # setting each again takes twice as long
        else:
            super().__init__(headers)
        self.token = token
        self._state = {"follows": True} if state is None else state  # one for all copies
        if state is None:
            sign(self, token.value)

    @property
    def is_signed(self) -> bool:
        """Whether the signature is still on: others may have replaced the header."""
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
        bare = CaseInsensitiveDict(self.items())
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


def keep_changes(
    sent: Headers, asked: Headers, ours: tuple[str, str], token: str | None = None
) -> None:
    """Let the caller's request have what an adapter has put on the copy that it sent.

    CacheControl adds ``If-None-Match`` and ``If-Modified-Since`` to the request that it is handed.

    >>> sent = {"Authorization": "Bearer 0123", "If-None-Match": '"1"', "Accept": "*/*"}
    >>> asked = {"Accept": "*/*"}
    >>> keep_changes(sent, asked, ("X-Requested-With", "cave-auth-adapter"), "0123")
    >>> asked
    {'Accept': '*/*', 'If-None-Match': '"1"'}

    :param ours: a header, beside the signature, that we have put there.
    :param token: what is in none of the headers that are kept.
    """
    for name, value in sent.items():
        if name in _SIGNATURE or (name, value) == ours or asked.get(name) == value:
            continue
        if not token or token not in _text(value):
            asked[name] = value


def signed_copy(request: PreparedRequest, token: Token) -> PreparedRequest:
    """A copy of a request with the signature on it."""
    twin = _twin(request)
    twin.headers = SignedHeaders(request.headers, token)
    return twin


def without_signature(request: PreparedRequest) -> PreparedRequest:
    """A copy of a request that is signed in place, as the caller may see it."""
    headers = request.headers
    if not isinstance(headers, SignedHeaders):
        return copy_of(request)
    twin = _twin(request)
    twin.headers = headers.bare()
    return twin


def is_nobodys(headers: Headers) -> bool:
    """Whether a bearer header has no token in it, as ``f"Bearer {None}"`` has none.

    >>> is_nobodys({"Authorization": "Bearer None"}), is_nobodys({"Authorization": "Bearer 0123"})
    (True, False)
    """
    token = bearer_token(headers)
    return token is not None and token.lower() in _NOBODYS


def comes_from_netrc(request: PreparedRequest) -> bool:
    """Whether the ``Authorization`` of a request is the one that netrc has for its URL.

    ``requests`` fills it in unasked, and again at each redirect; a ``default`` entry matches CAVE's
    hosts, too, which know no other scheme than Bearer.
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
    if token not in response.headers.get("Set-Cookie", ""):
        return
    # What requests.cookies.extract_cookies_to_jar reads; answers that lack it fill no jar.
    message = getattr(getattr(response.raw, "_original_response", None), "msg", None)
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


def _text(value: object) -> str:
    """The value of a header; http.client takes numbers, too."""
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
