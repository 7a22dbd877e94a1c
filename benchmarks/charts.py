"""The charts of the page: legible on a light and on a dark ground."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

from .growth import COUNTS, Growth
from .measure import Spread

# Mid-tones, with a contrast of at least 3 to 1 against white and against black.
_INK, _OURS, _THEIRS = "#808080", "#3b82c4", "#b8733a"

pyplot.rcParams.update(
    {
        "svg.hashsalt": "benchmarks",  # the same numbers make the same file
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        **dict.fromkeys(
            ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK
        ),
    }
)


def bars(path: Path, values: Mapping[str, Spread], ours: set[str], label: str) -> None:
    figure, axes = pyplot.subplots(figsize=(7, 0.42 * len(values) + 0.9))
    names = list(reversed(values))
    for place, name in enumerate(names):
        low, median, high = values[name]
        axes.barh(place, median, color=_OURS if name in ours else _THEIRS, height=0.6)
        axes.plot([low, high], [place, place], color=_INK, linewidth=2)
        axes.annotate(f" {median:.3g}", (max(high, median), place), va="center")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(label)
    axes.margins(x=0.12)
    _save(figure, path)


def lines(path: Path, growths: Mapping[str, Growth]) -> None:
    figure, axes = pyplot.subplots(figsize=(7, 3.2))
    for (name, growth), color in zip(growths.items(), (_OURS, _THEIRS), strict=True):
        micro = [value * 1e6 for value in growth.signature]
        axes.plot(COUNTS, micro, "o-", color=color, label=f"a signature, {name}")
        micro = [value * 1e6 for value in growth.first]
        axes.plot(COUNTS, micro, "s--", color=color, label=f"the first look-up, {name}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("how many there are")
    axes.set_ylabel("µs")
    axes.legend(frameon=False)
    _save(figure, path)


def _save(figure, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, transparent=True, metadata={"Date": None})
    pyplot.close(figure)
