"""Writes tables that are data in the code into the pages: `python docs/tables.py`.

A table goes between `<!-- table: NAME -->` and the next empty line. tests/docs compares each.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cave_auth_adapter
import cave_auth_startup
from cave_auth_adapter.origins import DATA_SETS, DEPLOYMENTS

DOCS = Path(__file__).parent
_TABLE = re.compile(r"(?<=<!-- table: )(\w+) -->\n\n(?:\|.*\n)*")


def deployments() -> list[list[str]]:
    """The known public deployments, with the hosts that take their tokens."""
    rows = [["auth server", "hosts that take its tokens", "data sets"]]
    for server, hosts in DEPLOYMENTS.items():
        data_sets = [name for name, of in DATA_SETS.items() if of == server]
        rows.append([f"`{server}`", ", ".join(f"`{h}`" for h in hosts), ", ".join(data_sets)])
    return rows


def folders() -> list[list[str]]:
    """The folders of the two packages, with all their modules."""
    rows = [["folder", "modules"]]
    package = Path(cave_auth_adapter.__file__).parent
    below = sorted({module.parent for module in package.rglob("*.py")} - {package})
    for folder in [*below, Path(cave_auth_startup.__file__).parent]:
        names = sorted(path.relative_to(folder) for path in folder.rglob("*.py"))
        modules = [f"`{name.as_posix()}`" for name in names if name.name != "__init__.py"]
        rows.append([f"`{folder.name}/`", ", ".join(modules) or "`__init__.py`"])
    return rows


TABLES: dict[str, Callable[[], list[list[str]]]] = {"deployments": deployments, "folders": folders}


def written(page: str) -> str:
    """A page with its tables as the code has them."""
    return _TABLE.sub(lambda match: f"{match[1]} -->\n\n{_markdown(TABLES[match[1]]())}", page)


def _markdown(rows: list[list[str]]) -> str:
    rows = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    for path in sorted(DOCS.glob("*.md")):
        page = path.read_text("utf-8")
        if "<!-- table: " in page:
            path.write_text(written(page), "utf-8")
            print(path)
