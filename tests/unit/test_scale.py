"""Thousands of simulated workers look for a new token, and not all at once.

`make bench` has the same with 10,000.
"""

from __future__ import annotations

import pytest

from benchmarks import scale


def test_the_bounds_hold_for_a_secret_file() -> None:
    seen = scale.simulate("file", 300)
    assert seen.share_between_pulses <= 0.1
    assert seen.most_opens <= 1
    assert seen.well_after <= 2
    first, at_death, at_renewal = (
        sum(seen.opens[int(at) + second] for second in range(2))
        for at in (0, scale.DIES, scale.RENEWED)
    )
    assert (first, at_death, at_renewal) == (300, 300, 300)  # the workers did look


@pytest.mark.parametrize("source", ["function", "command", "keyring"])
def test_the_bounds_hold_for_a_source_without_a_watch(source: str) -> None:
    assert scale.simulate(source, 100, told=True).well_after <= 2
    assert 2 < scale.simulate(source, 100).well_after <= 60  # nobody told them
