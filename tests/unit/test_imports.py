"""A callback after the import of a module, with real loaders of directories and zip archives."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import zipfile
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cave_auth_startup import imports
from cave_auth_startup.imports import when_imported

WANTED, OTHER = "cave_auth_wanted", "cave_auth_other"


@pytest.fixture
def called() -> Iterator[list[str]]:
    """The names of the modules that the callback was called with."""
    names: list[str] = []
    when_imported(WANTED, lambda module: names.append(module.__name__))
    yield names
    for name in (WANTED, OTHER):
        sys.modules.pop(name, None)


@pytest.fixture(params=["directory", "archive"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes both modules importable. An archive has one loader object for all its modules."""
    path = tmp_path / "lib.zip"
    if request.param == "directory":
        path.mkdir()
        for name in (WANTED, OTHER):
            (path / f"{name}.py").write_text("x = 1")
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for name in (WANTED, OTHER):
                archive.writestr(f"{name}.py", "x = 1")
    monkeypatch.syspath_prepend(path)


@pytest.mark.parametrize("looks", [0, 1, 2])
def test_find_spec_before_an_import_calls_nothing(
    place: None, called: list[str], looks: int
) -> None:
    for _ in range(looks):
        assert importlib.util.find_spec(WANTED) is not None
    assert importlib.import_module(OTHER).x == 1
    assert called == []

    assert importlib.import_module(WANTED).x == 1
    assert called == [WANTED]


def test_the_loader_is_restored_after_the_import(place: None, called: list[str]) -> None:
    spec = importlib.import_module(WANTED).__spec__
    assert spec is not None
    assert "exec_module" not in vars(spec.loader)


class Closed:
    """A loader whose attributes can't be set, as one written in C."""

    __slots__ = ()

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.x = 1  # type: ignore[attr-defined]


class Shared:
    """A loader that is a class, as importlib.machinery.FrozenImporter."""

    create_module = staticmethod(Closed().create_module)
    exec_module = staticmethod(Closed().exec_module)


class Finder:
    def __init__(self, loader: Any):
        self.loader = loader

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self.loader) if name == WANTED else None


@pytest.mark.parametrize("loader", [Closed(), Shared], ids=["closed", "a class"])
def test_a_loader_that_cannot_be_patched_still_imports(
    called: list[str], monkeypatch: pytest.MonkeyPatch, loader: Any
) -> None:
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder(loader)])

    for _ in range(2):
        assert importlib.import_module(WANTED).x == 1
        assert called == []
        del sys.modules[WANTED]


@pytest.mark.parametrize("first", ["before", "after"])
def test_a_callback_for_each_time_is_called_on_reload(place: None, first: str) -> None:
    names: list[str] = []
    if first == "before":
        importlib.import_module(WANTED)
    try:
        when_imported(WANTED, lambda module: names.append(module.__name__), each_time=True)
        module = importlib.import_module(WANTED)
        assert names == [WANTED]
        for _ in range(2):
            importlib.reload(module)
        assert names == [WANTED] * 3
    finally:
        sys.modules.pop(WANTED, None)
        imports._waiting.pop(WANTED, None)


def test_a_callback_is_not_called_on_reload_by_default(place: None, called: list[str]) -> None:
    importlib.reload(importlib.import_module(WANTED))
    assert called == [WANTED]
