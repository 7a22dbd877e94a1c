"""Checks what `zensical build --strict` does not: `python docs/check_site.py site`.

The site loads nothing from other hosts, its images, pages and headings exist where a page names
them, and every public name of the package and of the testing kit is in the API reference.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

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
    """Which addresses a page loads, which it links to, and which anchors it has."""

    def __init__(self, text: str):
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.add(values.get("id", ""))
        loaded = _LOADING if tag != "link" else set()
        if tag == "link" and _LINKING & set(values.get("rel", "").split()):
            loaded = {"href"}
        self.loads += [value for name, value in values.items() if name in loaded]
        if tag == "a" and "href" in values:
            self.links.append(values["href"])


def main(site: Path) -> int:
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(site.resolve().rglob("*.html"))}
    names = [*public_names(cave_auth_adapter), *public_names(testing)]
    problems = [*foreign(site, pages), *missing(site, pages), *undocumented(pages, names)]
    print(
        f"{len(pages)} pages, {len(names)} public names, {len(problems)} problems",
        *problems,
        sep="\n",
    )
    return 1 if problems else 0


def foreign(site: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """What the site loads from other hosts."""
    for path, page in pages.items():
        for each in [u for u in page.loads if _ABSOLUTE.match(u)]:
            yield f"{path} loads {each}"
    for path in [*pages, *site.rglob("*.css")]:
        for each in _IN_CSS.findall(path.read_text("utf-8")):
            yield f"{path} loads {each}"


def missing(site: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """Images, pages and anchors that are not there; Zensical reports no missing image."""
    for path, page in pages.items():
        if path.name == "404.html":
            continue  # a server sends it for any address, so its links begin with the site's own
        for each in dict.fromkeys(page.loads + page.links):
            parts = urlsplit(each)
            if parts.scheme or parts.netloc:
                continue
            target = path.parent / unquote(parts.path) if parts.path else path
            target = target.resolve()
            if not target.exists():
                yield f"{path}: {each} does not exist"
            elif parts.fragment and target in pages and parts.fragment not in pages[target].anchors:
                yield f"{path}: {each} leads to no heading"


def undocumented(pages: dict[Path, Page], names: list[str]) -> Iterator[str]:
    """Public names without an entry in the API reference."""
    reference = [page for path, page in pages.items() if re.match("api-|reference", path.name)]
    anchors = set().union(*(page.anchors for page in reference))
    for each in [name for name in names if name not in anchors]:
        yield f"the API reference has no entry for {each}"


def public_names(module: ModuleType) -> list[str]:
    """The paths of what a module exports; a function named as its module has that in its path."""
    paths = [f"{module.__name__}.{name}" for name in module.__all__]
    return [f"{p}.{p.rpartition('.')[2]}" if p in sys.modules else p for p in paths]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
