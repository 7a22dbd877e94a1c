"""The code blocks of a page, and what is to be done with each."""

from __future__ import annotations

import importlib.util
import re
import shutil
import textwrap
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("**/*.md"))
PAGES = [*(page for page in (ROOT / "README.md", ROOT / "SECURITY.md") if page.exists()), *DOCS]
#: Pages that show the files of a package of their own -> the test that runs it, and compares.
RUN_ELSEWHERE = dict.fromkeys(("testing.md", "testing-refusals.md"), "tests/kit/test_testing_md.py")

_BLOCK = re.compile(
    r"(?:^[ ]*<!-- not run: (?P<reason>[^>]+?) -->\n\s*)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=indent)```[ ]*$",
    re.DOTALL | re.MULTILINE,
)
# Not available to the docs' tests: package registries, clusters, container engines.
_ELSEWHERE = {"pip", "sbatch", "srun", "kubectl", "docker", "make", "git", "gh"}
if not shutil.which("curl"):
    _ELSEWHERE.add("curl")
_COMMAND = re.compile(r"(?:^|\|)\s*(?:\w+=(?:\$\(.*?\)|\S*)\s+)*([\w.-]+)", re.MULTILINE)
#: Languages that are shown, and not run: nothing here runs them.
_FOREIGN = {"r", "matlab", "julia"}
LANGUAGES = {"python", "console", "bash", "snakemake", "yaml", "json", "toml", "text", *_FOREIGN}


class Block(NamedTuple):
    """A fenced block.

    ``action`` is "run", "parse", "output" (of the block before), "elsewhere" or "skip".
    """

    language: str
    code: str
    line: int  #: of the first line of code
    action: str
    reason: str


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text, found, end = page.read_text("utf-8"), list[Block](), 0
    for match in _BLOCK.finditer(text):
        code = textwrap.dedent(match["code"])
        language, reason = match["language"], match["reason"] or ""
        follows = bool(found) and not text[end : match.start()].strip()
        action = "skip" if reason else _action(language, code, found[-1] if follows else None)
        if page.name in RUN_ELSEWHERE and language != "bash":
            action = "elsewhere"
        line = text.count("\n", 0, match.start("code")) + 1
        found.append(Block(language, code, line, action, reason))
        end = match.end()
    return found


def script(name: str) -> ModuleType:
    """A program in ``docs/``, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def steps_of(session: str) -> list[tuple[str, str]]:
    """The commands of a terminal session, each with what it shows."""
    steps = re.split(r"^\$ ", session, flags=re.MULTILINE)
    return [(command, shown) for command, _, shown in (s.partition("\n") for s in steps[1:])]


def _action(language: str, code: str, before: Block | None) -> str:
    if language == "text":
        is_output = before is not None and (before.language, before.action) == ("python", "run")
        return "output" if is_output else "unknown"
    if language in _FOREIGN:
        return "elsewhere"
    if language in ("yaml", "json"):
        return "parse"
    if language == "bash":
        commands = _COMMAND.findall(code)
        return "parse" if any(command in _ELSEWHERE for command in commands) else "run"
    return "run" if language in LANGUAGES else "unknown"
