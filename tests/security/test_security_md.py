"""Each promise in SECURITY.md names a test, and each test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text("utf-8")
PROMISES = [
    line
    for line in PAGE.partition("\n## What we promise\n")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| **")
]


def named_tests(line: str) -> list[str]:
    return re.findall(r"`(tests/[^`]+)`", line)


def test_there_are_promises() -> None:
    assert len(PROMISES) > 10


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_names_its_test(promise: str) -> None:
    assert named_tests(promise)


@pytest.mark.parametrize("name", dict.fromkeys(named_tests(PAGE)))
def test_a_test_that_is_named_is_there(name: str) -> None:
    file, _, function = name.partition("::")
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    tests = [each for each in functions if each.startswith("test_")]
    assert function in tests if function else tests
