"""Break one line in a copy of the project, run the tests that should tell, and go on to the next.

``python -m tests.mutations`` takes about ten minutes on two processors; a word chooses the
mutations of one file: ``python -m tests.mutations headers``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .listed import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
PACKAGES = ("cave_auth_adapter", "cave_auth_startup")
COPIED = (*PACKAGES, "tests", "docs", "pyproject.toml", "SECURITY.md", "README.md")
TIMEOUT = 900  # seconds; a mutation may make a test wait for ever
ROW = "{:<9} {:>5} s  {:<16} {}"


def main() -> int:
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    chosen = [each for each in MUTATIONS if word in each.file]
    lost = [each for each in chosen if not applies(each)]
    for each in lost:
        print(f"{each.file} has no such line any more: {each.right!r}")
    if lost or not chosen:
        return 1
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sets = sorted({tests for each in chosen for tests in each.tests})
        for tests, fails in zip(sets, pool.map(fail_unbroken, sets), strict=True):
            if fails:
                print(f"{tests}: fails with nothing broken")
                return 1
        caught = sum(pool.map(is_caught, chosen))
    print(f"{caught} of {len(chosen)} mutations caught")
    return caught != len(chosen)


def applies(mutation: Mutation) -> bool:
    """Whether the line that a mutation breaks occurs exactly once."""
    path = ROOT / PACKAGES[0] / mutation.file
    return path.exists() and path.read_text("utf-8").count(mutation.right) == 1


def is_caught(mutation: Mutation) -> bool:
    """Run the tests on a broken copy, the most likely ones first, and say how they end."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        broken = copy_with(mutation, Path(folder))
        by = next((tests for tests in mutation.tests if fail(broken, tests)), None)
    verdict, seconds = "caught" if by else "SURVIVED", round(time.monotonic() - start)
    print(ROW.format(verdict, seconds, mutation.file, mutation.harm), flush=True)
    return by is not None


def fail_unbroken(tests: str) -> bool:
    """Whether tests fail in an unbroken copy."""
    with tempfile.TemporaryDirectory() as folder:
        copy(Path(folder))
        return fail(Path(folder), tests)


def copy_with(mutation: Mutation, folder: Path) -> Path:
    """The project in a folder, with one line changed."""
    copy(folder)
    path = folder / PACKAGES[0] / mutation.file
    broken = path.read_text("utf-8").replace(mutation.right, mutation.wrong)
    compile(broken, mutation.file, "exec")  # code that can't be parsed proves nothing
    path.write_text(broken, "utf-8")
    return folder


def copy(folder: Path) -> None:
    """Copy what the tests need."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)


def fail(root: Path, tests: str) -> bool:
    """Whether some tests fail in a copy of the project.

    :raises SystemExit: if pytest could not run them: that proves nothing.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*command, *tests.split()],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return True
    if done.returncode not in (0, 1, 2):  # 1: a test failed; 2: a module can't be imported
        sys.exit(f"pytest {tests} did not run:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.returncode != 0


if __name__ == "__main__":
    sys.exit(main())
