"""Find the hosts that get another token than with earlier releases, or none, and say why."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator

from ..errors import CaveAuthError, InvalidHostSpec
from ..hosts import KnownHosts, named_hosts
from ..origins import DEPLOYMENTS, HostSpec, Origin, auth_server_of
from ..sources import Credentials
from ..store import TokenStore
from .findings import Finding
from .secret_files import load


def look_at_changes(store: TokenStore) -> Iterator[Finding]:
    """What this release changes on this computer, host by host."""
    known, credentials = KnownHosts(), Credentials()
    changes: dict[str, list[str]] = defaultdict(list)
    for origin in _hosts(store):
        before = _token_before(store, origin)
        if before is None:
            continue
        if known.trusted_origin(f"{origin.scheme}://{origin.server}/") is None:
            changes["is no longer trusted: a secret file does not make it trusted"].append(
                origin.server
            )
            continue
        with contextlib.suppress(CaveAuthError):
            now = credentials.token_for(origin)
            if now is None:
                changes["gets no token now: cave-secret.json holds another server's"].append(
                    origin.server
                )
            elif now.source.kind == "file" and now.value != before:
                changes[f"gets another token than before, from {now.source}"].append(origin.server)
    for change, servers in changes.items():
        for server in servers:
            login = auth_server_of(HostSpec.parse(server).origin) or server
            yield Finding("note", f"{server} {change}. Log in: cave-auth login {login}")


def _hosts(store: TokenStore) -> Iterator[Origin]:
    """The hosts that this computer may have a token for."""
    with contextlib.suppress(CaveAuthError):
        for server in dict.fromkeys([*DEPLOYMENTS, *store.own_files()]):
            yield HostSpec.parse(server).origin
    for entry in named_hosts():
        with contextlib.suppress(InvalidHostSpec):
            spec = HostSpec.parse(entry)
            if not spec.wildcard:
                yield spec.origin


def _token_before(store: TokenStore, origin: Origin) -> str | None:
    """The token that earlier releases sent: the host's, its deployment's, or the default."""
    for server in (origin.server, auth_server_of(origin), None):
        if token := load(store, server):
            return token
    return None
