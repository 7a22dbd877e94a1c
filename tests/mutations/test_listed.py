"""The list is about the code as it is."""

from __future__ import annotations

import pytest

from .__main__ import applies
from .listed import MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: f"{each.file}: {each.harm}")
def test_the_line_that_is_broken_is_there_once(mutation: Mutation) -> None:
    assert applies(mutation), "write the line in tests/mutations/listed.py as it is now"


def test_no_harm_is_listed_twice() -> None:
    assert len({each.harm for each in MUTATIONS}) == len(MUTATIONS) >= 40
