"""Notice that environment variables or files have changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cave_auth_adapter.watch import Variables, Watch


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


def test_another_environment_in_the_place_of_the_usual_one_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CAVE_TOKEN", raising=False)
    before = Variables(["CAVE_TOKEN"])
    monkeypatch.setattr(os, "environ", {"CAVE_TOKEN": "one"})
    assert not before.are_current()
    replaced = Variables(["CAVE_TOKEN"])
    assert replaced.are_current()
    os.environ["CAVE_TOKEN"] = "two"
    assert not replaced.are_current()


def test_one_watch_notices_a_change_of_any_of_its_files(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a", "b", "c")]
    files[0].write_text("1")
    files[1].write_text("1")
    watch = Watch(*files)
    versions = [watch.look(), watch.look()]
    for change in (
        lambda: files[1].write_text("22"),
        lambda: files[2].write_text("1"),
        lambda: files[0].unlink(),
    ):
        change()
        versions.append(watch.look())
    first = versions[0]
    assert versions == [first, first, first + 1, first + 2, first + 3]
