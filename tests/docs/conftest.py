"""The world of the docs: the servers that pages name are sandboxes; their reader is new here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from cave_auth_adapter.sandbox import Sandbox

from ..support.servers import ConnectProxy
from .blocks import Block

HERE = Path(__file__).parent

#: The name of a server of the sandbox -> the name under which pages know it.
MICRONS = {
    "auth_server": "global.daf-apis.com",
    "data_server": "minnie.microns-daf.com",
    "other_data_server": "prod.flywire-daf.com",
    "identity_provider": "accounts.google.com",
    "foreign_server": "www.example.org",
}
MY_LAB = {
    "auth_server": "cave.my-lab.org",
    "data_server": "data.my-lab.org",
    "identity_provider": "login.my-lab.org",
}
MINNIE = f"https://{MICRONS['data_server']}/segmentation/table"
PROXY = "proxy.my-lab.org", "3128"

_BROWSER = """\
import re, sys, requests
server = re.match("https://([^/]+)/", sys.argv[1])[1]
with requests.Session() as browser:
    page = browser.get(sys.argv[1], timeout=30)
    browser.post(page.url, data={"user": %r[server]}, timeout=30)
"""


class World(NamedTuple):
    microns: Sandbox
    my_lab: Sandbox
    ports: dict[str, dict[str, int]]
    users: dict[str, int]  #: auth server -> who logs in there
    bundle: Path
    proxy: ConnectProxy

    def in_sandbox(self, text: str) -> str:
        """A text of a page with the data that the sandbox has: its servers have other data."""
        for shown, here in (
            (f"middleauth+{MINNIE}/minnie65_public", f"middleauth+{MINNIE}/sandbox_middleauth"),
            ("table/minnie65_public", "table/sandbox"),
            ("volume/cells", "volume/sandbox"),
            ("segmentation/table/unpublished/info", "needs-permission"),
            ("unpublished", "sandbox_restricted"),
            ("segmentation/table/with_terms/info", "needs-tos"),
            ("with_terms", "sandbox_terms"),
            ("minnie65_public", self.microns.datastack),
            ("my_datastack", self.microns.datastack),
            ("89737710202896640", str(self.microns.supervoxels[0])),
            ("/etc/ssl/certs/my-lab-ca.pem", str(self.bundle)),
        ):
            text = text.replace(shown, here)
        return text


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    bundle = tmp_path_factory.mktemp("world") / "ca.pem"
    ports: dict[str, dict[str, int]] = {}
    users: dict[str, int] = {}
    with ExitStack() as stack:
        sandboxes = [stack.enter_context(Sandbox(names=names)) for names in (MICRONS, MY_LAB)]
        for sandbox, names in zip(sandboxes, (MICRONS, MY_LAB), strict=True):
            permissions = {"sandbox": ["view", "edit"]}
            users[names["auth_server"]] = sandbox.create_user("New User", permissions=permissions)
            for server, name in names.items():
                ports[name] = {"443": sandbox.ports[server]}
        bundle.write_text("".join(Path(each.ca_bundle).read_text() for each in sandboxes))
        proxy = stack.enter_context(ConnectProxy({f"{h}:443": p["443"] for h, p in ports.items()}))
        ports[PROXY[0]] = {PROXY[1]: int(proxy.url.rpartition(":")[2])}
        microns, my_lab = sandboxes
        yield World(microns, my_lab, ports, users, bundle, proxy)


class Reader:
    """A user with an empty home directory who runs the code blocks of one page."""

    def __init__(self, world: World, home: Path):
        self._world = world
        self._home = home
        self._browser = home / "browser"
        self.logs_in_as(world.users)
        self._browser.chmod(0o755)
        (home / "work").mkdir()
        self._environ = {
            "HOME": str(home),
            # The last of these has stand-ins for programs that may not be installed.
            "PATH": os.pathsep.join(
                [str(Path(sys.executable).parent), os.environ["PATH"], str(HERE / "programs")]
            ),
            "PYTHONPATH": str(HERE.parent / "support" / "names"),
            "TEST_PORTS": json.dumps(world.ports),
            "REQUESTS_CA_BUNDLE": str(world.bundle),
            "SSL_CERT_FILE": str(world.bundle),
            "CURL_CA_BUNDLE": str(world.bundle),
            "BROWSER": f"{self._browser} %s &",
            "LANG": "C.UTF-8",
        }
        rules = (
            f'connect-to = "{host}:{port}:127.0.0.1:{here}"\n'
            for host, ports in world.ports.items()
            for port, here in ports.items()
        )
        (home / ".curlrc").write_text("".join(rules) + 'fail\nsilent\nshow-error\nnoproxy = "*"\n')

    def logs_in_as(self, users: dict[str, int]) -> None:
        """Set the account that the reader has at each auth server."""
        self._browser.write_text(f"#!{sys.executable}\n{_BROWSER % users}")

    def log_in(self) -> None:
        """Save the files of `cave-auth login`, and a token for a lab's own data server."""
        from cave_auth_adapter import TokenStore

        store = TokenStore(self._home / ".cloudvolume" / "secrets")
        user = self._world.users[MICRONS["auth_server"]]
        token = self._world.microns.create_token(user)
        for server in (None, *[f"https://{MICRONS[s]}" for s in ("auth_server", "data_server")]):
            store.save(token, server)
        store.save(self._world.my_lab.token, MY_LAB["data_server"])

    def read(self, page: Path, blocks: list[Block], given: str) -> tuple[list[str], str]:
        """Run blocks; return the output of each, and stderr.

        :param given: code that comes before them.
        """
        code = [("python", given, 1), *((each.language, each.code, each.line) for each in blocks)]
        told = [(language, self._world.in_sandbox(text), line) for language, text, line in code]
        result = self._home / "result.json"
        done = subprocess.run(
            [sys.executable, str(HERE / "reader.py"), page.name, str(result)],
            input=json.dumps(told),
            capture_output=True,
            text=True,
            env=self._environ,
            cwd=self._home / "work",
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-6000:]
        return json.loads(result.read_text())[1:], done.stderr


@pytest.fixture
def reader(world: World, tmp_path: Path) -> Reader:
    home = tmp_path / "home"
    home.mkdir()
    return Reader(world, home)
