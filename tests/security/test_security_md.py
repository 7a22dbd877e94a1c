"""Each promise in SECURITY.md names a test, and each test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text("utf-8")
PROMISES = PAGE.partition("\n## What we promise\n")[2].partition("\n## ")[0].split("\n* **")[1:]


def named_tests(text: str) -> list[str]:
    return re.findall(r"`(tests/[^`]+)`", text)


def test_there_are_promises() -> None:
    assert len(PROMISES) > 10


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.partition("*")[0])
def test_a_promise_names_its_test(promise: str) -> None:
    assert named_tests(promise)


@pytest.mark.parametrize("name", dict.fromkeys(named_tests(PAGE)))
def test_a_test_that_is_named_is_there(name: str) -> None:
    file, _, function = name.partition("::")
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    tests = [each for each in functions if each.startswith("test_")]
    assert function in tests if function else tests
