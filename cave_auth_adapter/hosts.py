"""Which hosts are trusted, and why."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from . import store
from .errors import InvalidHostSpec, TokenFileError
from .origins import DEPLOYMENTS, HostSpec, Origin, TrustedHosts
from .runtime import warn_once
from .store import TokenStore
from .watch import Watch, environment


class KnownHosts:
    """The hosts that are trusted without being named in code.

    The known deployments, every server that has a secret file of its own, and the hosts in the
    variable ``CAVE_AUTH_HOSTS`` (comma separated). An entry of the variable that is not a host
    specification is left out, with one warning in the log.
    """

    def __init__(self) -> None:
        self._store = TokenStore()
        self._current: _Hosts | None = None

    def trusted_origin(self, url: str) -> Origin | None:
        """The origin of a URL that may see a token; None for every other URL."""
        current = self._current
        if current is None or not current.is_current():
            current = self._current = self._look()
        return current.hosts.trusted_origin(url)

    def _look(self) -> _Hosts:
        now, watch = environment(), Watch(self._store.directory)
        version = watch.look()  # before the directory is listed, so that no change is missed
        return _Hosts(TrustedHosts(self._specs()), now, watch, version)

    def _specs(self) -> Iterator[str]:
        for server, hosts in DEPLOYMENTS.items():
            yield server
            yield from hosts
        # A directory that can't be listed makes no server trusted. Whoever needs a token from
        # it gets the error then; a request to another host is none of our business.
        with contextlib.suppress(TokenFileError):
            yield from self._store.servers()
        for entry in named_hosts():
            try:
                HostSpec.parse(entry)
            except InvalidHostSpec as error:
                # Requests go to other hosts too, and those are none of its business.
                warn_once(f"The variable CAVE_AUTH_HOSTS: {error} It is left out.")
            else:
                yield entry


class _Hosts(NamedTuple):
    """The hosts that were found, and on what they rest."""

    hosts: TrustedHosts
    environment: tuple[object, ...]
    watch: Watch
    version: int

    def is_current(self) -> bool:
        watch = self.watch
        if time.monotonic() >= watch.look_at or watch.writes != store.writes:
            watch.look()
        return watch.version == self.version and self.environment == environment()


def named_hosts() -> list[str]:
    """The entries of the variable ``CAVE_AUTH_HOSTS``; they need not be host specifications."""
    entries = (entry.strip() for entry in os.environ.get("CAVE_AUTH_HOSTS", "").split(","))
    return [entry for entry in entries if entry]


class Trust(NamedTuple):
    host: str
    why: str


def trusted_hosts() -> Iterator[Trust]:
    """What is trusted, and why."""
    for server, patterns in DEPLOYMENTS.items():
        for host in dict.fromkeys([server, *patterns]):
            yield Trust(host, f"known deployment of {server}")
    store = TokenStore()
    for server in store.servers():
        yield Trust(server, f"has a secret file, {store.path_for(server).name}")
    for entry in named_hosts():
        with contextlib.suppress(InvalidHostSpec):
            HostSpec.parse(entry)
            yield Trust(entry, "named in the variable CAVE_AUTH_HOSTS")


def wrongly_named_hosts() -> Iterator[InvalidHostSpec]:
    """What is wrong with the entries of ``CAVE_AUTH_HOSTS`` that make nobody trusted."""
    for entry in named_hosts():
        try:
            HostSpec.parse(entry)
        except InvalidHostSpec as error:
            yield error
