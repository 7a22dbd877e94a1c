"""Checks the English of the pages: ``python -m tests.docs.prose`` (`make lint` runs it).

It looks for words that make a page hard to read, and for sentences that are too long. Code and HTML
comments are left out; a heading, an item of a list and a cell of a table each stand alone.

>>> problems("Here\\n====\\n\\nWhoever wants a token\\nlogs in anew.")
["line 4: 'Whoever': name the person", "line 5: 'anew': again"]
>>> problems("`anew` is code, and so is this:\\n\\n```text\\nwhoever\\n```")
[]
>>> problems("| one | two |\\n| --- | --- |\\n| a door | b |")
["line 3: 'door': way to use it"]
>>> problems("* " + "word " * 36 + "end.\\n* A short one.")
['line 1: a sentence of 37 words: word word word word word word …']
>>> problems("It is " + "very " * 20 + "long. And " + "very " * 20 + "long.")
[]
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from .blocks import DOCS, ROOT

PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "SECURITY", "CONTRIBUTING", "CHANGELOG")),
    *DOCS,
]
MOST_WORDS = 35
#: What is not to be written -> what to write.
INSTEAD = {
    r"you get:": "say what the page is for",
    r"anew": "again",
    r"mend(?:s|ed|ing)?": "fix",
    r"hence": "so",
    r"of ours": "our",
    r"of yours": "your",
    r"who(?:so)?ever": "name the person",
    r"what(?:ever)? becomes of": "say what happens to it",
    r"doors?": "way to use it",
}

_BANNED = {re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE): INSTEAD[words] for words in INSTEAD}
# What is no prose: front matter of blocks, code, comments, snippets. Their lines stay, empty.
_CODE = re.compile(
    r"^[ ]*```.*?^[ ]*```[ ]*$|<!--.*?-->|^--8<--.*?$|^:::.*?$|`(?:[^`\n]|\n(?!\n))+`", re.M | re.S
)
_LINK = re.compile(r"!?\[([^]]*)\]\([^)]*\)")
_ITEM = re.compile(r"\s*(?:[*-]|\d+\.|#+|>|!!!|\|)\s|\s*$|[=-]+$")
_CELL = re.compile(r"(?<!\\)\|")
_END = re.compile(r"(?<=[.!?])[\"')*_]*\s+")
_WORD = re.compile(r"\w[\w'.-]*")


def problems(page: str) -> list[str]:
    """What is wrong with a page in Markdown, each with its line."""
    page = _CODE.sub(lambda code: _blank(code[0]), page)
    found = []
    for line, text in _paragraphs(page):
        for banned, instead in _BANNED.items():
            for match in banned.finditer(text):
                at = line + text.count("\n", 0, match.start())
                found.append((at, f"{match[0]!r}: {instead}"))
        for sentence in _END.split(text):
            words = _WORD.findall(sentence)
            if len(words) > MOST_WORDS:
                start = " ".join(words[:6])
                found.append((line, f"a sentence of {len(words)} words: {start} …"))
    return [f"line {line}: {problem}" for line, problem in sorted(found)]


def _blank(code: str) -> str:
    """As many lines without words; code within a line counts as a word."""
    lines = "\n" * code.count("\n")
    return f"code{lines}" if code.startswith("`") and "```" not in code else lines


def _paragraphs(page: str) -> Iterator[tuple[int, str]]:
    """The texts that stand alone, each with the number of its first line."""
    start, lines = 1, list[str]()
    for number, line in enumerate([*_LINK.sub(r"\1", page).split("\n"), ""], 1):
        if _ITEM.match(line) and lines:
            yield start, "\n".join(lines)
            lines = []
        if line.lstrip().startswith("|"):
            yield from ((number, cell) for cell in _CELL.split(line))
        elif line.strip():
            start = start if lines else number
            lines.append(line)


def main() -> int:
    """Show what is wrong, and tell the shell whether anything is."""
    found = [
        f"{page.relative_to(ROOT)}, {problem}"
        for page in PAGES
        for problem in problems(page.read_text("utf-8"))
    ]
    print(*found, f"{len(PAGES)} pages, {len(found)} problems of prose", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
