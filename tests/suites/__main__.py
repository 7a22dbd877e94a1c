"""Run the suites of requests and of responses in both modes, and fail where they differ."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from .comparison import KINDS, NOT_RUN, counts, differences, failures, modules
from .runs import Run, run_both
from .sources import SUITES, Suite, unpack

RERUNS = 2
ROW = "{:<19} {:<10}" + " {:>8}" * len(KINDS) + " {:>6}"


def main() -> int:
    print(ROW.format("suite", "plugin", *KINDS, "time"))
    alike = different = 0
    for suite in SUITES:
        with tempfile.TemporaryDirectory() as folder:
            names, remaining = compare(suite, unpack(suite, Path(folder)))
        alike += names - remaining
        different += remaining
    print("\nA test that ends in the same way in both modes counts as passed here.")
    print(f"alike: {alike} passed, {different} failed")
    return bool(different) or not alike


def compare(suite: Suite, root: Path) -> tuple[int, int]:
    """Run a suite in both modes; return how many tests it has, and how many of them differ."""
    without, installed = run_both(suite, root)
    for mode, run in (("without", without), ("installed", installed)):
        count = counts(run.ends)
        print(ROW.format(suite.title, mode, *(count[k] for k in KINDS), f"{run.seconds:.0f} s"))
    if not without.ends or not installed.decisions:
        sys.exit(f"{suite.title}: no test was run, or the plugin was never asked.")
    print(f"  The plugin was asked about {installed.decisions} URLs.")
    both = set(failures(without.ends)) & set(failures(installed.ends))
    for line in sorted(both):
        print(f"  in both: {line}")
    return len(without.ends.keys() | installed.ends.keys()), len(
        _lasting(suite, root, without, installed)
    )


def _lasting(suite: Suite, root: Path, without: Run, installed: Run) -> list[str]:
    """The differences that are there again each time their modules are run again, whole.

    Not the tests alone: one may fail for what an earlier one of its module left behind.
    """
    names = differences(without.ends, installed.ends)
    for rerun in range(1, RERUNS + 1):
        if not names:
            break
        _show(names, without, installed)
        print(f"  Running their modules again, {rerun} of {RERUNS} ...", flush=True)
        without, installed = run_both(suite, root, modules(names))
        again = set(differences(without.ends, installed.ends))
        for name in [name for name in names if name not in again]:
            print(f"  not a difference: {name} (alike when run again)")
        names = [name for name in names if name in again]
    _show(names, without, installed)
    return names


def _show(names: list[str], without: Run, installed: Run) -> None:
    for name in names:
        ends = (run.ends.get(name, NOT_RUN) for run in (without, installed))
        print("  DIFFERENT: {}: {} without, {} installed".format(name, *ends))


if __name__ == "__main__":
    sys.exit(main())
