"""The pictures in the docs show what the pages say, and the pages are run by a test."""

from __future__ import annotations

import re
from html import unescape
from types import ModuleType

import pytest

from .blocks import script


@pytest.fixture(scope="module")
def terminal() -> ModuleType:
    return script("terminal")


def test_the_pictures_show_the_sessions_of_the_pages(terminal: ModuleType) -> None:
    drawn = dict(terminal.pictures())
    assert {path.name for path in drawn} == {"login.svg", "signed.svg"}
    for path, picture in drawn.items():
        assert path.read_text("utf-8") == picture, f"{path.name} is old: make pictures"


def test_no_line_of_a_picture_is_cut_off(terminal: ModuleType) -> None:
    fits = (terminal.WIDTH - 2 * terminal.MARGIN) / (0.61 * terminal.FONT)  # of a wide font
    for path, picture in terminal.pictures():
        lines = re.findall("<text[^>]*>(.*)</text>", picture)
        longest = max((unescape(re.sub("<[^>]+>", "", line)) for line in lines), key=len)
        assert len(longest) <= fits, f"{path.name}: {longest}"
