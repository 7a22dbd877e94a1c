"""Draws the terminal sessions that are marked in the pages: `python docs/terminal.py`.

`<!-- picture: NAME -->` before a session makes docs/images/NAME.svg. What the sessions show is
true: tests/docs runs them, and compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from math import ceil
from pathlib import Path

DOCS = Path(__file__).parent
_SESSION = re.compile(r"<!-- picture: (\w+) -->\n```console\n(.*?)```", re.DOTALL)

FONT, LINE, MARGIN, BAR = 14, 20, 16, 36  # pixels
COLUMNS = 54  # as many as a phone shows in letters of a readable size
WIDTH = 2 * MARGIN + ceil(COLUMNS * 0.61 * FONT)  # of a wide font
_STYLE = f"""\
    text {{ font: {FONT}px ui-monospace, 'SFMono-Regular', Menlo, 'DejaVu Sans Mono', monospace;
           fill: #d5dbe3; white-space: pre; }}
    .command {{ fill: #ffffff; font-weight: bold; }}
    .prompt {{ fill: #7ee2a8; }}"""


def draw(session: str) -> str:
    """A session as an SVG image: a dark terminal, which reads well on any page."""
    lines = [part for line in session.rstrip("\n").split("\n") for part in _wrapped(line)]
    height = BAR + len(lines) * LINE + MARGIN
    body = "\n".join(_line(text, BAR + (i + 1) * LINE) for i, text in enumerate(lines))
    dots = "\n".join(
        f'  <circle cx="{MARGIN + 20 * i}" cy="18" r="6" fill="{colour}"/>'
        for i, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">\n'
        f"  <title>A terminal session</title>\n  <style>\n{_STYLE}\n  </style>\n"
        f'  <rect x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="10" fill="#16181d" '
        f'stroke="#59616d"/>\n{dots}\n{body}\n</svg>\n'
    )


def _wrapped(line: str) -> Iterator[str]:
    """A line as a terminal breaks it: at its last column."""
    yield line[:COLUMNS]
    for start in range(COLUMNS, len(line), COLUMNS):
        yield line[start : start + COLUMNS]


def _line(text: str, y: int) -> str:
    if text.startswith("$ "):
        shown = f'<tspan class="prompt">$ </tspan><tspan class="command">{escape(text[2:])}</tspan>'
    else:
        shown = escape(text)
    return f'  <text x="{MARGIN}" y="{y}" xml:space="preserve">{shown}</text>'


def pictures() -> Iterator[tuple[Path, str]]:
    """Every picture: its path and its content."""
    for page in sorted(DOCS.glob("*.md")):
        for name, session in _SESSION.findall(page.read_text("utf-8")):
            yield DOCS / "images" / f"{name}.svg", draw(session)


if __name__ == "__main__":
    for path, picture in pictures():
        path.write_text(picture, "utf-8")
        print(path)
