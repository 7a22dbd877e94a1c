"""Where the servers are: the names and ports that a caller may choose, checked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

SERVERS = (
    "auth_server",
    "data_server",
    "other_data_server",
    "identity_provider",
    "foreign_server",
    "plain_server",
)
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_AUTHORITY = re.compile(rf"{_LABEL}(\.{_LABEL})*(:(?P<port>[1-9][0-9]{{0,4}}))?")


def checked_names(names: Mapping[str, str] | None) -> dict[str, str]:
    """Return the names, "host" or "host:port", or raise ValueError that says what is wrong."""
    chosen = _of_servers("names", names)
    for server, name in chosen.items():
        found = _AUTHORITY.fullmatch(name) if isinstance(name, str) else None
        if found is None or int(found["port"] or 1) > 65535:
            raise ValueError(
                f"names[{server!r}] must be a host in lower case, such as 'cave.test' or "
                f"'cave.test:8443', not {name!r}"
            )
    _all_different("names", chosen)
    return chosen


def checked_ports(ports: Mapping[str, int] | None) -> dict[str, int]:
    """Return the ports, or raise ValueError that says what is wrong."""
    chosen = _of_servers("ports", ports)
    for server, port in chosen.items():
        if type(port) is not int or not 0 < port < 65536:
            raise ValueError(f"ports[{server!r}] must be a number from 1 to 65535, not {port!r}")
    _all_different("ports", chosen)
    return chosen


def checked_cache_seconds(seconds: Any) -> int:
    """Return a time in whole seconds, as middle_auth_client takes it, or raise ValueError."""
    if type(seconds) is not int or seconds < 0:
        raise ValueError(f"cache_seconds must be a whole number, 0 or more, not {seconds!r}")
    return seconds


def checked_ttl(seconds: Any) -> float | None:
    """Return a time to live in seconds, or None, or raise ValueError that says what is wrong."""
    if seconds is None:
        return None
    if type(seconds) not in (int, float) or not 0 <= seconds < math.inf:
        raise ValueError(f"ttl must be a number of seconds, 0 or more, not {seconds!r}")
    return float(seconds)


def _of_servers(option: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    chosen = dict(given or {})
    if unknown := [str(server) for server in chosen if server not in SERVERS]:
        raise ValueError(
            f"{option}: no such server: {', '.join(unknown)}. The sandbox has: {', '.join(SERVERS)}"
        )
    return chosen


def _all_different(option: str, chosen: dict[str, Any]) -> None:
    if len(set(chosen.values())) < len(chosen):
        raise ValueError(f"{option} must differ between servers: {chosen}")
