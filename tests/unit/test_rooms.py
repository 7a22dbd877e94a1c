"""The modules of the package are rooms on floors: each imports only what is below it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cave_auth_adapter

PACKAGE = Path(cave_auth_adapter.__file__).parent
NAME = PACKAGE.name

#: From the top down, as in docs/how-it-works.md. A folder is one room.
ORDER = [
    # for people
    *("__main__", "cli", "login", "integrations", "diagnose", "caveclient", "programs", "service"),
    # a request walks down
    *("install", "sessions", "redirects", "tools"),
    *("standin", "adapter", "auth", "hook", "exchange", "asked"),
    # what an answer means, which token, and which hosts
    *("refusals", "saving", "sources", "hosts", "watch", "bridges", "identity", "store"),
    # what it is about, and how it travels
    *("providers", "keepalive", "headers", "words", "tokens", "origins"),
    # under all of them
    *("runtime", "errors", "plain", "shells", "redaction", "_version"),
]
#: The package's own page of names; a CAVE to test against, and fixtures for other people's tests.
ASIDE = {"__init__", "sandbox", "testing"}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rooms() -> set[str]:
    return {room_of(path) for path in PACKAGE.rglob("*.py")}


def imported(path: Path, source: str) -> Iterator[str]:
    """The rooms that a module imports, in its functions too; not what only type checkers see."""
    package = [NAME, *path.relative_to(PACKAGE).parent.parts]
    for node in _seen_at_runtime(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            # `from . import store` names a room; `from .store import TokenStore` does not.
            names = [f"{module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith(f"{NAME}."):
                room = name.split(".")[1]
                yield room if room in rooms() else "__init__"


def _seen_at_runtime(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _seen_at_runtime(child)


def test_every_module_has_a_place_in_the_order() -> None:
    assert sorted(ORDER) == sorted(rooms() - ASIDE)


@pytest.mark.parametrize("room", ORDER)
def test_a_module_imports_only_modules_below_it(room: str) -> None:
    floor = {name: number for number, name in enumerate(ORDER)}
    up = [
        f"{path.relative_to(PACKAGE)} imports {other}"
        for path in PACKAGE.rglob("*.py")
        if room_of(path) == room
        for other in imported(path, path.read_text("utf-8"))
        if other != room and floor.get(other, -1) <= floor[room]
    ]
    assert up == []


def test_an_import_within_a_function_is_checked() -> None:
    source = """
if TYPE_CHECKING:
    from ..auth import CaveAuth

def look():
    from .. import store
    from ..tokens import Token
    from . import keys
    from cave_auth_adapter.hosts import KnownHosts
    import cave_auth_adapter.origins, requests
"""
    found = list(imported(PACKAGE / "cli" / "look.py", source))
    assert found == ["store", "tokens", "cli", "hosts", "origins"]


def test_importing_the_package_leaves_slow_modules_for_later() -> None:
    slow = {"click", "concurrent.futures", "glob", "html.entities", "pickle", "subprocess"}
    rooms = ("caveclient", "cli", "diagnose", "integrations", "service", "tools")
    later = {f"{NAME}.{room}" for room in rooms}
    program = (
        "import requests, sys; before = set(sys.modules); import cave_auth_adapter; "
        "print(*(set(sys.modules) - before))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    brought = set(run.stdout.split())
    assert f"{NAME}.exchange" in brought
    assert brought & (slow | later) == set()


def test_each_public_name_is_there_and_listed() -> None:
    for name in cave_auth_adapter.__all__:
        assert getattr(cave_auth_adapter, name) is not None
        assert name in dir(cave_auth_adapter)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cave_auth_adapter.nothing  # noqa: B018
