"""Tracebacks that show the local variables of our code, as pytest, rich and Sentry do."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

import cave_auth_adapter
from cave_auth_adapter import CaveAuth, InvalidHostSpec, TokenStore

from ..support.stub import CAVE, OTHER_TOKEN, TOKEN

OURS = str(Path(cave_auth_adapter.__file__).parent)
BAD = f'"{TOKEN}"'


def shown_by(act: Callable[[], object]) -> str:
    """The local variables of our frames, in the traceback of an error and of those before it."""
    shown = []
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each case has another
        act()
    error: BaseException | None = caught.value
    while error is not None:
        summary = traceback.TracebackException.from_exception(error, capture_locals=True)
        shown += [str(each.locals) for each in summary.stack if each.filename.startswith(OURS)]
        error = error.__context__
    assert shown
    return "".join(shown)


def read(content: str) -> Callable[[TokenStore], object]:
    def act(store: TokenStore) -> object:
        store.path_for().write_text(content)
        return CaveAuth().token_for(CAVE)

    return act


def fill_the_disk(patch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    patch.setattr(os, "fsync", fsync)


ACTS: dict[str, Callable[[TokenStore], object]] = {
    "another token is there": lambda store: store.save(OTHER_TOKEN),
    "a bad token is saved": lambda store: store.save(BAD),
    "the disk is full": lambda store: store.save(OTHER_TOKEN, overwrite=True),
    "the disk is full, replace": lambda store: store.replace(TOKEN, OTHER_TOKEN),
    "quotes in the file": read(f'{{"token": "\\"{TOKEN}\\""}}'),
    "an object in the file": read(f'{{"token": {{"a": "{TOKEN}"}}}}'),
    "a bad token in code": lambda store: CaveAuth(BAD),
    "bad hosts beside a token": lambda store: CaveAuth(TOKEN, hosts=["a b"]),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_local_variables_show_no_token(
    store: TokenStore, monkeypatch: pytest.MonkeyPatch, act: Callable[[TokenStore], object]
) -> None:
    store.save(TOKEN)
    fill_the_disk(monkeypatch)
    shown = shown_by(lambda: act(store))
    assert TOKEN not in shown
    assert OTHER_TOKEN not in shown


@pytest.mark.parametrize("change", ["save", "replace", "delete"])
def test_a_file_with_a_key_twice_is_not_shown(store: TokenStore, change: str) -> None:
    store.save(TOKEN)
    store.path_for().write_text(f'{{"a": 1, "a": 2, "token": "{TOKEN}"}}')
    act: dict[str, Callable[[], object]] = {
        "save": lambda: store.save(OTHER_TOKEN, overwrite=True),
        "replace": lambda: store.replace(TOKEN, OTHER_TOKEN),
        "delete": store.delete,
    }
    shown = shown_by(act[change])
    assert TOKEN not in shown
    assert OTHER_TOKEN not in shown


@pytest.mark.parametrize("value", [BAD, f"{TOKEN} x", f"Bearer {TOKEN}"])
def test_a_bad_variable_is_not_shown(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CAVE_TOKEN", value)
    assert TOKEN not in shown_by(lambda: CaveAuth().token_for(CAVE))


def test_an_auth_that_was_not_made_has_a_repr() -> None:
    auth = CaveAuth.__new__(CaveAuth)
    with pytest.raises(InvalidHostSpec):
        auth.__init__(hosts=["a b"])  # type: ignore[misc]
    assert repr(auth) == "CaveAuth()"
