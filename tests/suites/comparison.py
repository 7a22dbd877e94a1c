"""Compare two runs of a suite, test by test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

Ends = Mapping[str, str]  # the name of a test -> how it ended
NOT_RUN = "not run"
KINDS = ("passed", "failed", "skipped", "xfailed", "xpassed")


def differences(without: Ends, plugged: Ends) -> list[str]:
    """The tests that do not end alike.

    >>> differences({"a": "passed", "b": "passed"}, {"a": "passed", "c": "passed"})
    ['b', 'c']
    """
    names = dict.fromkeys([*without, *plugged])
    return [n for n in names if without.get(n, NOT_RUN) != plugged.get(n, NOT_RUN)]


def modules(names: Iterable[str]) -> list[str]:
    """The modules of some tests.

    >>> modules(["tests/test_a.py::test_x", "tests/test_a.py::test_y[1::2]"])
    ['tests/test_a.py']
    """
    return list(dict.fromkeys(name.partition("::")[0] for name in names))


def function(name: str) -> str:
    """The name of a test without its parameters.

    >>> function("tests/test_a.py::test_y[1::2]")
    'tests/test_a.py::test_y'
    """
    return name.partition("[")[0]


def counts(ends: Ends) -> Counter[str]:
    """How many tests ended in which way.

    >>> counts({"a": "passed", "b": "failed in call: OSError"})["failed"]
    1
    """
    return Counter(end.split()[0] for end in ends.values())


def failures(ends: Ends) -> Iterator[str]:
    """A line for each test that failed."""
    for name, end in ends.items():
        if end.startswith("failed"):
            yield f"{name}: {end}"
