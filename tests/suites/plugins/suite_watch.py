"""A pytest plugin that notes how each test ends, and keeps a suite on this machine.

It is loaded in both runs, and knows nothing of us.
"""

from __future__ import annotations

import errno
import importlib
import ipaddress
import json
import os
import socket
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

MODULE = os.environ.get("SUITE_MODULE", "")  # the package that the suite belongs to
REPORT = os.environ.get("SUITE_REPORT", "")  # the file to write

_REFUSAL = "a suite stays on this machine"

_start = time.monotonic()
_ends: dict[str, str] = {}


def pytest_load_initial_conftests() -> None:
    sys.addaudithook(_stay_on_this_machine)
    package = importlib.import_module(MODULE)
    # The suite must test the installed package, not the copy in its source distribution.
    assert Path(package.__file__ or "").is_relative_to(sysconfig.get_path("purelib")), package
    # Modules of the suite of responses import each other as responses.tests.
    package.__path__.append(os.path.join(os.getcwd(), *MODULE.split(".")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: Any = yield
    end = report.outcome
    if hasattr(report, "wasxfail"):
        end = "xfailed" if report.skipped else "xpassed"
    if report.failed and call.excinfo:
        end = f"failed in {report.when}: {call.excinfo.typename}"
    if report.when == "call" or end != "passed":
        _ends[item.nodeid] = end
    return report


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _ends[report.nodeid] = "failed in collection"


def pytest_sessionfinish() -> None:
    report = {"ends": _ends, "seconds": time.monotonic() - _start}
    Path(REPORT).write_text(json.dumps(report))


def _stay_on_this_machine(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse names and addresses of elsewhere at once, as a machine without a network does."""
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        error: OSError = socket.gaierror(socket.EAI_NONAME, _REFUSAL)
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        error = OSError(errno.ENETUNREACH, _REFUSAL)
        host = arguments[1][0]
    else:
        return
    if not _is_here(host):
        raise error


def _is_here(host: str | bytes | None) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
