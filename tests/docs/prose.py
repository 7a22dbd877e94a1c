"""Checks the English of the pages and the code: ``python -m tests.docs.prose``.

`make lint` runs it. It looks for words that make a text hard to read, and for sentences that are
too long. In pages, code and HTML comments are left out; a heading, an item of a list and a cell of
a table each stand alone. In code, it reads docstrings, comments and messages: the strings that hold
three words or more. Doctests and lines to copy are left out. In tests, it reads docstrings and
comments, which may call a way to use the plugin a door.

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
>>> problems_in_code("x = 1  # mends it\\nraise ValueError(f'Log in to {x} anew.')")
["line 1: 'mends': fix", "line 2: 'anew': again"]
>>> problems_in_code("def anew():\\n    'A token of ours.\\\\n\\\\n>>> anew()\\\\n'")
["line 2: 'of ours': our"]
>>> problems_in_code("help = 'It is " + "very " * 36 + "long.'")
['line 1: a sentence of 39 words: It is very very very very …']
>>> problems_in_code("a = 1  # " + "word " * 20 + "\\n# " + "word " * 20)
[]
>>> problems_in_code("names = {'whoever': 'a door'}")
[]
>>> problems_in_tests("def test():\\n    'Log in by a door anew.'\\n    fail('Log in by it anew.')")
["line 2: 'anew': again"]
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from .blocks import DOCS, ROOT

PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "SECURITY", "CONTRIBUTING", "CHANGELOG")),
    *DOCS,
]
CODE = sorted(
    path
    for name in ("cave_auth_adapter", "cave_auth_startup")
    for path in (ROOT / name).rglob("*.py")
)
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))
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
    r"all the same": "anyway",
    r"(?:bears|bore)": "has, or carries",
    r"in vain": "without success",
    r"lest": "so that … not",
    r"nobody's": "say whose it is",
    r"of (?:theirs|mine|hers)": "their",
    r"doors?": "way to use it",
}

_BANNED = {re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE): INSTEAD[words] for words in INSTEAD}
# What is no prose: front matter of blocks, code, comments, snippets. Their lines stay, empty.
_CODE = re.compile(
    r"^[ ]*```.*?^[ ]*```[ ]*$|<!--.*?-->|^--8<--.*?$|^:::.*?$|`(?:[^`\n]|\n(?!\n))+`", re.M | re.S
)
_LINK = re.compile(r"!?\[([^]]*)\]\([^)]*\)")
_ITEM = re.compile(r"\s*(?:[*-]|\d+\.|#+|>|!!!|\||:\w+[^:]*:)\s|\s*$|[=-]+$")
_CELL = re.compile(r"(?<!\\)\|")
_END = re.compile(r"(?<=[.!?])[\"')*_]*\s+")
# In a docstring: doctests, and what click leaves as it is.
_NO_DOCSTRING = re.compile(r"^[ ]*(?:>>> |[\b]).*?(?:\n[ ]*$|\Z)", re.M | re.S)
# In a message: lines to copy, which are indented, and the markup of HTML with its styles.
_NO_MESSAGE = re.compile(r"^[ ]+\S[^\n]*$|<(style|script)\b.*?</\1>|<[/!a-z][^<>]*>", re.M | re.S)
_MESSAGE = re.compile(r"[A-Za-z,]{2} [a-z]+ \w")
_WORD = re.compile(r"\w[\w'.-]*")


def problems(page: str) -> list[str]:
    """What is wrong with a page in Markdown, each with its line."""
    return _problems(_paragraphs(page))


def problems_in_code(source: str) -> list[str]:
    """What is wrong with the docstrings, comments and messages of a module, each with its line."""
    return _problems(chain(_strings(ast.parse(source)), _comments(source)))


def problems_in_tests(source: str) -> list[str]:
    """What is wrong with the docstrings and comments of a module of tests, each with its line."""
    found = _problems(chain(_strings(ast.parse(source), docstrings=True), _comments(source)))
    return [problem for problem in found if not re.search("'doors?'", problem, re.IGNORECASE)]


def _problems(paragraphs: Iterator[tuple[int, str]]) -> list[str]:
    found = []
    for line, text in paragraphs:
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


def _paragraphs(page: str, first: int = 1) -> Iterator[tuple[int, str]]:
    """The texts that stand alone, each with the number of its first line."""
    page = _LINK.sub(r"\1", _CODE.sub(lambda code: _blank(code[0]), page))
    start, lines = first, list[str]()
    for number, line in enumerate([*page.split("\n"), ""], first):
        if _ITEM.match(line) and lines:
            yield start, "\n".join(lines)
            lines = []
        if line.lstrip().startswith("|"):
            yield from ((number, cell) for cell in _CELL.split(line))
        elif line.strip():
            start = start if lines else number
            lines.append(line)


def _strings(tree: ast.AST, *, docstrings: bool = False) -> Iterator[tuple[int, str]]:
    """The paragraphs of docstrings, and the other strings that are no mere names or patterns.

    :param docstrings: leave out the other strings.
    """
    for node in ast.iter_child_nodes(tree):
        no_prose = _NO_MESSAGE
        match node:
            case ast.Expr(value=ast.Constant(value=str(text), lineno=line)):
                no_prose = _NO_DOCSTRING
            case ast.Constant() | ast.JoinedStr() if docstrings:
                continue
            case ast.Constant(value=str(text), lineno=line):
                pass
            case ast.JoinedStr(values=parts, lineno=line):
                text = "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "X" for part in parts
                )
            case _:
                yield from _strings(node, docstrings=docstrings)
                continue
        if _MESSAGE.search(text):
            yield from _paragraphs(no_prose.sub(lambda code: _blank(code[0]), text), line)


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """The comments; those of lines that follow each other are one text."""
    start, lines, is_open = 0, list[str](), False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            alone = not token.line[: token.start[1]].strip()
            if lines and not (alone and is_open and token.start[0] == start + len(lines)):
                yield from _paragraphs("\n".join(lines), start)
                lines = []
            start, is_open = start if lines else token.start[0], alone
            lines.append(token.string.lstrip("#: "))
    yield from _paragraphs("\n".join(lines), start)


def main() -> int:
    """Show what is wrong, and tell the shell whether anything is."""
    checks: list[tuple[list[Path], Callable[[str], list[str]]]] = [
        (PAGES, problems),
        (CODE, problems_in_code),
        (TESTS, problems_in_tests),
    ]
    found = [
        f"{path.relative_to(ROOT)}, {problem}"
        for paths, check in checks
        for path in paths
        for problem in check(path.read_text("utf-8"))
    ]
    files = f"{len(PAGES)} pages, {len(CODE)} modules, {len(TESTS)} of tests"
    print(*found, f"{files}, {len(found)} problems of prose", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
