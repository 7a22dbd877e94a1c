"""Say why a server did not answer: the network, a proxy, a certificate, a captive portal."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

from requests.exceptions import InvalidSchema, ProxyError, SSLError, Timeout
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import NewConnectionError, ReadTimeoutError

from ..shells import unset

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # in the order of requests
PROXIES = ("HTTPS_PROXY", "ALL_PROXY")  # also in lower case, which comes first

#: Advice if somebody else answered in place of the server.
CAPTIVE = (
    ". If your network has a login page of its own, as in hotels, open any page in a browser first"
)

_CHECK = "Check the address and your network connection, and try again."


def describe_failure(error: BaseException, timeout: float, url: str) -> str:
    """Say why a server did not answer, as the end of a sentence that begins with its name.

    :param timeout: how long we waited, in seconds.
    :param url: the URL of the request.
    """
    text, is_proxied = str(error), bool(select_proxy(url, get_environ_proxies(url)))
    if url.startswith("https") and (missing := missing_bundle()):
        name, path = missing
        return (
            f"was not contacted: the variable {name} names {path}, which does not exist. Name an "
            f"existing CA bundle, or {unset(name)}."
        )
    if isinstance(error, InvalidSchema) and "SOCKS" in text:
        return (
            f"was not contacted: {proxy_variable()} names a SOCKS proxy, which needs a package "
            'that is not installed: pip install "requests[socks]"'
        )
    if isinstance(error, ProxyError) or (is_proxied and _is_no_connection(error)):
        return _describe_proxy(error, text)
    if isinstance(error, (Timeout, TimeoutError, ReadTimeoutError)):
        return f"did not answer within {timeout:g} seconds. Try again later. {_CHECK}"
    if isinstance(error, SSLError):
        return _describe_certificate(text)
    if any(_is_unknown_name(each) for each in _causes(error)):
        return (
            "can't be found: its name does not resolve. Check the spelling of the address, and "
            "that you are on the right network or VPN."
        )
    return f"can't be reached: {_reason(error)}. {_CHECK}"


def _is_no_connection(error: BaseException) -> bool:
    return any(isinstance(each, NewConnectionError) for each in _causes(error))


def _is_unknown_name(error: BaseException) -> bool:
    # urllib3 has a class for that since 2.0.
    return isinstance(error, socket.gaierror) or type(error).__name__ == "NameResolutionError"


def _describe_proxy(error: BaseException, text: str) -> str:
    name = proxy_variable()
    if "407" in text:
        return (
            f"can't be reached: the proxy that {name} names wants a user name and a password "
            f"(status 407). Add them to {name}: http://USER:PASSWORD@PROXY:PORT"
        )
    return (
        f"can't be reached through the proxy that {name} names: {_reason(error)}. Check {name}, "
        "or unset it if you need no proxy."
    )


def _describe_certificate(text: str) -> str:
    if "WRONG_VERSION_NUMBER" in text or "record layer" in text.lower():
        return "does not speak TLS on that port. Check the port in the address."
    bundle = next((name for name in BUNDLES if os.environ.get(name)), None)
    named = f" It was checked with the CA bundle that {bundle} names." if bundle else ""
    return (
        f"can't be trusted: its certificate is not valid.{named} If your network needs a "
        "certificate of its own, name its CA bundle in the variable REQUESTS_CA_BUNDLE"
        f"{CAPTIVE}."
    )


def missing_bundle() -> tuple[str, str] | None:
    """The variable that names a missing CA bundle, and its value; None if there is none.

    requests uses the first that is set, and no other.
    """
    for name in BUNDLES:
        if path := os.environ.get(name):
            return None if os.path.exists(path) else (name, path)
    return None


def proxy_variable() -> str:
    """The variable that names the proxy for https."""
    spellings = [spelling for name in PROXIES for spelling in (name.lower(), name)]
    return next((name for name in spellings if os.environ.get(name)), PROXIES[0])


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and the errors inside it, outermost first."""
    for _ in range(10):  # limited, because causes may form a circle
        if error is None:
            return
        yield error
        inner = [arg for arg in error.args if isinstance(arg, BaseException)]
        reason = getattr(error, "reason", None)
        if isinstance(reason, BaseException):
            inner.insert(0, reason)
        error = inner[0] if inner else error.__cause__ or error.__context__


def _reason(error: BaseException) -> str:
    """The operating system's reason for a failure, which urllib3 wraps in other errors."""
    for each in _causes(error):
        if isinstance(each, OSError) and each.strerror and each.errno:
            return str(each.strerror).lower()
    return "the connection failed"
