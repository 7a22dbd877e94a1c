"""A process with two tokens acts as one account, in any order of imports.

CAVE_TOKEN is a bot's, and the secret files have a person's. Without us, CloudVolume and CAVEclient
send the person's token, while a script sends the bot's.
"""

from __future__ import annotations

import os
from itertools import permutations
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import requests

from cave_auth_adapter import TokenStore
from cave_auth_adapter.sandbox import RecordedRequest, Sandbox

from ..support.processes import run_python

IMPORTS = {
    "requests": "import requests",
    "CloudVolume": "from cloudvolume import CloudVolume",
    "CAVEclient": "from caveclient import CAVEclient",
    "neuroglancer": "from neuroglancer.default_credentials_manager import *",
}
ORDERS = list(permutations(IMPORTS))
SERVICES = {"echo", "segmentation", "volume", "info"}
INSTALL = "import cave_auth_adapter; cave_auth_adapter.install()"
USES = """
import requests
from cloudfiles import CloudFiles
requests.get(data_server + "/echo").raise_for_status()
CloudVolume(graphene).get_roots(supervoxels)
CloudFiles(f"middleauth+{data_server}/volume/sandbox").get_json("info")
client = CAVEclient(datastack, server_address=auth_server)
client.info.get_datastack_info()
client.chunkedgraph.get_roots(supervoxels)
found = default_credentials_manager.get("middleauthapp", data_server).get().result()
header = {"Authorization": "Bearer " + found["credentials"]["accessToken"]}
requests.get(data_server + "/volume/sandbox/info?neuroglancer", headers=header).raise_for_status()
"""


def who(sandbox: Sandbox, token: str) -> Any:
    """The user that the auth server names for a token."""
    answer = requests.get(
        f"{sandbox.auth_server}/auth/api/v1/user/me",
        headers={"Authorization": f"Bearer {token}"},
        verify=sandbox.ca_bundle,
        timeout=20,
    )
    answer.raise_for_status()
    return answer.json()["id"]


@pytest.fixture
def bot(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The bot's number; its token is in the variable, and a person's in all secret files."""
    number = sandbox.create_user("bot", permissions={"sandbox": ["view", "edit"]})
    monkeypatch.setenv("CAVE_TOKEN", sandbox.create_token(number))
    for server in (None, sandbox.auth_server, sandbox.data_server):
        TokenStore().save(sandbox.token, server)
    sandbox.clear_requests()
    return number


class Ran(NamedTuple):
    """What the servers received, the owners of the tokens, and the log."""

    received: list[RecordedRequest]
    users: set[Any]
    logged: str


def run(sandbox: Sandbox, *lines: str) -> Ran:
    """Run lines in a new interpreter."""
    names = {
        "auth_server": sandbox.auth_server,
        "data_server": sandbox.data_server,
        "datastack": sandbox.datastack,
        "graphene": sandbox.graphene_path_middleauth,
        "person": sandbox.token,
        "supervoxels": list(sandbox.supervoxels),
    }
    result = run_python("\n".join([*(f"{name} = {names[name]!r}" for name in names), *lines]))
    assert result.returncode == 0, result.stderr
    received = sandbox.requests()
    tokens = {(each.header("Authorization") or "").removeprefix("Bearer ") for each in received}
    return Ran(received, {who(sandbox, token) for token in tokens}, result.stderr)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_all_tools_act_as_the_bot_in_any_order(
    sandbox: Sandbox, bot: Any, order: tuple[str, ...]
) -> None:
    lines = [IMPORTS[name] for name in order]
    lines.insert(ORDERS.index(order) % (len(lines) + 1), INSTALL)  # before, between and after

    ran = run(sandbox, *lines, USES)

    assert ran.users == {bot}
    assert "two accounts" not in ran.logged
    assert {urlsplit(each.url).path.split("/")[1] for each in ran.received} >= SERVICES
    assert any(each.url.endswith("?neuroglancer") for each in ran.received)
    cookies = {each.header("Cookie") for each in ran.received}
    assert cookies == {f"middle_auth_token={os.environ['CAVE_TOKEN']}"}


def test_without_us_they_act_as_two(sandbox: Sandbox, bot: Any) -> None:
    script = """
import os, requests
from cloudvolume import CloudVolume
from caveclient import CAVEclient
header = {"Authorization": "Bearer " + os.environ["CAVE_TOKEN"]}
requests.get(data_server + "/echo", headers=header).raise_for_status()
CloudVolume(graphene).get_roots(supervoxels)
CAVEclient(datastack, server_address=auth_server).info.get_datastack_info()
"""
    assert run(sandbox, script).users == {bot, who(sandbox, sandbox.token)}


def test_a_token_that_a_tool_is_given_stays_and_is_one_warning(sandbox: Sandbox, bot: Any) -> None:
    script = """
from caveclient import CAVEclient
for _ in range(2):
    client = CAVEclient(datastack, server_address=auth_server, auth_token=person)
    client.chunkedgraph.get_roots(supervoxels)
"""
    ran = run(sandbox, INSTALL, script)

    assert ran.users == {who(sandbox, sandbox.token)}
    told = [line for line in ran.logged.splitlines() if "two accounts" in line]
    assert len(told) == len({sandbox.auth_server, sandbox.data_server})  # one for each host
    assert sandbox.token not in ran.logged
