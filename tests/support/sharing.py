"""For the tests of shared connections: trust servers, and see which connection was used."""

from __future__ import annotations

from typing import Any

import pytest

from cave_auth_adapter import CaveAuth, install
from cave_auth_adapter.keepalive import connections

from .servers import TinyServer

TOKEN = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
shares = pytest.mark.skipif(
    not connections.shape_is_known(), reason="nothing is shared with this version of urllib3"
)


def trust(*servers: TinyServer, token: str = TOKEN, **options: Any) -> None:
    """Install the plugin, with a token for some servers."""
    install(CaveAuth(token, hosts=[server.host for server in servers]), **options)


def used(server: TinyServer) -> list[int]:
    """The connection over which each request came."""
    return [seen.connection for seen in server.requests]
