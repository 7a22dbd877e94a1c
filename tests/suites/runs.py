"""Run suites of tests without the plugin, and with it in several modes, many at the same time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from .sources import Suite, unpack

PLUGINS = Path(__file__).with_name("plugins")
TOKEN = "0123456789abcdef0123456789abcdef"
TIMEOUT = 400  # seconds
TEST_TIMEOUT = 40  # seconds; none of their tests takes longer than 20
AT_ONCE = 12  # processes, which wait most of the time
WITHOUT = "without"
#: What the plugin is told in each mode; without it, nothing.
MODES = {
    WITHOUT: {},
    "installed": {"CAVE_TOKEN": TOKEN},
    # A plugin that never acts proves little, so here it treats each host as a CAVE host.
    "trusting": {"CAVE_TOKEN": TOKEN, "SUITE_TRUST": "all"},
    "no token": {"SUITE_TRUST": "all"},
}
# Variables that describe this machine.
_UNSET = ("CA_BUNDLE", "SSL_CERT", "PROXY", "CAVE_", "CLOUD_VOLUME", "NETRC", "PYTEST", "PYTHON")


class Job(NamedTuple):
    """A suite, or some modules of it, in one mode."""

    suite: Suite
    mode: str
    tests: Sequence[str] = ()


class Run(NamedTuple):
    """How each test of a suite ended.

    :ivar ends: the name of a test -> how it ended.
    :ivar asked: how often the plugin was asked about a URL.
    :ivar acted: how often the host of it was a trusted one.
    """

    ends: dict[str, str]
    seconds: float
    asked: int = 0
    acted: int = 0


def run_all(jobs: Sequence[Job]) -> list[Run]:
    """Run each job in a process of its own, with its own copy of the suite."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(_run, jobs))


def _run(job: Job) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        home, root = Path(folder) / "home", unpack(job.suite, Path(folder) / "source")
        home.mkdir()
        with (home / "output").open("wb") as output:
            subprocess.run(
                _command(job, home),
                cwd=root,
                env=_environment(job, home),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
            )
        return _result(home, root)


def _command(job: Job, home: Path) -> list[str]:
    plugins = ["-p", "suite_watch", *(["-p", "suite_install"] if job.mode != WITHOUT else [])]
    usual = [
        "-q",
        "-p",
        "no:cacheprovider",
        f"--basetemp={home / 'tmp'}",
        f"--timeout={TEST_TIMEOUT}",
    ]
    tests = job.tests or [job.suite.tests]
    return [sys.executable, "-m", "pytest", *usual, *plugins, *job.suite.options, *tests]


def _environment(job: Job, home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not any(w in k.upper() for w in _UNSET)}
    return {
        **kept,
        **MODES[job.mode],
        "HOME": str(home),
        "PYTHONPATH": str(PLUGINS),
        "SUITE_MODULE": job.suite.module,
        "SUITE_REPORT": str(home / "report"),
        "SUITE_DECISIONS": str(home / "decisions"),
    }


def _result(home: Path, root: Path) -> Run:
    report, decisions = home / "report", home / "decisions"
    if not report.exists():
        sys.exit(f"pytest did not get to its end:\n{(home / 'output').read_text()[-5000:]}")
    counted = json.loads(decisions.read_text()) if decisions.exists() else {}
    told = json.loads(report.read_text())
    # Some names of tests have the path of the suite in them, which is another one in each run.
    ends = {name.replace(str(root), "."): end for name, end in told["ends"].items()}
    return Run(ends, told["seconds"], **counted)
