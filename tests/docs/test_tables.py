"""Tables in the docs that repeat what the code knows are compared with the code."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cave_auth_adapter
from cave_auth_adapter import (
    CaveAuth,
    InvalidHostSpec,
    TokenStore,
    set_token_source,
    testing,
    tokens_changed,
)
from cave_auth_adapter.bridges import keyring
from cave_auth_adapter.origins import DEPLOYMENTS, HostSpec, Origin
from cave_auth_adapter.store.ownership import ownership_of_default_file
from cave_auth_adapter.watch import TOKEN_VARIABLES

from ..tools.programs import PROGRAMS
from ..unit.test_rooms import ASIDE, ORDER
from .blocks import DOCS, ROOT, script

PAGE = (ROOT / "docs" / "tokens-and-hosts.md").read_text("utf-8")
API_PAGES = sorted((ROOT / "docs").glob("api-*.md"))
REFERENCE = "".join(
    page.read_text("utf-8") for page in [*API_PAGES, ROOT / "docs" / "reference.md"]
)


def rows(title: str) -> list[list[str]]:
    """The words in code style in each row of the table under a heading."""
    section = PAGE.partition(f"# {title}\n")[2].partition("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [re.findall("`([^`]+)`", line) for line in lines]


def test_the_tables_are_those_of_the_code() -> None:
    tables = script("tables")
    marked = [page for page in DOCS if "<!-- table: " in page.read_text("utf-8")]
    assert [page.name for page in marked] == ["how-it-works.md", "tokens-and-hosts.md"]
    for page in marked:
        text = page.read_text("utf-8")
        assert tables.written(text) == text, f"{page.name} is old: make pictures"
    assert [server for server, *_ in rows("Which hosts")] == [*DEPLOYMENTS]


def test_every_way_to_write_a_host_is_accepted() -> None:
    written = [spec for row in rows("How to write a host") for spec in row if "." in spec]
    assert len(written) == 4
    for spec in [*written, "http://localhost:8000"]:
        HostSpec.parse(spec)
    with pytest.raises(InvalidHostSpec):
        HostSpec.parse("http://cave.my-lab.org")


def test_the_table_of_variables_has_all_that_the_code_reads() -> None:
    package = Path(cave_auth_adapter.__file__).parent
    folders = package, package.with_name("cave_auth_startup")
    code = [path.read_text("utf-8") for folder in folders for path in folder.rglob("*.py")]
    # The others are attributes of cloud-volume's modules.
    read = set(re.findall(r'"(CAVE_(?:AUTH|TOKEN)\w*|CLOUD_VOLUME_DIR)"', "\n".join(code)))
    assert {row[0] for row in rows("The variables")} == read
    assert read > {*TOKEN_VARIABLES[:5]}


@pytest.fixture
def no_source_remains() -> Iterator[None]:
    yield
    set_token_source(None)


@pytest.mark.usefixtures("no_source_remains")
def test_tokens_are_tried_in_the_order_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each source of the table wins over all that are below it."""
    secrets = tmp_path / ".cloudvolume" / "secrets"
    secrets.mkdir(parents=True)
    url, auth_server = "https://minnie.microns-daf.com/info", "global.daf-apis.com"
    names = {"{host}": "minnie.microns-daf.com", "{auth server}": auth_server}
    files = [row[0] for row in rows("Which token") if row[0].endswith("-secret.json")]
    assert len(files) == 4
    sources = [row[0] for row in rows("Which token")]
    assert sources[6:] == [*files, keyring.VARIABLE]
    assert sources[:6] == [
        'CaveAuth("…")',
        'CaveAuth(token_file="…", token_key="…")',
        "CaveAuth(source=…)",
        "CAVE_TOKEN",
        "CAVE_TOKEN_FILE",
        "CAVE_TOKEN_COMMAND",
    ]
    monkeypatch.setenv(keyring.VARIABLE, "1")
    monkeypatch.setattr(keyring, "_call", lambda *_: "99")
    assert CaveAuth().token_for(url) == "99"
    for number, file in reversed([*enumerate(files)]):
        for placeholder, name in names.items():
            file = file.replace(placeholder, name)
        (secrets / file).write_text(f'{{"token": "{number:032x}"}}')
        tokens_changed()  # a change is noticed within a second; a test can't wait
        assert CaveAuth().token_for(url) == f"{number:032x}", file
    monkeypatch.setenv("CAVE_TOKEN_COMMAND", "sh -c 'echo ff' --")
    assert CaveAuth().token_for(url) == "ff"
    named = tmp_path / "named.json"
    named.write_text('{"token": "aa"}')
    monkeypatch.setenv("CAVE_TOKEN_FILE", str(named))
    assert CaveAuth().token_for(url) == "aa"
    monkeypatch.setenv("CAVE_TOKEN", "bb")
    assert CaveAuth().token_for(url) == "bb"
    set_token_source(lambda *_: "abcd")
    assert CaveAuth().token_for(url) == "abcd"
    assert CaveAuth(source=lambda *_: "ee").token_for(url) == "ee"
    named.write_text('{"token": "cc"}')
    assert CaveAuth(token_file=named, source=lambda *_: "ee").token_for(url) == "cc"
    assert CaveAuth("dd", token_file=named).token_for(url) == "dd"


@pytest.mark.skipif(os.name == "nt", reason="the commands are for a POSIX shell")
def test_the_commands_print_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the programs record their arguments."""
    for program in ("ssh", "gcloud", "aws", "vault"):
        script = tmp_path / program
        script.write_text(f'#!/bin/sh\necho {program} "$@" >> {tmp_path}/calls\necho abcdef\n')
        script.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    host = "minnie.microns-daf.com"
    commands = [row[0] for row in rows("A command")]
    assert len(commands) == 4
    for command in commands:
        monkeypatch.setenv("CAVE_TOKEN_COMMAND", command)
        assert CaveAuth().token_for(f"https://{host}/") == "abcdef"
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0] == f"ssh login.my-lab.org cave-auth token {host}"
    assert [call.split()[0] for call in calls[1:]] == ["gcloud", "aws", "vault"]
    assert not any(host in call for call in calls[1:])


def test_the_owners_of_cave_secret_json(store_beside: Callable[..., set[str]]) -> None:
    assert len(rows("Whose is cave-secret.json?")) == 3
    own, others = "global.daf-apis.com", {"proofreading.zetta.ai", "cave.my-lab.org"}
    assert store_beside({"proofreading.zetta.ai": "same"}) == {"proofreading.zetta.ai"}
    assert store_beside({own: "another"}) == {own}
    assert store_beside({}) == {own, *others}


@pytest.fixture
def store_beside(tmp_path: Path) -> Callable[..., set[str]]:
    """Which hosts get the token of cave-secret.json, with some files beside it."""
    numbers = iter(range(10))

    def served(beside: dict[str, str]) -> set[str]:
        store = TokenStore(tmp_path / str(next(numbers)))
        store.save("same")
        for server, token in beside.items():
            store.save(token, server)
        whose = ownership_of_default_file(store)
        assert whose is not None
        hosts = ("global.daf-apis.com", "proofreading.zetta.ai", "cave.my-lab.org")
        origins = {host: Origin("https", host, 443) for host in hosts}
        return {host for host in hosts if whose.serves(origins[host], is_named=False)}

    return served


def test_the_page_names_the_keyring_entry() -> None:
    assert f'`keyring set {keyring.SERVICE} "{keyring.ANY_SERVER}"`' in PAGE


def test_every_public_name_is_in_the_reference() -> None:
    told = re.findall(
        r"^::: cave_auth_adapter\.(?:(?:install|login)\.)?(\w+)$", REFERENCE, re.MULTILINE
    )
    assert sorted(told) == sorted(cave_auth_adapter.__all__)
    kit = re.findall(r"^::: cave_auth_adapter\.testing\.(\w+)$", REFERENCE, re.MULTILINE)
    assert sorted(kit) == sorted(testing.__all__)


def test_the_overview_of_the_reference_lists_the_names_of_each_page() -> None:
    overview = (ROOT / "docs" / "reference.md").read_text("utf-8")
    rows = re.findall(r"^\| \[.*?\]\((api-\w+\.md)\) \| (.*) \|$", overview, re.MULTILINE)
    assert sorted(page for page, _ in rows) == sorted(page.name for page in API_PAGES)
    for page, names in rows:
        text = (ROOT / "docs" / page).read_text("utf-8")
        entries = re.findall(r"^::: cave_auth_adapter\.(?:\w+\.)*(\w+)$", text, re.MULTILINE)
        if page not in ("api-clusters.md", "api-testing.md"):  # whose names are in other modules
            assert re.findall(r"`(\w+)`", names) == entries, page


def test_the_map_lists_every_room_in_order() -> None:
    page = (ROOT / "docs" / "how-it-works.md").read_text("utf-8")
    table = page.partition("| room | its question |\n")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[1:]]
    rooms = [name.rstrip("/").removesuffix(".py") for name in re.findall("`(.+?)`", "".join(cells))]
    assert rooms == ORDER
    assert all(f"`{name}/`" in page for name in ASIDE - {"__init__"})


@pytest.mark.parametrize("name", ["docs/how-it-works.md", "CONTRIBUTING.md"])
def test_the_modules_that_a_page_names_exist(name: str) -> None:
    page = (ROOT / name).read_text("utf-8")
    package = Path(cave_auth_adapter.__file__).parent
    roots = (package, package.with_name("cave_auth_startup"), ROOT / "tests", ROOT / "docs")
    there = {path.name for root in roots for path in [root, *root.rglob("*")]}
    named = re.findall(r"`(?:[\w.]+/)*(\w+\.py|\w+(?=/`))", page)
    assert len(named) > 10
    assert set(named) - there == set()


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
