"""Each listed mutation breaks one line that is in the code."""

from __future__ import annotations

import pytest

from .__main__ import applies
from .listed import MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: f"{each.file}: {each.harm}")
def test_each_broken_line_occurs_once(mutation: Mutation) -> None:
    assert applies(mutation), "write the line in tests/mutations/listed.py as it is now"


def test_no_harm_is_listed_twice() -> None:
    assert len({each.harm for each in MUTATIONS}) == len(MUTATIONS) >= 40
