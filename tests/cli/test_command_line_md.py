"""The tables of ``docs/command-line.md`` match the commands; its sessions are run in tests/docs."""

from __future__ import annotations

import re
from pathlib import Path

from cave_auth_adapter.cli import common, main

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text("utf-8")


def test_the_page_lists_every_command() -> None:
    told = set(re.findall(r"^\| `([a-z]+)", PAGE, re.MULTILINE))
    assert told >= set(main.commands)


def test_the_page_lists_the_exit_codes() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    known = {
        value
        for name, value in vars(common).items()
        if name.isupper() and name[0] != "_" and isinstance(value, int)
    }
    assert told == {0, 126, 127, *known}
