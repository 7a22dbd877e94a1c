"""Sessions that live for one call, with and without the transport that keeps connections alive."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator

import requests

from cave_auth_adapter import TokenStore, installed
from cave_auth_adapter.sandbox import Sandbox

from .measure import Way, row, side_by_side


def rows() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as home, Sandbox() as sandbox:
        os.environ.update(sandbox.environ, HOME=home)
        sandbox.record_requests(False)
        TokenStore().save(sandbox.token, sandbox.data_server)
        TokenStore().save(sandbox.token)
        yield from of_requests(sandbox)
        yield from of_cloudvolume(sandbox)


def of_requests(sandbox: Sandbox) -> Iterator[str]:
    url = f"{sandbox.data_server}/public"  # little work for the server, so that ours shows
    signed = {"Authorization": f"Bearer {sandbox.token}"}
    session = requests.Session()

    ways = {
        "plain": Way(lambda: requests.get(url, headers=signed)),
        "installed": Way(lambda: requests.get(url), installed),
        "kept": Way(lambda: session.get(url, headers=signed)),
    }
    result = side_by_side(ways, rounds=30, calls=10)
    faster = result.ratio("plain", "installed")
    yield row("`requests.get`: times faster under install()", faster, "x", ">= 3 x", faster >= 3)
    slower = result.ratio("installed", "kept")
    yield row("the same against a kept-alive Session", slower, "x", "<= 1.25 x", slower <= 1.25)
    yield from opened("`requests.get`", sandbox, *ways.values())


def of_cloudvolume(sandbox: Sandbox) -> Iterator[str]:
    from cloudvolume import CloudVolume

    volume = CloudVolume(sandbox.graphene_path_middleauth, progress=False)
    root = sandbox.roots[0]
    loops: dict[str, Callable[[], object]] = {
        "get_roots": lambda: volume.get_roots(sandbox.supervoxels),
        "mesh manifest": lambda: volume.mesh.fetch_manifest(root),
    }
    for name, act in loops.items():
        ways = {"plain": Way(act), "installed": Way(act, installed)}
        result = side_by_side(ways, rounds=20, calls=10)
        faster = result.ratio("plain", "installed")
        what = f"CloudVolume, {name}: times faster under install()"
        yield row(what, faster, "x", "> 1 x", faster > 1)
        yield from opened(f"CloudVolume, {name}", sandbox, *ways.values())


def opened(what: str, sandbox: Sandbox, plain: Way, installed: Way, *_: Way) -> Iterator[str]:
    """How many TCP connections the server accepts for a hundred calls."""
    for name, way in (("without", plain), ("with", installed)):
        before = sandbox.connections(sandbox.data_server)
        with way.context():
            for _ in range(100):
                way.act()
        count = sandbox.connections(sandbox.data_server) - before
        bound, held = ("<= 2", count <= 2) if name == "with" else ("", True)
        yield row(f"{what}: connections for 100 calls {name} install()", count, "", bound, held)
