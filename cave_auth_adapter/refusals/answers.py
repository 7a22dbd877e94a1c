"""Read a server's answer safely: malformed parts raise nothing, and tokens are masked."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable, MutableMapping
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from requests import PreparedRequest, Response
from requests.exceptions import RetryError
from requests.models import REDIRECT_STATI
from urllib3.exceptions import ResponseError

from ..headers import COOKIE_NAME, bearer_token
from ..origins import parse_origin
from ..plain import printable

_LOGIN_PAGE = "/api/v1/authorize"  # of the auth service, under any prefix
_TERMS_PAGE = r"(?a)/api/v1/tos/\w{1,20}/accept\Z"
_CHALLENGE = 4096  # characters of a WWW-Authenticate header that are searched
_BEARER = r"(?i)\bBearer\b"
_ERROR = r'(?i)\berror="(\w{1,64})"'
_REALM = r'(?i)\brealm="([^"\s]{1,2000})"'
_COOKIE = rf"\b{COOKIE_NAME}=([^;\s]+)"
_ODD = r"[\x00-\x20\x7f\\]"
_DEPTH = 32  # levels of nested JSON
_DIGITS = 24  # of a number; a root id has 20
_LOOSE = 16  # tokens of this length or longer are found in encoded form, too
_NOT_OF_A_TOKEN = r"[^a-z0-9._~+/=-]"


# --- Words -------------------------------------------------------------------------------------


def parsed(body: bytes | str) -> Any:
    """The value of a JSON document.

    :raises ValueError: if it is not JSON, is nested too deep, or holds a number that is too big.

    >>> parsed(b'{"id": 1}')
    {'id': 1}
    """
    try:
        value = json.loads(body, parse_int=_int, parse_float=_float, parse_constant=_float)
    except RecursionError:
        raise ValueError("nested too deep") from None
    level = [value]
    for _ in range(_DEPTH):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return value
    raise ValueError("nested too deep")


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _int(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError("a number too big to work with")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number that is not finite")
    return number


def covered(text: str, secrets: Iterable[str]) -> str:
    """A text with its secrets masked: a server may repeat our token.

    >>> covered("no such user: 0123abcd", ["0123abcd"])
    'no such user: <token>'
    """
    for secret in filter(None, secrets):
        if secret.lower() in text.lower():
            text = re.sub(re.escape(secret), "<token>", text, flags=re.IGNORECASE)
        # Decoding makes no text longer, unless NFKC expands a letter.
        is_too_short = text.isascii() and len(text) < len(secret)
        if len(secret) >= _LOOSE and not is_too_short and _bare(secret) in _bare(text):
            return "<token>"
    return text


def _bare(text: str) -> str:
    """A text without what can hide a token: percent-encoding, entities, unusual characters."""
    import html  # takes 1 ms, for its table of entities

    for _ in range(3):  # a token that is encoded more often is unreadable anyway
        if "%" not in text and "&" not in text:
            break
        text = html.unescape(unquote(text))
    return re.sub(_NOT_OF_A_TOKEN, "", unicodedata.normalize("NFKC", text).lower())


def all_covered(value: Any, secrets: Iterable[str]) -> Any:
    """Mask the secrets in a value of :func:`parsed`, in the names of members, too."""
    if isinstance(value, str):
        return covered(value, secrets)
    if isinstance(value, list):
        return [all_covered(each, secrets) for each in value]
    if isinstance(value, dict):
        return {covered(k, secrets): all_covered(each, secrets) for k, each in value.items()}
    return value


# --- Headers -----------------------------------------------------------------------------------


def login_page(response: Response) -> str | None:
    """The address of the login page that an answer redirects to; None if it does not."""
    page = sent_to(response)
    return page if page and not is_terms_page(page) else None


def is_terms_page(page: str) -> bool:
    """Whether an address is one where people accept terms of service."""
    return re.search(_TERMS_PAGE, urlsplit(page).path) is not None


def realm(response: Response) -> str:
    """The address of the login page that a bearer challenge names; empty without one."""
    found = re.search(_REALM, header(response, "WWW-Authenticate")[:_CHALLENGE])
    return found[1] if found and found[1].endswith(_LOGIN_PAGE) else ""


def sent_to(response: Response) -> str | None:
    """The login page or terms page that an answer redirects to; None if it does not."""
    target = redirect_target(response)
    if target and (urlsplit(target).path.endswith(_LOGIN_PAGE) or is_terms_page(target)):
        return target
    return None


def redirect_target(response: Response) -> str | None:
    """The absolute URL that a redirect leads to; None for other answers and ambiguous URLs.

    A URL is ambiguous if parsers may disagree about it: more than two slashes, backslashes, white
    space, or a scheme without an authority. requests may then go elsewhere.
    """
    location = header(response, "Location")
    if not location or response.status_code not in REDIRECT_STATI:
        return None
    # http.client decodes headers as Latin-1, but servers send UTF-8. requests does the same in
    # SessionRedirectMixin.get_redirect_target.
    location = location.encode("latin-1", "replace").decode("utf-8", "replace")
    try:
        if location.startswith("//"):
            location = f"{urlsplit(url_of(response)).scheme}:{location}"
        if parse_origin(location):
            return location
        is_relative = ":" not in location.partition("/")[0] and not location.startswith("//")
        if not is_relative or re.search(_ODD, location):
            return None
        target = urljoin(url_of(response), location)
        urlsplit(target)
    except ValueError:  # not a URL, such as https://[
        return None
    return target


def history_of(response: Response) -> Iterable[Response]:
    history = getattr(response, "history", None)
    return history if isinstance(history, (list, tuple)) else ()


def url_of(response: Response) -> str:
    url = getattr(response, "url", None)
    return url if isinstance(url, str) else ""


def status_of(response: Response) -> int:
    """The status of an answer; 0 if a hand-made answer has none, or one that is not a number."""
    status = getattr(response, "status_code", None)
    return status if isinstance(status, int) else 0


def header(response: Response, name: str) -> str:
    """A header of an answer. A hand-made answer may have bytes as headers, or no headers."""
    try:
        value = response.headers.get(name)
    except AttributeError:
        return ""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value or "")


def host_in(url: str) -> str:
    """The host of an unusual URL, to show to people."""
    authority = url.partition("://")[2].partition("/")[0].partition("?")[0]
    return printable(authority.rpartition("@")[2])


def challenge(response: Response) -> str:
    """The error in a bearer challenge; a challenge without one means that a token is missing.

    See RFC 6750, section 3.
    """
    said = header(response, "WWW-Authenticate")[:_CHALLENGE]
    scheme = re.search(_BEARER, said)
    if scheme and (error := re.search(_ERROR, said[scheme.end() :])):
        return error[1]
    return "no_token" if _LOGIN_PAGE in said else ""


def headers_sent(response: Response) -> MutableMapping[str, str | bytes]:
    """The headers of the request; empty if a test's adapter made an answer without a request."""
    headers = getattr(getattr(response, "request", None), "headers", None)
    return headers if isinstance(headers, MutableMapping) else {}


def tokens_sent(response: Response) -> list[str]:
    """The tokens that a request carried, in its header and its cookie."""
    headers = headers_sent(response)
    cookies = headers.get("Cookie") or ""
    cookies = cookies.decode("latin-1") if isinstance(cookies, bytes) else str(cookies)
    found = [bearer_token(headers), *re.findall(_COOKIE, cookies)]
    return [token for token in found if token]


def scheme_of(response: Response) -> str:
    """The scheme of a request's Authorization header, in lower case."""
    value = headers_sent(response).get("Authorization") or ""
    value = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return value.partition(" ")[0].lower()


class HiddenRefusal(Response):
    """The 401 behind a ``RetryError``: a ``Retry`` with 401 in its ``status_forcelist`` hides it.

    :ivar error: what ``requests`` raised instead.
    """

    def __init__(self, error: RetryError, sent: PreparedRequest):
        super().__init__()
        self.error = error
        self.request = sent
        self.url = sent.url or ""
        self.status_code = 401
        self.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'

    @staticmethod
    def is_behind(error: RetryError) -> bool:
        """Whether the last answer was a 401."""
        reason = getattr(error.args[0] if error.args else None, "reason", None)
        return str(reason) == ResponseError.SPECIFIC_ERROR.format(status_code=401)
