"""Decide which hosts are trusted: by the table, secret files, ``CAVE_AUTH_HOSTS`` or ``hosts=``."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from .errors import InvalidHostSpec, TokenFileError
from .origins import DEPLOYMENTS, HostSpec, Origin, TrustedHosts
from .providers import changed
from .runtime import on_reset, warn_once
from .store import TokenStore
from .watch import HOST_VARIABLES, Variables, Watch, Watched, unchanged


class Trust(NamedTuple):
    """A host specification that makes hosts trusted, and the reason.

    :ivar host: the specification: ``host``, ``*.suffix``, ``host:port``, …
    :ivar by: what names it.
    :ivar of: the auth server of the deployment, or the name of the secret file.
    """

    host: str
    by: Literal["table", "file", "CAVE_AUTH_HOSTS", "hosts="]
    of: str = ""

    @property
    def why(self) -> str:
        """The reason in words."""
        if self.by == "table":
            return f"known deployment of {self.of}"
        if self.by == "file":
            return f"has a secret file, {self.of}"
        if self.by == "CAVE_AUTH_HOSTS":
            return "named in the variable CAVE_AUTH_HOSTS"
        return "named in code, by hosts="

    def covers(self, origin: Origin) -> bool:
        """Whether the specification matches a host."""
        return TrustedHosts([self.host]).include(origin)


class NamedHosts(TrustedHosts):
    """Exactly the hosts that the caller names, by ``hosts=``."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NamedHosts) or type(other) is not type(self):
            return False
        return (other._origins, other._suffixes) == (self._origins, self._suffixes)

    def __hash__(self) -> int:
        return hash((frozenset(self._origins), frozenset(self._suffixes)))

    def names(self, origin: Origin) -> bool:
        """Whether the caller named a host."""
        return self.include(origin)

    def why(self, origin: Origin) -> Trust | None:
        """Why a host is trusted; None if it is not."""
        return Trust(origin.server, "hosts=") if self.include(origin) else None


class KnownHosts:
    """The hosts that are trusted without being named in code.

    These are the known deployments, every server that has a secret file of its own, and the hosts
    in the variable ``CAVE_AUTH_HOSTS`` (comma separated). An entry of the variable that is not a
    host specification is ignored, with one warning in the log.

    All objects are equal, and share one cache.
    """

    def trusted_origin(self, url: str) -> Origin | None:
        """The origin of a URL that may see a token; None for every other URL."""
        # The table comes first: its hosts need no look at files or variables.
        return _TABLE.trusted_origin(url) or _known().hosts.trusted_origin(url)

    def names(self, origin: Origin) -> bool:
        """Whether the caller named a host, in the variable ``CAVE_AUTH_HOSTS``."""
        return _known().named.include(origin)

    def why(self, origin: Origin) -> Trust | None:
        """Why a host is trusted; None if it is not."""
        return next((trust for trust in _known().reasons if trust.covers(origin)), None)

    def __eq__(self, other: object) -> bool:
        return type(other) is KnownHosts

    def __hash__(self) -> int:
        return hash(KnownHosts)


_TABLE = TrustedHosts(host for item in DEPLOYMENTS.items() for host in (item[0], *item[1]))


class _Known(NamedTuple):
    """The trusted hosts, and the state of the variables and files that they come from."""

    hosts: TrustedHosts
    named: TrustedHosts
    reasons: tuple[Trust, ...]
    variables: Variables
    changed: int
    watched: tuple[Watched, ...]

    def is_current(self) -> bool:
        return (
            unchanged(self.watched, time.monotonic())
            and self.changed == changed()
            and self.variables.are_current()
        )


_current: _Known | None = None  # no lock: if two threads find it outdated, both replace it


def _known() -> _Known:
    global _current
    known = _current
    if known is None or not known.is_current():
        known = _current = _find_hosts()
    return known


def _find_hosts() -> _Known:
    # Note the state first, so that a change while we look is noticed the next time.
    variables, now = Variables(HOST_VARIABLES), changed()
    watched = tuple((watch, watch.look()) for watch in _watches())
    for wrong in wrongly_named_hosts():
        # A warning, no error: requests to other hosts must not fail.
        warn_once(f"The variable CAVE_AUTH_HOSTS: {wrong} The entry is ignored.")
    reasons = tuple(trusted_hosts())
    named = TrustedHosts(trust.host for trust in reasons if trust.by == "CAVE_AUTH_HOSTS")
    hosts = TrustedHosts(trust.host for trust in reasons)
    return _Known(hosts, named, reasons, variables, now, watched)


def _watches() -> Iterator[Watch]:
    """What notices a change of the files whose names, owners and modes make servers trusted."""
    store = TokenStore()
    yield Watch(store.directory)
    places: set[Path] = set()
    with contextlib.suppress(TokenFileError):
        for path in store.own_files().values():
            target = Path(os.path.realpath(path))
            places |= {path, target, target.parent}
    yield Watch(*places - {store.directory})


def trusted_hosts() -> Iterator[Trust]:
    """The host specifications that are trusted now, each with the reason."""
    for server, patterns in DEPLOYMENTS.items():
        for host in dict.fromkeys([server, *patterns]):
            yield Trust(host, "table", server)
    store = TokenStore()
    try:
        servers = store.servers()
    except TokenFileError:
        # A directory that can't be listed makes no server trusted. The error is raised when a
        # token is needed from it, so that requests to other hosts don't fail.
        servers = []
    for server in servers:
        yield Trust(server, "file", store.path_for(server).name)
    for entry in named_hosts():
        if not isinstance(_parsed(entry), InvalidHostSpec):
            yield Trust(entry, "CAVE_AUTH_HOSTS")


def wrongly_named_hosts() -> Iterator[InvalidHostSpec]:
    """The errors in the entries of ``CAVE_AUTH_HOSTS``."""
    for entry in named_hosts():
        if isinstance(error := _parsed(entry), InvalidHostSpec):
            yield error


def named_hosts() -> list[str]:
    """The entries of the variable ``CAVE_AUTH_HOSTS``, valid or not."""
    entries = (entry.strip() for entry in os.environ.get("CAVE_AUTH_HOSTS", "").split(","))
    return [entry for entry in entries if entry]


def _parsed(entry: str) -> HostSpec | InvalidHostSpec:
    try:
        return HostSpec.parse(entry)
    except InvalidHostSpec as error:
        return error


def _forget() -> None:
    global _current
    _current = None


on_reset(_forget)
