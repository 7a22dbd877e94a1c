"""Show what CAVE refuses without cave-auth-adapter, and what works with it.

Run it with `make demo`. It starts a small CAVE deployment on this machine (over TLS, protected by
the middle-auth-client that real CAVE services use), talks to it with the tools that people use, and
ends with a table; the exit code is 0 only if every line of it held.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from cave_auth_adapter import CaveAuth, install, mount
from cave_auth_adapter.sandbox import Sandbox

Row = tuple[str, str, str, bool]  # what, without the plugin, with it, as promised?


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="cave-demo-") as home, Sandbox() as sandbox:
        enter_fresh_environment(home, sandbox)
        say(
            f"""
            CAVE serves maps of brains to people with a token. A small CAVE deployment now runs on
            this machine:
              auth and info service   {sandbox.auth_server}
              data service            {sandbox.data_server}
              not CAVE                {sandbox.foreign_server}

            Your token is in the variable CAVE_TOKEN, and nowhere else. Each line is tried without
            the plugin, then with it.
            """
        )
        rows = [compare(*each) for each in attempts(sandbox)]
        rows += other_hosts(sandbox)
    print_table(rows)
    print(f"\nTo try it yourself: {shlex.quote(sys.executable)} -m cave_auth_adapter.sandbox")
    return 0 if all(held for *_, held in rows) else 1


def enter_fresh_environment(home: str, sandbox: Sandbox) -> None:
    for name in ("CLOUD_VOLUME_DIR", "CAVE_TOKEN_FILE", "NETRC"):
        os.environ.pop(name, None)
    os.environ.update(sandbox.environ)  # so that the sandbox's certificates are accepted
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "localhost,127.0.0.1"
    os.environ["HOME"] = home
    os.environ["CAVE_TOKEN"] = sandbox.token
    # A real deployment is known by name. This one has to be named.
    servers = (sandbox.auth_server, sandbox.data_server, sandbox.other_data_server)
    os.environ["CAVE_AUTH_HOSTS"] = ",".join(servers)


def attempts(sandbox: Sandbox) -> Iterator[tuple[str, Callable[[bool], str], str]]:
    """What to try: a name, how (with the plugin or without), and the line that makes it work."""
    # Imported only here: both look for secret files in HOME as soon as they are imported.
    from caveclient import CAVEclient
    from cloudvolume import CloudVolume

    def plain_session(with_plugin: bool) -> str:
        session = requests.Session()
        if with_plugin:
            session.auth = CaveAuth()
        answer = fetch_json(session, f"{sandbox.data_server}/echo")
        return f"answered to user {answer['user_id']}"

    def mounted_adapter(with_plugin: bool) -> str:
        session = requests.Session()
        retries = Retry(total=3, status_forcelist=[503], backoff_factor=0)
        session.mount("https://", HTTPAdapter(max_retries=retries))
        if with_plugin:
            mount(session)
        fetch_json(session, f"{sandbox.data_server}/flaky/{with_plugin}?fail=2&status=503")
        return "answered after two retries"

    def volume(path: str) -> Any:
        return CloudVolume(path, progress=False, use_https=True, parallel=1)

    def roots(_: bool) -> str:
        found = volume(sandbox.graphene_path).get_roots(sandbox.supervoxels)
        return f"{len(found)} supervoxels -> {len(set(map(int, found)))} roots"

    def cutout(path: str) -> Callable[[bool], str]:
        return lambda _: f"{volume(path)[:32, :32, :16].size} voxels"

    def mesh(_: bool) -> str:
        root = sandbox.roots[0]
        found = volume(sandbox.graphene_path).mesh.get(root)[root]
        return f"{len(found.vertices)} vertices"

    def info(_: bool) -> str:
        client = CAVEclient(server_address=sandbox.auth_server)
        return str(client.info.get_datastack_info(sandbox.datastack)["aligned_volume"]["name"])

    yield "requests: a plain session", plain_session, "session.auth = CaveAuth()"
    yield "requests: an adapter that retries", mounted_adapter, "mount(session)"
    yield "CloudVolume graphene://, get_roots", roots, "install()"
    yield "CloudVolume https://, a cut-out", cutout(sandbox.volume_path), "install()"
    yield (
        "CloudVolume middleauth+https://, same",
        cutout(sandbox.volume_path_middleauth),
        "install()",
    )
    yield "CloudVolume, a mesh", mesh, "install()"
    yield "CAVEclient, get_datastack_info", info, "install()"


def fetch_json(session: requests.Session, url: str) -> Any:
    response = session.get(url, timeout=30)
    response.raise_for_status()
    if "json" not in response.headers.get("Content-Type", ""):
        raise ValueError("got a login page, and no data")
    return response.json()


def compare(name: str, attempt: Callable[[bool], str], way: str) -> Row:
    print(f"\n{name}")
    without = outcome(attempt, False)
    print(f"  {'without':<27} {without}")
    with install() if way == "install()" else contextlib.nullcontext():
        result = outcome(attempt, True)
    print(f"  {way:<27} {result}")
    words = [text.partition(":")[0] for text in (without, result)]
    return name, *words, words == ["refused", "works"]


def outcome(attempt: Callable[[bool], str], with_plugin: bool) -> str:
    try:
        return f"works: {attempt(with_plugin)}"
    except Exception as error:
        first_line = str(error).strip().partition("\n")[0]
        return textwrap.shorten(f"refused: {type(error).__name__}: {first_line}", 70)


def other_hosts(sandbox: Sandbox) -> Iterator[Row]:
    """What another server receives: asked directly, and by a redirect from a CAVE service."""
    redirect = f"{sandbox.data_server}/redirect?to={sandbox.foreign_server}/elsewhere"
    ways: dict[str, Callable[[], requests.Session]] = {
        "session.auth": with_auth,
        "mount(session)": lambda: mount(requests.Session()),
        "install()": requests.Session,
    }
    for way, make_session in ways.items():
        sandbox.clear_requests()
        with install() if way == "install()" else contextlib.nullcontext():
            for url in (f"{sandbox.foreign_server}/directly", redirect):
                make_session().get(url, timeout=30).raise_for_status()
        received = sandbox.requests(sandbox.foreign_server)
        leaks = sum(sandbox.token in repr(request) for request in received)
        print(f"\nOther hosts, {way}: {len(received)} requests arrived, {leaks} with the token")
        held = len(received) == 2 and leaks == 0
        yield f"Other hosts get no token, {way}", "", "LEAKED" if leaks else "works", held


def with_auth() -> requests.Session:
    session = requests.Session()
    session.auth = CaveAuth()
    return session


def say(text: str) -> None:
    print(textwrap.dedent(text).strip())


def print_table(rows: list[Row]) -> None:
    print(f"\n{'':40}{'without':<12}{'with':<12}as promised")
    for name, without, with_plugin, held in rows:
        print(f"{name:<40}{without:<12}{with_plugin:<12}{'yes' if held else 'NO'}")
    failed = sum(not held for *_, held in rows)
    print(
        f"\n{len(rows) - failed} of {len(rows)} held." + (" Please report this." if failed else "")
    )


if __name__ == "__main__":
    sys.exit(main())
