"""What differs between operating systems, for the tests."""

from __future__ import annotations

import contextlib
import os
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

posix_only = pytest.mark.skipif(
    os.name != "posix", reason="POSIX only: owners, modes, links, signals, forks, pipes, shells"
)


def _makes_links() -> bool:
    """Windows lets only administrators and developers make symbolic links, and Wine nobody."""
    with tempfile.TemporaryDirectory() as place, contextlib.suppress(OSError):
        os.symlink("nowhere", os.path.join(place, "link"))
        return os.path.islink(os.path.join(place, "link"))
    return False


needs_links = pytest.mark.skipif(not _makes_links(), reason="no symbolic links can be made here")

needs_tools = pytest.mark.skipif(
    find_spec("caveclient") is None or find_spec("cloudvolume") is None,
    reason="CAVEclient and cloud-volume are not installed",
)
needs_dev_full = pytest.mark.skipif(
    os.name == "nt" or not os.path.exists("/dev/full"), reason="there is no /dev/full"
)

#: Between host and port in the name of a secret file.
COLON = "@" if os.name == "nt" else ":"
#: The command `cave-auth` of the environment that the tests run in.
CAVE_AUTH = Path(sysconfig.get_path("scripts"), "cave-auth.exe" if os.name == "nt" else "cave-auth")


def home_at(directory: str | os.PathLike[str]) -> dict[str, str]:
    """The variables that make a directory the home of a process, on POSIX and on Windows."""
    return {"HOME": str(directory), "USERPROFILE": str(directory)}
