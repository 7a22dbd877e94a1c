"""Run other people's suites in all modes, and fail where a test ends otherwise than without us."""

from __future__ import annotations

import sys
from collections import Counter

from .comparison import KINDS, NOT_RUN, counts, differences, failures, function, modules
from .known import known, unexpected
from .runs import MODES, WITHOUT, Job, Run, run_all
from .sources import SUITES, Suite, download

RERUNS = 2
ROW = "{:<24} {:<10}" + " {:>8}" * len(KINDS) + " {:>6} {:>6} {:>6}"
PLUGGED = [mode for mode in MODES if mode != WITHOUT]


def main() -> int:
    for suite in SUITES:
        download(suite)
    jobs = [Job(suite, mode) for suite in SUITES for mode in MODES]
    runs = dict(zip(jobs, run_all(jobs), strict=True))
    print(ROW.format("suite", "plugin", *KINDS, "asked", "acted", "time"))
    alike = excused = wrong = 0
    for suite in SUITES:
        without = runs[Job(suite, WITHOUT)]
        show(suite, WITHOUT, without)
        for line in failures(without.ends):
            print(f"  without us, too: {line}")
        for mode in PLUGGED:
            run = runs[Job(suite, mode)]
            show(suite, mode, run)
            different = differences(without.ends, run.ends)
            excused += tell_known(suite, mode, different)
            wrong += len(lasting(suite, mode, without, run))
            alike += len(without.ends) - len(different)
    print("\nA test that ends as it does without the plugin counts as passed here.")
    print(f"alike: {alike} passed, {wrong} failed; otherwise, as listed in known.py: {excused}")
    return bool(wrong) or not alike


def show(suite: Suite, mode: str, run: Run) -> None:
    """Print how many tests ended in which way, and how often the plugin had a say."""
    count = counts(run.ends)
    numbers = (*(count[kind] for kind in KINDS), run.asked, run.acted)
    print(ROW.format(suite.title, mode, *numbers, f"{run.seconds:.0f} s"))
    if not run.ends or (mode != WITHOUT and not run.asked):
        sys.exit(f"{suite.title}: no test was run, or the plugin was never asked.")
    if MODES[mode].get("SUITE_TRUST") and not run.acted:
        sys.exit(f"{suite.title}: the plugin never acted.")


def tell_known(suite: Suite, mode: str, different: list[str]) -> int:
    """Print how many tests end otherwise for which of the listed reasons; return their number."""
    reasons = known(suite.package, mode)
    found = Counter(reasons[function(each)] for each in different if function(each) in reasons)
    for why, count in found.items():
        print(f"  {count} otherwise, as listed: {why}")
    return found.total()


def lasting(suite: Suite, mode: str, without: Run, run: Run) -> list[str]:
    """The unexpected ends that are there again each time their modules are run again, whole.

    Not the tests alone: one may fail for what an earlier one of its module left behind.
    """
    reasons = known(suite.package, mode)
    names = unexpected(differences(without.ends, run.ends), without.ends, reasons)
    for rerun in range(1, RERUNS + 1):
        if not names:
            break
        _show(names, mode, without, run)
        print(f"  Running their modules again, {rerun} of {RERUNS} ...", flush=True)
        again = modules(names)
        without, run = run_all([Job(suite, WITHOUT, again), Job(suite, mode, again)])
        still = unexpected(differences(without.ends, run.ends), without.ends, reasons)
        for name in [name for name in names if name not in still]:
            print(f"  as expected when run again: {name}")
        names = [name for name in names if name in still]
    _show(names, mode, without, run)
    return names


def _show(names: list[str], mode: str, without: Run, run: Run) -> None:
    for name in names:
        ends = (each.ends.get(name, NOT_RUN) for each in (without, run))
        print("  UNEXPECTED: {}: {} without, {} {}".format(name, *ends, mode))


if __name__ == "__main__":
    sys.exit(main())
