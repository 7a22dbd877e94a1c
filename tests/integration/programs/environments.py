"""Environments and commands that the tests of ``cave-auth run`` and ``enable`` share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cave_auth_adapter import programs

Completed = subprocess.CompletedProcess[str]
BIN = Path(sys.executable).parent
OUR_PATH = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}  # as in an activated environment
OURS = Path(programs.__file__).parent.parent
COMMAND = "import sys; from cave_auth_startup.command import main; main()"  # the console script
CAVE_AUTH = [sys.executable, "-c", COMMAND]
Start = Callable[..., Completed]
Script = Callable[..., Path]
GET = """
    import sys, requests
    answer = requests.get(sys.argv[1], allow_redirects=False)
    signed = answer.status_code == 200
    print(answer.json()["cookies"]["middle_auth_token"] if signed else "refused")
"""
SIGNED = "import requests; print(hasattr(requests.Session.get_adapter, '__wrapped__'))"


class Other:
    """Another environment with requests, such as the active one when pipx installed us."""

    def __init__(self, python: Path) -> None:
        self.python, self.prefix = python, python.parent.parent
        self.message = f"cave-auth: using {python}, the active Python; cave-auth itself is in "


def make_environment(directory: Path) -> Path:
    """A virtual environment with nothing in it; return its interpreter."""
    command = [sys.executable, "-m", "venv", "--without-pip", str(directory)]
    subprocess.run(command, check=True, timeout=90)
    return directory / "bin" / "python"


class Environment:
    """An environment with the packages of this one, and the command `cloudfiles`."""

    start: Start

    def __init__(self, directory: Path) -> None:
        self.python = make_environment(directory)
        [self.purelib] = directory.glob("lib/python*/site-packages")
        self.hook = self.purelib / "zz-cave-auth-adapter.pth"
        self.packages = self.purelib / "_packages.pth"  # site reads these files by their names
        self.cloudfiles = directory / "bin" / "cloudfiles"
        text = (BIN / "cloudfiles").read_text()
        self.cloudfiles.write_text(f"#!{self.python}\n" + text.partition("\n")[2])
        self.cloudfiles.chmod(0o755)

    def renew(self, start: Start) -> Environment:
        self.start = start
        for file in self.purelib.glob("[_z]*.*"):
            file.unlink()
        libraries = (path for path in sys.path if path.endswith("site-packages"))
        self.packages.write_text("".join(f"{path}\n" for path in (*libraries, OURS)))
        return self

    def __call__(self, *command: str | Path, **options: Any) -> Completed:
        return self.start([self.python, *command], **options)

    def cave_auth(self, *command: str) -> Completed:
        return self("-m", "cave_auth_adapter", *command)
