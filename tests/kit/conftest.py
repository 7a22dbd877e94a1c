"""pytest in a process of its own, as the author of another tool runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

collect_ignore = ["thirdparty"]  # a package of its own, which test_third_party.py tests


class Outcome(NamedTuple):
    """How a run of pytest ended."""

    counts: dict[str, int]  # "passed", "failed", "errors", "warnings", ...
    out: str

    @property
    def failed(self) -> set[str]:
        """The names of the tests that failed."""
        return set(re.findall(r"^FAILED \S+::(\w+)", self.out, re.MULTILINE))


def run_pytest(directory: Path, *arguments: str, command: tuple[str, ...] = ("-m",)) -> Outcome:
    done = subprocess.run(
        [sys.executable, *command, "pytest", "-p", "no:cacheprovider", "-ra", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    last = done.stdout.strip().rpartition("\n")[2]
    counts = {name: int(count) for count, name in re.findall(r"(\d+) ([a-z]+)", last)}
    return Outcome(counts, done.stdout)


USES_THE_KIT = 'pytest_plugins = ["cave_auth_adapter.testing"]\n'

OutcomeOf = Callable[..., Outcome]


@pytest.fixture
def outcome_of(tmp_path: Path) -> OutcomeOf:
    """Run pytest on the source of a test file, beside a `conftest.py`."""
    directory = tmp_path / "tool"
    directory.mkdir()
    (directory / "pytest.ini").write_text("[pytest]\n")

    def outcome_of(
        source: str, *arguments: str, conftest: str = USES_THE_KIT, **options: tuple[str, ...]
    ) -> Outcome:
        (directory / "conftest.py").write_text(textwrap.dedent(conftest))
        (directory / "test_tool.py").write_text(textwrap.dedent(source))
        return run_pytest(directory, *arguments, **options)

    return outcome_of
