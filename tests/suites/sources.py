"""Get the source distribution of an installed package, and lay out the test suite in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

CACHE = Path(sys.prefix) / "sources"  # goes with the virtual environment


class Suite(NamedTuple):
    """The test suite in the source distribution of a package."""

    package: str
    tests: str  # the folder of tests in the source distribution
    code: tuple[str, ...]  # what must not be imported in place of what is installed
    options: tuple[str, ...] = ()  # for pytest, as the suite's own test command has them

    @property
    def title(self) -> str:
        return f"{self.package} {version(self.package)}"


SUITES = (
    Suite("requests", "tests", ("src",)),
    Suite("responses", "responses/tests", ("responses/*.py",), ("--asyncio-mode=auto",)),
)


def unpack(suite: Suite, folder: Path) -> Path:
    """Unpack the suite of the version that is installed, without the package itself."""
    with tarfile.open(_download(suite)) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    if not list((root / suite.tests).glob("test_*.py")):
        sys.exit(f"The source distribution of {suite.title} has no tests in {suite.tests}.")
    for pattern in suite.code:
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return root


def _download(suite: Suite) -> Path:
    name, number = suite.title.split()
    archive = CACHE / f"{name}-{number}.tar.gz"
    if not archive.exists():
        print(f"Getting the source distribution of {suite.title} ...", flush=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        what = ["--no-deps", "--no-binary", ":all:", f"{name}=={number}", "--dest", str(CACHE)]
        subprocess.run([*pip, *what], check=True, timeout=300)
    return archive
