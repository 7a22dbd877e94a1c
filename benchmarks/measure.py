"""Ways to do the same thing, measured in turn, and what the differences come to.

On a machine that does other work too, a time by itself says little. So the ways take turns within
each round, in a new order each time; of each way the fastest call of the round counts, which is the
one that was disturbed least; and what is compared are the ways of the same round. The median over
the rounds is the result, and the quartiles show how far it can be trusted.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

Act = Callable[[], object]


class Spread(NamedTuple):
    """A median, and the quartiles around it."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        low, median, high = statistics.quantiles(values, n=4)
        return cls(low, median, high)

    def show(self, unit: str = "", scale: float = 1.0) -> str:
        """In as many decimals as make sense for its size."""
        low, median, high = (value * scale for value in self)
        digits = 3 if median < 2 else 2 if median < 20 else 1 if median < 100 else 0
        return f"{median:.{digits}f}{unit} ({low:.{digits}f} to {high:.{digits}f})"


class Result(NamedTuple):
    """For each way, the seconds that a call took in each round."""

    rounds: Mapping[str, list[float]]

    def seconds(self, way: str) -> Spread:
        return Spread.of(self.rounds[way])

    def ratio(self, way: str, to: str) -> Spread:
        """How many times as long a way takes as another."""
        return Spread.of([a / b for a, b in zip(self.rounds[way], self.rounds[to], strict=True)])

    def added(self, way: str, to: str) -> Spread:
        """How many seconds a way takes more than another."""
        return Spread.of([a - b for a, b in zip(self.rounds[way], self.rounds[to], strict=True)])


def in_turn(
    ways: Mapping[str, Act],
    *,
    rounds: int,
    calls: int,
    warm: bool = True,
    clock: Callable[[], float] = time.thread_time,
) -> Result:
    """Measure ways to do the same thing.

    :param calls: of each way in a round; the fastest counts.
    :param warm: whether a call that is not measured comes before each that is.
    :param clock: ``time.thread_time`` counts the processor time of this thread alone, and not what
        other processes take; for what waits, ``time.perf_counter``.
    """
    names, times = list(ways), {name: [0.0] * rounds for name in ways}
    for act in ways.values():
        act()
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            best = dict.fromkeys(names, float("inf"))
            for _ in range(calls):
                random.shuffle(names)
                for name in names:
                    act = ways[name]
                    if warm:
                        act()
                    start = clock()
                    act()
                    best[name] = min(best[name], clock() - start)
            for name in names:
                times[name][number] = best[name]
            gc.collect(0)
    finally:
        gc.enable()
    return Result(times)


class Row(NamedTuple):
    """A line of the report. Without a bound it is for information."""

    what: str
    measured: str
    bound: str = ""
    held: bool = True

    def show(self) -> str:
        verdict = ("yes" if self.held else "**NO**") if self.bound else ""
        return f"| {self.what} | {self.measured} | {self.bound} | {verdict} |"
