"""Run a suite twice at the same time: without the plugin, and under ``install()``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .sources import Suite

PLUGINS = Path(__file__).with_name("plugins")
TOKEN = "0123456789abcdef0123456789abcdef"
TIMEOUT = 400  # seconds
MODES = ("without", "installed")
# What the environment could tell a suite, or us, about the machine it runs on.
_UNSET = ("CA_BUNDLE", "SSL_CERT", "PROXY", "CAVE_", "CLOUD_VOLUME", "NETRC", "PYTEST", "PYTHON")


class Run(NamedTuple):
    """How each test of a suite ended."""

    ends: dict[str, str]  # the name of a test -> how it ended
    seconds: float
    decisions: int  # how often the plugin was asked about a URL


def run_both(suite: Suite, root: Path, tests: Sequence[str] = ()) -> tuple[Run, Run]:
    """Run a suite, or some modules of it, in both modes.

    :param root: where the source distribution is unpacked.
    """
    processes = [_start(suite, root, mode, tests or [suite.tests]) for mode in MODES]
    try:
        for process in processes:
            process.wait(TIMEOUT)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    without, installed = (_result(root / mode) for mode in MODES)
    return without, installed


def _start(suite: Suite, root: Path, mode: str, tests: Sequence[str]) -> subprocess.Popen[bytes]:
    home = root / mode
    home.mkdir(exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if not any(w in k.upper() for w in _UNSET)}
    environment |= {
        "HOME": str(home),
        "PYTHONPATH": str(PLUGINS),
        "CAVE_TOKEN": TOKEN,
        "SUITE_PACKAGE": suite.package,
        "SUITE_REPORT": str(home / "report"),
        "SUITE_DECISIONS": str(home / "decisions"),
    }
    plugins = ["-p", "suite_watch", *(["-p", "suite_install"] if mode == "installed" else [])]
    usual = ["-q", "-p", "no:cacheprovider", f"--basetemp={home / 'tmp'}"]
    with (home / "output").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *usual, *plugins, *suite.options, *tests],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def _result(home: Path) -> Run:
    report, decisions = home / "report", home / "decisions"
    if not report.exists():
        sys.exit(f"pytest did not get to its end:\n{(home / 'output').read_text()[-5000:]}")
    counted = int(decisions.read_text()) if decisions.exists() else 0
    run = Run(**json.loads(report.read_text()), decisions=counted)
    report.unlink()
    return run
