"""``docs/testing.md`` shows the files of the example; the tests on it and its next page run."""

from __future__ import annotations

import re
from pathlib import Path

from .conftest import USES_THE_KIT, OutcomeOf
from .test_third_party import TOOL

DOCS = Path(__file__).parents[2] / "docs"
PAGE, NEXT = ((DOCS / name).read_text("utf-8") for name in ("testing.md", "testing-refusals.md"))
FILES = dict(re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE + NEXT, re.DOTALL | re.MULTILINE)


def test_the_example_is_shown_as_it_is() -> None:
    there = {
        str(path.relative_to(TOOL)): path.read_text("utf-8")
        for path in TOOL.rglob("*")
        if path.suffix in (".py", ".toml")
    }
    assert there == FILES


def test_the_other_blocks_run(outcome_of: OutcomeOf) -> None:
    first, *others = [block for block in BLOCKS if block not in FILES.values()]
    assert first == USES_THE_KIT
    source = "".join(others)
    outcome = outcome_of(source, conftest=first)
    assert outcome.counts == {"passed": source.count("def test_")}, outcome.out
    assert outcome.counts["passed"] == 5
