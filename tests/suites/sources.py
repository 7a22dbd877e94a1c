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
    """The test suite in the source distribution of a package.

    :ivar package: the name of the distribution.
    :ivar module: what it is imported as.
    :ivar code: what must not be imported in place of what is installed.
    :ivar options: for pytest, as the suite's own test command has them.
    :ivar tests: the folder of tests, or a file of it.
    """

    package: str
    module: str
    code: tuple[str, ...]
    options: tuple[str, ...] = ()
    tests: str = "tests"

    @property
    def title(self) -> str:
        return f"{self.package} {version(self.package)}"


SUITES = (
    Suite("requests", "requests", ("src",)),
    Suite(
        "responses",
        "responses",
        ("responses/*.py",),
        ("--asyncio-mode=auto",),
        "responses/tests",
    ),
    Suite("requests-toolbelt", "requests_toolbelt", ("requests_toolbelt",)),
    Suite("requests-mock", "requests_mock", ("requests_mock",)),
    Suite("caveclient", "caveclient", ("caveclient",)),
    # Of its transports, the one that sends through requests.
    Suite(
        "google-auth",
        "google.auth",
        ("google",),
        tests="tests/transport/test_requests.py",
    ),
)


def unpack(suite: Suite, folder: Path) -> Path:
    """Unpack the suite of the version that is installed, without the package itself."""
    with tarfile.open(download(suite)) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    if not (list((root / suite.tests).glob("test_*.py")) or (root / suite.tests).is_file()):
        sys.exit(f"The source distribution of {suite.title} has no tests in {suite.tests}.")
    for pattern in suite.code:
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return root


def download(suite: Suite) -> Path:
    """The source distribution, which is downloaded once."""
    name, number = suite.title.split()
    folder = CACHE / f"{name}-{number}"
    if not list(folder.glob("*.tar.gz")):
        print(f"Getting the source distribution of {suite.title} ...", flush=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        what = ["--no-deps", "--no-binary", name, f"{name}=={number}", "--dest", str(folder)]
        subprocess.run([*pip, *what], check=True, timeout=300)
    (archive,) = folder.glob("*.tar.gz")
    return archive
