"""What differs between operating systems, for the tests."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import pytest

posix_only = pytest.mark.skipif(
    os.name != "posix", reason="POSIX only: owners, modes, links, signals, forks, pipes, shells"
)

#: The command `cave-auth` of the environment that the tests run in.
CAVE_AUTH = Path(sysconfig.get_path("scripts"), "cave-auth.exe" if os.name == "nt" else "cave-auth")


def home_at(directory: str | os.PathLike[str]) -> dict[str, str]:
    """The variables that make a directory the home of a process, on POSIX and on Windows."""
    return {"HOME": str(directory), "USERPROFILE": str(directory)}
