"""What a login asks of a person: their steps, and the words that they are shown until it is done.

The counts are compared with the table "How much it takes" in docs/login.md.
"""

from __future__ import annotations

import re

from ..docs.blocks import ROOT

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
# hf draws the choice that was taken over its menu; it has been read in the menu.
_DRAWN_OVER = re.compile(r"\x1b\[\d+A\r\x1b\[J[^\n]*")
_DONE = re.compile(r"Logged in|Login successful")


class Walk:
    """The way of a person to their login, noted while a test goes it."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self._shown = ""

    def step(self, what: str) -> None:
        """Note what a person does next: one line typed, one choice, one thing copied and pasted."""
        self.steps.append(what)

    def shown(self, text: str) -> None:
        """Note what a terminal or a notebook shows, in the order in which it does."""
        self._shown += f"{text}\n"

    @property
    def words(self) -> int:
        """The words until somebody is logged in. Of a line that is drawn again, one copy counts."""
        text = _ESCAPES.sub("", _DRAWN_OVER.sub("", self._shown))
        done = _DONE.search(text)
        assert done, text
        lines = text[: done.end()].replace("\r\n", "\n").split("\n")
        drawn = {
            (n, re.sub(r"\d", "0", part))
            for n, line in enumerate(lines)
            for part in line.split("\r")
        }
        return sum(bool(re.search(r"\w", word)) for _, part in drawn for word in part.split())

    @property
    def row(self) -> str:
        """The cells of the table: the steps, how many they are, and the words."""
        return f"{', '.join(self.steps)} | {len(self.steps)} | {self.words}"


def row_of(place: str) -> str:
    """What the page says of a place; nothing if it has no row for it."""
    page = (ROOT / "docs" / "login.md").read_text("utf-8")
    found = re.search(rf"^\| {re.escape(place)} \| (.+) \|$", page, re.MULTILINE)
    return found[1] if found else ""


def numbers(place: str) -> tuple[int, int]:
    """The steps and the words that the page says a place takes."""
    _, steps, words = row_of(place).split(" | ")
    return int(steps), int(words)
