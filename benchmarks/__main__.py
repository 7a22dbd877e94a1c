"""``python -m benchmarks``: run all, print them, and write them to results.md."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from . import connections, startup

HEAD = f"""# Measured

By `make bench`, side by side in one run on one machine, so that the ratios hold where the seconds
do not: CPython {platform.python_version()} on {platform.system()}.

| what | measured | bound | held |
| --- | --- | --- | --- |
"""


def main() -> int:
    rows = []
    for part in (startup, connections):
        for row in part.rows():
            print(row, flush=True)
            rows.append(row)
    text = HEAD + "\n".join(rows) + "\n"
    Path(__file__).with_name("results.md").write_text(text, encoding="utf-8")
    return int(any(row.endswith("NO |") for row in rows))


if __name__ == "__main__":
    sys.exit(main())
