"""Notice that an environment variable has changed."""

from __future__ import annotations

import pytest

from cave_auth_adapter.watch import Variables


@pytest.mark.parametrize("before", [None, "", "one"])
@pytest.mark.parametrize("after", [None, "", "one", "two"])
def test_a_variable_that_is_set_unset_or_changed_is_noticed(
    before: str | None, after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(value: str | None) -> None:
        if value is None:
            monkeypatch.delenv("CAVE_TOKEN", raising=False)
        else:
            monkeypatch.setenv("CAVE_TOKEN", value)

    put(before)
    variables = Variables(["HOME", "CAVE_TOKEN"])
    put(after)
    assert variables.are_current() == (before == after)
    assert variables.without({"CAVE_TOKEN"}).are_current()
    assert "one" not in repr(variables)
