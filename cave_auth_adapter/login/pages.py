"""The page that the browser shows after a login: plain, self-contained, safe to leave open."""

from __future__ import annotations

import html
import secrets
from string import Template
from typing import NamedTuple

from ..errors import (
    CaveAuthError,
    PermissionMissing,
    TermsNotAccepted,
    TokenFileError,
    TokenNotFound,
    TokenRefused,
)


class Page(NamedTuple):
    """The texts of a page, not HTML.

    :ivar status: the status of the HTTP answer.
    :ivar mark: the sign above the title: ``"good"``, ``"bad"`` or ``"wait"``.
    """

    status: int
    mark: str
    title: str
    text: str
    hint: str = "You can close this tab."
    keep_address: bool = False  #: whether to keep the token in the address bar, to be copied


def logged_in(who: str, server: str) -> Page:
    """The page after a successful login."""
    return Page(
        200,
        "good",
        "You are logged in",
        f"Programs on this computer can now use {server} as {who}.",
    )


def question(who: str, server: str) -> Page:
    """The page after a login to another account, which the user must confirm."""
    return Page(
        200,
        "wait",
        "One more question",
        f"You logged in to {server} as {who}. Another account is in use on this computer.",
        "Go back to the terminal to answer; you can close this tab.",
    )


def failure(error: CaveAuthError) -> Page:
    """The page after a failed login."""
    for kind, page in _FAILURES:
        if isinstance(error, kind):
            return page
    return _UNREACHABLE


_AGAIN = "Go back to the terminal and start again; you can close this tab."
_SEE_TERMINAL = "The terminal says more; you can close this tab."

_UNREACHABLE = Page(
    502,
    "bad",
    "The server does not answer",
    "You logged in, but this computer could not verify it with the server. Nothing was saved.",
    _SEE_TERMINAL,
)
_FAILURES: tuple[tuple[type[CaveAuthError] | tuple[type[CaveAuthError], ...], Page], ...] = (
    (
        (TokenRefused, TokenNotFound),
        Page(
            403,
            "bad",
            "The server does not know this login",
            "The token that came back is not one of the server you are logging in to. "
            "Nothing was saved.",
            _AGAIN,
        ),
    ),
    (
        (PermissionMissing, TermsNotAccepted),
        Page(
            403,
            "bad",
            "Your account may not do this",
            "The server knows you, but does not let your account make a key. Nothing was saved.",
            _SEE_TERMINAL,
        ),
    ),
    (
        TokenFileError,
        Page(
            500,
            "bad",
            "Your login could not be saved",
            "The server confirmed your login, but its file can't be written.",
            _SEE_TERMINAL,
        ),
    ),
)

COPY_ADDRESS = Page(
    200,
    "wait",
    "One more step",
    "Copy the address of this page from the address bar, and paste it where you started the login.",
    "It holds a token: paste it nowhere else.",
    keep_address=True,
)
NO_TOKEN = Page(
    400,
    "bad",
    "The login is not complete",
    "This page was opened without a token from the server. Nothing was saved.",
    "The terminal is still waiting: open the address that it shows, and log in.",
)
BROKEN_OFF = Page(
    503,
    "bad",
    "The login was cancelled",
    "It was stopped in the terminal. Nothing was saved.",
    _AGAIN,
)
USED = Page(
    410,
    "bad",
    "This address was used already",
    "An address for a login works once. See the first tab, or the terminal, for the result.",
)
WRONG_PATH = Page(
    404,
    "bad",
    "There is nothing here",
    "This is not the address of the current login.",
    "Open the address that the terminal shows; you can close this tab.",
)
# Not 421 or 408: browsers repeat such a request silently.
WRONG_HOST = Page(
    403,
    "bad",
    "This request was not meant for us",
    "It has another host name than the current login.",
)
WRONG_METHOD = Page(405, "bad", "This is not a login", "A login comes with a GET request.")
NOT_HTTP = Page(400, "bad", "This is not a login", "The request could not be understood.")
TOO_LONG = Page(431, "bad", "This is not a login", "The request is far too long.")
TOO_SLOW = Page(400, "bad", "This is not a login", "The request took too long to arrive.")


def response(page: Page) -> bytes:
    """A page as a complete HTTP answer.

    >>> response(WRONG_PATH).partition(b"\\r\\n")[0]
    b'HTTP/1.1 404 Not Found'
    """
    nonce = secrets.token_urlsafe(16)
    texts = {name: html.escape(str(value)) for name, value in page._asdict().items()}
    sign = _SIGNS[page.mark]
    script = "" if page.keep_address else _SCRIPT.substitute(nonce=nonce)
    body = _TEMPLATE.substitute(texts, nonce=nonce, sign=sign, script=script).encode()
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Length": str(len(body)),
        "Connection": "close",
        "Cache-Control": "no-store",
        "Content-Security-Policy": _POLICY.substitute(nonce=nonce),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if page.status == 405:
        headers["Allow"] = "GET"  # RFC 9110, section 15.5.6
    lines = [f"HTTP/1.1 {page.status} {_REASONS[page.status]}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


# http.HTTPStatus changed some of its phrases with RFC 9110 in Python 3.13.
_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    410: "Gone",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
}

_POLICY = Template(
    "default-src 'none'; style-src 'nonce-$nonce'; script-src 'nonce-$nonce'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_SIGNS = {
    "good": '<path d="M14 25l7 7 14-15"/>',
    "bad": '<path d="M16 16l16 16M32 16L16 32"/>',
    "wait": '<path d="M24 13v15M24 34v1"/>',
}

# Removes the token from the address bar and the tab's history. The page works without it.
_SCRIPT = Template('<script nonce="$nonce">history.replaceState(null, "", "/");</script>')

# The icon keeps browsers from requesting /favicon.ico.
_TEMPLATE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title - cave-auth</title>
<link rel="icon" href="data:,">
$script
<style nonce="$nonce">
  :root { --paper: #f4f6f8; --card: #fff; --ink: #1c2733; --soft: #5b6875; --line: #dde3e9;
          --good: #1a7f4b; --bad: #b3382c; --wait: #a66a00; }
  @media (prefers-color-scheme: dark) {
    :root { --paper: #12171d; --card: #1b222a; --ink: #e8edf2; --soft: #9aa7b4; --line: #2c3641;
            --good: #4cc38a; --bad: #f0776a; --wait: #e6b450; }
  }
  * { box-sizing: border-box; }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
         background: var(--paper); color: var(--ink);
         font: 1.0625rem/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
  main { width: 100%; max-width: 30rem; padding: 2.5rem 2.25rem 2rem; text-align: center;
         background: var(--card); border: 1px solid var(--line); border-radius: 1rem;
         box-shadow: 0 1rem 2.5rem rgb(0 0 0 / 7%); }
  svg { width: 3.5rem; height: 3.5rem; fill: none; stroke-width: 3.2;
        stroke-linecap: round; stroke-linejoin: round; }
  .good { stroke: var(--good); } .bad { stroke: var(--bad); } .wait { stroke: var(--wait); }
  circle { stroke-width: 2; opacity: .35; }
  h1 { margin: .9rem 0 .6rem; font-size: 1.5rem; line-height: 1.25; }
  p { margin: 0 0 .9rem; overflow-wrap: anywhere; }
  .hint { color: var(--soft); }
  footer { margin-top: 1.6rem; padding-top: 1rem; border-top: 1px solid var(--line);
           color: var(--soft); font-size: .875rem; }
</style>
</head>
<body>
<main>
<svg class="$mark" viewBox="0 0 48 48" aria-hidden="true">
<circle cx="24" cy="24" r="22"/>$sign</svg>
<h1>$title</h1>
<p>$text</p>
<p class="hint">$hint</p>
<footer>cave-auth, on this computer</footer>
</main>
</body>
</html>
""")
