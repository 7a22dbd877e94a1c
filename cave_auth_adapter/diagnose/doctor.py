"""Find what is wrong with the set-up of this computer, and what can be fixed safely."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Generator, Iterator
from email.utils import parsedate_to_datetime
from importlib import metadata

import requests

from .. import programs
from .._version import __version__
from ..errors import CaveAuthError, ServerUnreachable
from ..origins import server_name
from ..service import DEFAULT_SERVER
from ..service.waiting import all_done, within
from ..store import TokenStore
from ..words import person, printable, where
from .changes import look_at_changes
from .check import unreachable
from .findings import Finding
from .secret_files import look_at_default_file, look_at_files, servers_of
from .status import Holding, Status, holdings, is_404, statuses_of
from .surroundings import look_around
from .written import look_at_what_was_written

_CLOCK = 300  # seconds; Kerberos tolerates as much (RFC 4120, section 1.6)
_TIMEOUT = 10.0  # seconds
_VERSIONS = ("requests", "urllib3", "caveclient", "cloud-volume", "cloud-files")
_OLDEST_REQUESTS = (2, 32, 3)


def examine() -> Iterator[Finding]:
    """Check everything, one thing after the other."""
    store = TokenStore()
    yield from look_at_files(store)
    yield from look_at_default_file(store)
    yield from look_at_changes(store)
    yield from look_around()
    yield from _servers(store)
    asked = yield from _tokens()
    yield from _versions()
    enabled = programs.hook_file().exists()
    yield Finding("ok", f"cave-auth enable: {'on' if enabled else 'off'} in {sys.prefix}")
    yield from look_at_what_was_written(store, asked)


# --- Servers -------------------------------------------------------------------------------


def _servers(store: TokenStore) -> Iterator[Finding]:
    """Check the clock and certificates with one request to each server."""
    servers = servers_of(store) or [server_name(DEFAULT_SERVER)]
    started = time.time()
    asked = all_done([functools.partial(_head, server) for server in servers], servers)
    for server, answer in zip(servers, asked, strict=True):
        try:
            response = answer.result()
        except (requests.RequestException, OSError) as error:
            yield Finding("problem", str(unreachable(f"https://{server}/", error)))
            continue
        yield Finding("ok", f"{server} can be reached, and its certificate is valid.")
        yield from _clock(server, response.headers.get("Date"), started)


def _head(server: str) -> requests.Response:
    with requests.Session() as session:
        session.auth = lambda request: request  # send no password from netrc, and no token
        head = functools.partial(session.head, timeout=_TIMEOUT, allow_redirects=False)
        return within(_TIMEOUT, lambda: head(f"https://{server}/"), server)


def _clock(server: str, date: str | None, now: float) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, OverflowError):
        return
    if abs(theirs - now) > _CLOCK:
        slow = "slow" if theirs > now else "fast"
        minutes = abs(theirs - now) / 60
        yield Finding("problem", f"Your clock is {minutes:.0f} minutes {slow}, says {server}.")


def _tokens() -> Generator[Finding, None, list[tuple[Holding, Status]]]:
    """Check each token in use with the server of its own deployment.

    :return: each token, and its server's answer.
    """
    try:
        found = holdings()
    except CaveAuthError as error:
        yield Finding("problem", str(error))
        return []
    asked = list(zip(found, statuses_of(found), strict=True))
    for _, status in asked:
        if status.error is None and status.source:
            who = person(status.user or {})
            yield Finding(
                "ok", f"The token from {where(status.source)} works at {status.server}: {who}."
            )
        elif status.error and is_404(status.error):
            yield Finding(
                "note",
                f"{status.server} has no auth service to check its token with. Check an address "
                f"there: cave-auth check https://{status.server}/",
            )
        elif status.error and not isinstance(status.error, ServerUnreachable):  # reported above
            yield Finding("problem", str(status.error))
        for terms in status.missing_terms:
            name, dataset = printable(terms["name"]), printable(terms["dataset"])
            yield Finding(
                "note",
                f"{status.server}: to use {dataset}, accept {name!r}: "
                f"cave-auth terms --server {status.server}",
            )
    return asked


# --- Versions ------------------------------------------------------------------------------


def _versions() -> Iterator[Finding]:
    found = {"cave-auth-adapter": __version__}
    for name in _VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    python = ".".join(map(str, sys.version_info[:3]))
    listed = ", ".join(f"{name} {version}" for name, version in found.items())
    yield Finding("ok", f"Python {python}, {listed}")
    if _numbers(found["requests"]) < _OLDEST_REQUESTS:
        yield Finding("problem", 'requests is too old: pip install "requests>=2.32.3"')


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
