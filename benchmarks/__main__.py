"""``python -m benchmarks``: measure all, print it, and write docs/benchmarks.md and its charts."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from . import charts, connections, growth, rotation, scale, signing, startup, tools
from .measure import Row
from .sessions import OURS, PEERS

DOCS = Path(__file__).parent.parent / "docs"
_VERSIONS = (
    "requests",
    "urllib3",
    "caveclient",
    "cloud-volume",
    "google-auth",
    "requests-oauthlib",
    "Authlib",
)
_TEXT = Path(__file__).with_name("page.md")
_HEAD = "| what | measured (quartiles) | bound | held |\n| --- | --- | --- | --- |\n"


def main() -> int:
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        _clean_environment(home)
        sections = dict(_sections())
    lines = {name: _HEAD + "\n".join(row.show() for row in rows) for name, rows in sections.items()}
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _VERSIONS)
    where = f"CPython {platform.python_version()} on {platform.system()}; {versions}"
    page = _TEXT.read_text(encoding="utf-8").format(where=where, **lines)
    DOCS.joinpath("benchmarks.md").write_text(page, encoding="utf-8")
    missed = [row.what for rows in sections.values() for row in rows if not row.held]
    print(f"{time.monotonic() - start:.0f} s; bounds missed: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


def _clean_environment(home: str) -> None:
    os.environ["HOME"] = home
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what starts is to find its bytecode
    for name in list(os.environ):
        if name.startswith("CAVE_") or name.lower().endswith("_proxy") or "CA_BUNDLE" in name:
            del os.environ[name]


def _sections() -> Iterable[tuple[str, list[Row]]]:
    signed, alike = signing.measured(trust_env=True), signing.measured(trust_env=False)
    doors = signing.by_door()
    yield _told("signing", signing.rows(doors, signed))
    yield _told("peers", signing.against_peers(signed, alike))
    names = {"hand": "header and cookie by hand", **OURS, **PEERS}
    values = {
        words.replace("`", ""): doors.get(n) or signed.ratio(n, "hand")
        for n, words in names.items()
    }
    own = {words.replace("`", "") for words in OURS.values()}
    label = "time of a request; header and cookie by hand = 1"
    charts.bars(DOCS / "images/benchmarks-signing.svg", values, own, label)

    yield _told("other", [signing.other_hosts()[1]])
    near, far = connections.get(), connections.get(delay=0.02, rounds=8, calls=4)
    yield _told("get", [*connections.rows(near), *connections.rows_with_delay(far)])
    titles = {
        "plain": "requests.get()",
        "installed": "requests.get(), install()",
        "kept": "Session.get(), kept alive",
    }
    values = {t: near.seconds(n) for n, t in titles.items()}
    values = {t: type(s)(*(each * 1e3 for each in s)) for t, s in values.items()}
    charts.bars(DOCS / "images/benchmarks-get.svg", values, {titles["installed"]}, "ms, over TLS")
    yield _told("tools", tools.rows(tools.caveclient(), tools.cloudvolume()))
    yield _told("threads", connections.throughput())
    yield _told("rotation", rotation.rows())
    yield _told("scale", scale.rows())
    yield _told("startup", startup.rows())
    yield _told("memory", growth.memory())
    files, hosts = growth.with_files(), growth.with_hosts()
    yield _told("growth", growth.rows(files, hosts))
    both = {"secret files": files, "trusted hosts": hosts}
    charts.lines(DOCS / "images/benchmarks-growth.svg", both)


def _told(name: str, rows: Iterable[Row]) -> tuple[str, list[Row]]:
    """The rows, each printed as soon as it is there."""
    told = []
    for row in rows:
        print(row.show(), flush=True)
        told.append(row)
    return name, told


if __name__ == "__main__":
    sys.exit(main())
