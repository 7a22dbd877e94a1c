"""Tables in the docs that repeat what the code knows are compared with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cave_auth_adapter
from cave_auth_adapter import CaveAuth, InvalidHostSpec, testing, tokens_changed
from cave_auth_adapter.bridges import keyring
from cave_auth_adapter.origins import DEPLOYMENTS, HostSpec

from ..tools.programs import PROGRAMS
from ..unit.test_rooms import ASIDE, ORDER
from .blocks import ROOT

PAGE = (ROOT / "docs" / "tokens-and-hosts.md").read_text("utf-8")


def rows(title: str) -> list[list[str]]:
    """The words in code style in each row of the table under a heading."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [re.findall("`([^`]+)`", line) for line in lines]


def test_the_known_deployments() -> None:
    assert {server: tuple(hosts) for server, *hosts in rows("Which hosts")} == DEPLOYMENTS


def test_the_ways_to_write_a_host() -> None:
    written = [spec for row in rows("How to write a host") for spec in row if "." in spec]
    assert len(written) == 4
    for spec in [*written, "http://localhost:8000"]:
        HostSpec.parse(spec)
    with pytest.raises(InvalidHostSpec):
        HostSpec.parse("http://cave.my-lab.org")


def test_the_order_of_the_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each source of the table wins over all that are below it."""
    secrets = tmp_path / ".cloudvolume" / "secrets"
    secrets.mkdir(parents=True)
    url, auth_server = "https://minnie.microns-daf.com/info", "global.daf-apis.com"
    names = {"{host}": "minnie.microns-daf.com", "{auth server}": auth_server}
    files = [row[0] for row in rows("Which token") if row[0].endswith("-secret.json")]
    assert len(files) == 4
    sources = [row[0] for row in rows("Which token")]
    assert sources[:4] == [
        'CaveAuth("…")',
        'CaveAuth(token_file="…", token_key="…")',
        "CAVE_TOKEN",
        "CAVE_TOKEN_FILE",
    ]
    for number, file in reversed([*enumerate(files)]):
        for placeholder, name in names.items():
            file = file.replace(placeholder, name)
        (secrets / file).write_text(f'{{"token": "{number:032x}"}}')
        tokens_changed()  # a change is noticed within a second; a test can't wait
        assert CaveAuth().token_for(url) == f"{number:032x}", file
    named = tmp_path / "named.json"
    named.write_text('{"token": "aa"}')
    monkeypatch.setenv("CAVE_TOKEN_FILE", str(named))
    assert CaveAuth().token_for(url) == "aa"
    monkeypatch.setenv("CAVE_TOKEN", "bb")
    assert CaveAuth().token_for(url) == "bb"
    named.write_text('{"token": "cc"}')
    assert CaveAuth(token_file=named).token_for(url) == "cc"
    assert CaveAuth("dd", token_file=named).token_for(url) == "dd"


def test_the_entry_of_the_keyring() -> None:
    assert f'`keyring set {keyring.SERVICE} "{keyring.ANY_SERVER}"`' in PAGE


def test_every_public_name_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference.md").read_text("utf-8")
    told = re.findall(r"^::: cave_auth_adapter\.(?:(?:install|login)\.)?(\w+)$", page, re.MULTILINE)
    assert sorted(told) == sorted(cave_auth_adapter.__all__)
    kit = re.findall(r"^::: cave_auth_adapter\.testing\.(\w+)$", page, re.MULTILINE)
    assert sorted(kit) == sorted(testing.__all__)


def test_the_map_has_every_room_in_its_order() -> None:
    page = (ROOT / "docs" / "how-it-works.md").read_text("utf-8")
    table = page.partition("| room | its question |\n")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[1:]]
    rooms = [name.rstrip("/").removesuffix(".py") for name in re.findall("`(.+?)`", "".join(cells))]
    assert rooms == ORDER
    assert all(f"`{name}/`" in page for name in ASIDE - {"__init__"})


def test_the_tools_that_were_tried_are_those_that_make_tools_runs() -> None:
    page = (ROOT / "docs" / "other-tools.md").read_text("utf-8")
    row = r"^\| ([\w-]+) \| ([\d.]+) \| (.+) \| all of its requests \|$"
    rows = re.findall(row, page, re.MULTILINE)
    pins = dict(
        re.findall(
            r"^    ([\w-]+)==([\d.]+)$", (ROOT / "setup.cfg").read_text("utf-8"), re.MULTILINE
        )
    )
    assert rows == [(each.tool, pins[each.tool], each.what) for each in PROGRAMS]
