"""What an enabled environment adds to the start of an interpreter that runs nothing."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

from .measure import Way, row, side_by_side


def rows() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        plain, enabled = (environment(Path(directory) / name) for name in ("plain", "enabled"))
        subprocess.run([enabled, "-m", "cave_auth_adapter", "enable"], check=True)
        ways = {
            name: Way(lambda python=python: subprocess.run([python, "-c", "pass"], check=True))
            for name, python in (("plain", plain), ("enabled", enabled))
        }
        result = side_by_side(ways, rounds=60, calls=1)
        added = (result.medians["enabled"] - result.medians["plain"]) * 1000
        yield row(
            "an enabled interpreter that runs `pass`: added", added, "ms", "< 2 ms", added < 2
        )

        listing = subprocess.run(
            [enabled, "-X", "importtime", "-c", "pass"], check=True, capture_output=True, text=True
        ).stderr
        names = [line.rpartition("|")[2].strip() for line in listing.splitlines()]
        heavy = sum(name.partition(".")[0] in ("requests", "urllib3") for name in names)
        yield row("modules of requests and urllib3 it imports", heavy, "", "0", heavy == 0)


def environment(directory: Path) -> str:
    """A virtual environment that finds the packages of this one."""
    venv.create(directory)
    python = directory / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", where], check=True, capture_output=True, text=True)
    paths = "\n".join(path for path in sys.path if path)
    Path(site.stdout.strip(), "packages.pth").write_text(paths)
    return str(python)
