"""Two opinions on where a URL leads that owe nothing to ``trust.py``.

A browser's: the URL standard, by Ada, the parser of Node.js. And that of ``requests`` itself:
the host and port to which the connection pool that it picks would connect.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import NamedTuple

import requests
from ada_url import URL
from requests.adapters import HTTPAdapter

_PORTS = {"http": 80, "https": 443}
_ADAPTER = HTTPAdapter()


class Place(NamedTuple):
    """Scheme, host and port; an IPv6 address is its number, since it can be written many ways."""

    scheme: str
    host: str | int
    port: int


def place(scheme: str, host: str, port: int) -> Place:
    bare = host.removeprefix("[").removesuffix("]")
    return Place(scheme, int(IPv6Address(bare)) if ":" in bare else bare, port)


def place_in_a_browser(url: str) -> Place | None:
    """The place that a browser opens; None if the text is no web URL to it."""
    # A browser's strings are UTF-16; it reads half a surrogate pair as U+FFFD (Web IDL, USVString).
    text = url.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    try:
        parsed = URL(text)
    except ValueError:
        return None
    scheme = parsed.protocol.removesuffix(":")
    if scheme not in _PORTS:
        return None
    return place(scheme, parsed.hostname, int(parsed.port or _PORTS[scheme]))


def place_of_requests(url: str) -> Place | None:
    """Where ``requests.get(url)`` would connect to; None where it would not connect at all."""
    try:
        return _place_of(requests.Request("GET", url).prepare())
    except (requests.RequestException, ValueError):  # a UnicodeError is a ValueError
        return None


def place_of_an_adapter(url: str) -> Place | None:
    """The same for a URL that was not prepared: one of a redirect, or set by hand."""
    request = requests.Request("GET", "https://replaced.example/").prepare()
    request.url = url
    try:
        return _place_of(request)
    except (requests.RequestException, ValueError):
        return None


def _place_of(request: requests.PreparedRequest) -> Place | None:
    if not (request.url or "")[:5].lower().startswith("http"):
        return None  # a session has no adapter for it
    pool = _ADAPTER.get_connection_with_tls_context(request, verify=False)
    return place(pool.scheme or "", pool.host.lower(), pool.port or _PORTS[pool.scheme or "http"])
