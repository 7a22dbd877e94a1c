"""Every code block of the README and of ``docs/`` is run; sandboxes bear the names of servers."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from .blocks import DOCS, LANGUAGES, PAGES, ROOT, RUN_ELSEWHERE, Block, blocks_of, steps_of
from .conftest import MICRONS, Reader, World

#: Pages whose reader has no token yet.
NEWCOMERS = {
    *("README.md", "index.md", "command-line.md", "login.md", "several-servers.md", "tutorial.md"),
    *("colleague.md", "my-lab.md", "sessions.md", "snakemake.md"),
}
#: What the text of a page asks its reader to have.
GIVEN = {"tutorial.md": 'datastack_name, new_token = "minnie65_public", {token!r}'}
#: Blocks that can't be run, on all pages together.
NOT_RUN = 12


def sitting(page: Path) -> list[Block]:
    """What the reader of a page does, command by command."""
    steps: list[Block] = []
    for block in blocks_of(page):
        if block.action != "run":
            continue
        elif block.language == "console":
            for command, _ in steps_of(block.code):
                steps.append(block._replace(code=command))
        else:
            steps.append(block)
    return steps


def expected(page: Path) -> list[str | None]:
    """The output of each step, if the page shows it."""
    shown: list[str | None] = []
    for block in blocks_of(page):
        if block.action == "output":
            shown[-1] = block.code
        elif block.action == "run" and block.language == "console":
            shown += [output for _, output in steps_of(block.code)]
        elif block.action == "run":
            shown.append(None)
    return shown


def given(page: Path, world: World) -> str:
    return GIVEN.get(page.name, "").format(token=world.microns.token)


def with_terms_to_accept(world: World) -> int:
    """A user who has yet to accept the terms of a data set."""
    permissions = {"sandbox": ["view"], "sandbox_terms": ["view"]}
    return world.microns.create_user("New User", permissions=permissions)


def matches(shown: str, told: str) -> bool:
    """Whether an output matches the one on a page, where "…" stands for any text."""
    pattern = re.escape(told.strip()).replace("…", ".*")
    return re.fullmatch(pattern, shown.strip()) is not None


@pytest.mark.parametrize("page", [*filter(sitting, PAGES)], ids=lambda page: page.name)
def test_a_page_does_what_it_says(page: Path, reader: Reader, world: World) -> None:
    steps = sitting(page)
    if page.name not in NEWCOMERS:
        reader.log_in()
    if page.name == "sessions.md":
        reader.logs_in_as({MICRONS["auth_server"]: with_terms_to_accept(world)})
    world.microns.clear_requests()
    outputs, stderr = reader.read(page, steps, given(page, world))
    assert len(outputs) == len(steps)
    for step, shown, told in zip(steps, outputs, expected(page), strict=True):
        if told is not None:
            told = world.in_sandbox(told)
            assert matches(shown, told), f"{page.name}, line {step.line}:\n{shown}\n{stderr}"
    check_what_strangers_saw(world, steps)


def check_what_strangers_saw(world: World, steps: list[Block]) -> None:
    stranger = world.microns.foreign_server
    received = world.microns.requests(stranger)
    assert bool(received) == any(f'get("{stranger}' in step.code for step in steps)
    for request in received:
        assert request.header("Authorization") is None
        assert request.header("Cookie") is None


def test_the_tutorial_shows_what_it_saved(reader: Reader, world: World) -> None:
    page = ROOT / "docs" / "tutorial.md"
    outputs, _ = reader.read(page, sitting(page), given(page, world))
    out = "".join(outputs)
    assert "My current token is: None" in out
    for told in ("Now my basic token", "The token under that key", "The token in that file"):
        assert f"{told} is: {world.microns.token}" in out
    assert "overwrite=True" in out
    assert f"Datastacks here: ['{world.microns.datastack}'" in out
    assert f"run on {world.microns.data_server}" in out
    assert "Its images: precomputed://" in out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_that_are_not_run_are_well_formed(page: Path) -> None:
    for block in blocks_of(page):
        assert block.language in LANGUAGES, f"{page.name}, line {block.line}"
        assert block.action != "unknown", f"{page.name}, line {block.line}: not run, and no reason"
        if block.action == "parse":
            parse(block)


def parse(block: Block) -> None:
    if block.language == "yaml":
        assert list(yaml.safe_load_all(block.code))
    elif block.language == "json":
        assert json.loads(block.code)
    else:
        subprocess.run(["bash", "-n"], input=block.code, text=True, check=True, timeout=10)


def test_only_a_few_blocks_are_not_run() -> None:
    skipped = [
        (page.name, block.line, block.reason)
        for page in PAGES
        for block in blocks_of(page)
        if block.action == "skip"
    ]
    assert len(skipped) == NOT_RUN, skipped


def test_every_block_is_found() -> None:
    for page in PAGES:
        fences = re.findall(r"^\s*(?:```|~~~)", page.read_text("utf-8"), re.MULTILINE)
        assert len(fences) == 2 * len(blocks_of(page)), page.name


def test_blocks_run_by_other_tests_are_named_there() -> None:
    for name, test in RUN_ELSEWHERE.items():
        if (ROOT / "docs" / name).exists():
            assert f'"{name}"' in (ROOT / test).read_text("utf-8")


def test_no_install_has_quotes_that_cmd_does_not_know() -> None:
    """Double quotes work in cmd, in PowerShell and in POSIX shells."""
    found = [
        page.name for page in PAGES if re.search(r"pip install [^`\n]*'", page.read_text("utf-8"))
    ]
    assert found == []


def test_the_readme_begins_with_all_that_a_newcomer_needs() -> None:
    """In 30 lines: a picture, install, log in, one line of code; soon a command."""
    start = (ROOT / "README.md").read_text("utf-8").split("\n")[:30]
    for needed in ("git clone ", "pip install .", "cave-auth login", "install()", "print("):
        assert any(line.startswith(needed) for line in start), needed
    assert sum(line.startswith("![") for line in start) == 1
    before = "\n".join(start).partition("```")[0]
    words = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", before).split()
    assert len(words) <= 120


def test_the_links_of_the_readme_work() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", readme) if "://" not in link]
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_the_readme_links_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for page in DOCS:
        # The site is built from docstrings, and from SECURITY.md, for these.
        if not re.match(r"(api-.*|reference|security)\.md", page.name):
            assert f"(docs/{page.name})" in readme, page.name


def test_each_page_is_in_the_navigation() -> None:
    nav = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    for page in DOCS:
        assert f" {page.name}\n" in nav, page.name
