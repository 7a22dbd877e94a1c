"""Interleaved rounds of two or more ways to do the same thing, and their medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple


class Way(NamedTuple):
    """One way to do it, and the context in which its rounds run."""

    act: Callable[[], object]
    context: Callable[[], AbstractContextManager[object]] = nullcontext


class Result(NamedTuple):
    """Seconds per call of each way: the median over the rounds, and the spread."""

    medians: dict[str, float]
    spreads: dict[str, tuple[float, float]]

    def ratio(self, way: str, against: str) -> float:
        return self.medians[way] / self.medians[against]


def side_by_side(ways: dict[str, Way], *, rounds: int, calls: int) -> Result:
    """Time each way in turn, round by round, so that a machine that slows down slows all alike."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            with way.context():
                way.act()  # whatever is read, connected or remembered the first time
                start = time.perf_counter()
                for _ in range(calls):
                    way.act()
                times[name].append((time.perf_counter() - start) / calls)
    return Result(
        {name: statistics.median(each) for name, each in times.items()},
        {name: (min(each), max(each)) for name, each in times.items()},
    )


def row(what: str, value: float, unit: str, bound: str, held: bool) -> str:
    return f"| {what} | {value:.2f} {unit} | {bound} | {'yes' if held else 'NO'} |"
