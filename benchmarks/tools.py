"""The real CAVEclient and CloudVolume with a round trip of 40 ms, and the connections they open.

Each is held against a bare urllib3 connection per server that sends the same requests: nobody can
be faster with HTTP/1.1.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from cave_auth_adapter import TokenStore, install, keepalive, uninstall
from cave_auth_adapter.sandbox import Sandbox

from .measure import Result, Row, in_turn
from .relay import free_ports, relaying
from .server import bare_pool

_SERVERS = ("auth_server", "data_server")
_DELAY = 0.02  # seconds each way
_QUERIES = 50


class Tool(NamedTuple):
    """What a tool took, and how many connections it opened to a server at most."""

    result: Result
    requests: int
    connections: dict[str, int]  #: way -> connections


@contextlib.contextmanager
def _far_sandbox() -> Iterator[Sandbox]:
    """A sandbox whose servers are known by the ports of a relay."""
    ports, entrances = free_ports(2), free_ports(2)
    names = {name: f"localhost:{port}" for name, port in zip(_SERVERS, entrances, strict=True)}
    with (
        Sandbox(names=names, ports=dict(zip(_SERVERS, ports, strict=True))) as sandbox,
        relaying(_DELAY, dict(zip(entrances, ports, strict=True))),
        mock.patch.dict(os.environ, REQUESTS_CA_BUNDLE=sandbox.ca_bundle),
    ):
        for server in _addresses(sandbox):
            TokenStore().save(sandbox.token, server, overwrite=True)
        yield sandbox


def _addresses(sandbox: Sandbox) -> list[str]:
    return [getattr(sandbox, name) for name in _SERVERS]


def caveclient() -> Tool:
    """The start of a CAVEclient, with each of its services used for the first time."""
    from caveclient import CAVEclient

    services = ("auth", "info", "schema", "state", "chunkedgraph", "annotation", "materialize")
    with _far_sandbox() as sandbox:

        def start() -> None:
            client = CAVEclient(
                sandbox.datastack,
                server_address=sandbox.auth_server,
                auth_token=sandbox.token,
                write_server_cache=False,
            )
            for name in (*services, "l2cache", "skeleton"):
                with contextlib.suppress(Exception):  # the sandbox does not have all of them
                    getattr(client, name)
            client.info.get_datastacks()
            client.auth.get_tokens()

        return _measured(sandbox, start, rounds=8, calls=2)


def cloudvolume() -> Tool:
    """Queries of CloudVolume in a row, each for the roots of some supervoxels."""
    from cloudvolume import CloudVolume

    with _far_sandbox() as sandbox:
        install()
        volume = CloudVolume(sandbox.graphene_path, use_https=True, progress=False)

        def ask() -> None:
            for _ in range(_QUERIES):
                volume.get_roots(sandbox.supervoxels)

        return _measured(sandbox, ask, rounds=5, calls=1)


def _measured(sandbox: Sandbox, use: Callable[[], object], *, rounds: int, calls: int) -> Tool:
    """Time a tool without this package, with it, and its requests over bare connections."""
    connections: dict[str, int] = {}

    def counted(way: str, act: Callable[[], object]) -> Callable[[], None]:
        def do() -> None:
            keepalive.reset()  # each time from the first connection on
            before = [sandbox.connections(server) for server in _addresses(sandbox)]
            act()
            after = [sandbox.connections(server) for server in _addresses(sandbox)]
            opened = [b - a for a, b in zip(before, after, strict=True)]
            connections[way] = max(connections.get(way, 0), *opened)

        return do

    def plain() -> None:
        uninstall()
        try:
            use()
        finally:
            install()

    install()
    recorded = _recorded(use)

    def bare() -> None:
        pools = {server: bare_pool(server, sandbox.ca_bundle) for server in _addresses(sandbox)}
        for request in recorded:
            server = request.url.removesuffix(request.path_url)
            headers = dict(request.headers)
            pools[server].urlopen(request.method, request.path_url, request.body, headers)

    ways = {"plain": plain, "installed": use, "bare": bare}
    timed = {way: counted(way, act) for way, act in ways.items()}
    result = in_turn(timed, rounds=rounds, calls=calls, warm=False, clock=time.perf_counter)
    return Tool(result, len(recorded), connections)


def _recorded(use: Callable[[], object]) -> list[PreparedRequest]:
    """The requests of a tool as they go over the wire."""
    recorded, send = [], HTTPAdapter.send

    def record(self: HTTPAdapter, request: PreparedRequest, **options: Any) -> Response:
        recorded.append(request)
        return send(self, request, **options)

    with mock.patch.object(HTTPAdapter, "send", record):
        use()
    return recorded


def rows(client: Tool, volume: Tool) -> Iterator[Row]:
    names = {
        f"`CAVEclient` and all its services, {client.requests} requests": (client, 1.05),
        f"`CloudVolume`, {_QUERIES} graphene queries": (volume, 1.1),
    }
    for name, (tool, bound) in names.items():
        ratio = tool.result.ratio("installed", "bare")
        what = f"{name}, against the same requests on a bare urllib3 connection"
        yield Row(what, ratio.show(" x"), f"<= {bound} x", ratio.median <= bound)
        yield Row("the same without `install()`", tool.result.ratio("plain", "bare").show(" x"))
        opened = tool.connections["installed"]
        shown = f"{opened} (without `install()`: {tool.connections['plain']})"
        yield Row("the connections that it opens to a server", shown, "1", opened == 1)
