"""Python in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path


def run_python(
    code: str, *arguments: str, cwd: Path | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter, with the environment of the test and some more variables."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env={**os.environ, **environ},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


_START_TOGETHER = "import sys; print(flush=True); sys.stdin.read()\n"


def run_at_once(code: str, count: int, *arguments: str) -> list[tuple[str, int]]:
    """Run code in several interpreters that start it together; how each ends, with its stderr.

    ``sys.argv[1]`` is the number of the process.
    """
    script = _START_TOGETHER + textwrap.dedent(code)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(number), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.close()
        worker.stdin = None  # communicate() would flush it
    return [(worker.communicate(timeout=300)[1], worker.returncode) for worker in workers]
