"""``docs/check_site.py`` on small sites made for the test: what is missing is found."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from .blocks import ROOT

CHECK: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "check_site.py"))


def missing(site: Path, body: str) -> list[str]:
    """What is missing on a page of a site, which also has a picture and another page."""
    (site / "there.png").write_bytes(b"")
    (site / "other.html").write_text('<h2 id="there">There</h2>')
    (site / "index.html").write_text(body)
    pages = {path: CHECK["Page"](path.read_text()) for path in site.glob("*.html")}
    return [*CHECK["missing"](site, pages)]


@pytest.mark.parametrize(
    "body",
    [
        '<img src="there.png">',
        '<a href="other.html#there">x</a>',
        '<h2 id="a">A</h2><a href="#a">x</a>',
        '<a href="https://example.org/gone.html">x</a>',
        '<a href="mailto:me@example.org">x</a>',
    ],
)
def test_what_exists_is_not_reported(tmp_path: Path, body: str) -> None:
    assert missing(tmp_path, body) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<img src="gone.png">', "gone.png does not exist"),
        ('<a href="gone.html">x</a>', "gone.html does not exist"),
        ('<script src="gone.js"></script>', "gone.js does not exist"),
        ('<a href="other.html#gone">x</a>', "other.html#gone leads to no heading"),
        ('<a href="#gone">x</a>', "#gone leads to no heading"),
    ],
)
def test_what_is_missing_is_reported(tmp_path: Path, body: str, problem: str) -> None:
    [told] = missing(tmp_path, body)
    assert told.endswith(f"index.html: {problem}")
