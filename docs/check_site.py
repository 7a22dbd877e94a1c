"""Checks what `zensical build --strict` does not: `python docs/check_site.py site`.

The site loads nothing from other hosts, and every public name of the package and of the testing kit
has its entry in the API reference.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import cave_auth_adapter
from cave_auth_adapter import testing

# What a browser loads by itself. A link that a reader may follow is no such thing.
_LOADING = {"src", "srcset", "poster", "data"}
_LINKING = {
    "stylesheet",
    "icon",
    "preload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
    "modulepreload",
}
_ABSOLUTE = re.compile(r"(?:https?:)?//")
_IN_CSS = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])(?:https?:)?//[^)"']*""")


class Page(HTMLParser):
    """Which addresses a page loads, and which anchors it has."""

    def __init__(self, text: str):
        super().__init__()
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.add(values.get("id", ""))
        loaded = _LOADING if tag != "link" else set()
        if tag == "link" and _LINKING & set(values.get("rel", "").split()):
            loaded = {"href"}
        self.loads += [value for name, value in values.items() if name in loaded]


def main(site: Path) -> int:
    problems, pages = [], sorted(site.rglob("*.html"))
    for path in pages:
        text = path.read_text("utf-8")
        foreign = [each for each in Page(text).loads if _ABSOLUTE.match(each)]
        problems += [f"{path} loads {each}" for each in foreign + _IN_CSS.findall(text)]
    for path in site.rglob("*.css"):
        problems += [f"{path} loads {each}" for each in _IN_CSS.findall(path.read_text("utf-8"))]
    reference = [*site.glob("api-*.html"), site / "reference.html"]
    anchors = set().union(*(Page(path.read_text("utf-8")).anchors for path in reference))
    names = [*public_names(cave_auth_adapter), *public_names(testing)]
    problems += [f"the API reference has no entry for {n}" for n in names if n not in anchors]
    print(
        f"{len(pages)} pages, {len(names)} public names, {len(problems)} problems",
        *problems,
        sep="\n",
    )
    return 1 if problems else 0


def public_names(module: ModuleType) -> list[str]:
    """The paths of what a module exports; a function named as its module has that in its path."""
    paths = [f"{module.__name__}.{name}" for name in module.__all__]
    return [f"{p}.{p.rpartition('.')[2]}" if p in sys.modules else p for p in paths]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
