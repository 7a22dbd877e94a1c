"""Whole programs: one command, or every interpreter of an environment, with the plugin installed.

``cave-auth run`` puts a directory with a ``sitecustomize.py`` on ``PYTHONPATH``, which a program
hands on to whatever it starts. ``cave-auth enable`` writes a ``.pth`` file (see the module
``site``). Both lead to ``cave_auth_startup``, which listens for the import of requests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import cave_auth_startup

from .errors import CaveAuthError

NOT_FOUND = 127  # the exit codes of a shell (POSIX, 2.8.2 Exit Status for Commands)
NOT_EXECUTABLE = 126

# Last in the alphabet, as site reads them: another .pth file may lead to our packages.
_PTH_NAME = "zz-cave-auth-adapter.pth"


class CommandError(CaveAuthError):
    """A command that can't be run; ``exit_code`` is the one that a shell would give."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


def run(command: Sequence[str]) -> int:
    """Run a program with the plugin installed, and in all that it starts.

    :param command: a script, ``-m module``, ``-c code`` or the name of a command, and arguments.
    :return: its exit code, on Windows. Elsewhere the program takes the place of this process, so
        that signals and the exit code are its own, and this function does not return.
    :raises CommandError: if there is no such command, or it can't be executed.
    """
    arguments = _resolve(command)
    hook = os.path.dirname(cave_auth_startup.__file__)
    path = os.environ.get("PYTHONPATH")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([hook, path] if path else [hook])}
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if os.name == "nt":  # exec there returns to the shell before the program has ended
            return subprocess.call(arguments, env=environ)  # noqa: S603 - as the user typed it
        os.execve(arguments[0], arguments, environ)  # noqa: S606 - no shell is what is wanted
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        message = f"{arguments[0]} can't be executed: {problem}."
        raise CommandError(message, NOT_EXECUTABLE) from error


def is_python(command: Sequence[str]) -> bool:
    """Whether a command is a Python program, as far as its file tells.

    >>> is_python(["-m", "http.server"]), is_python(["ls"])
    (True, False)
    """
    program = _resolve(command)[0]
    if Path(program).name.startswith(("python", "pypy")) or os.name == "nt":
        return True
    with open(program, "rb") as file:
        start = file.read(512)  # pip writes "#!/bin/sh" and an exec line where a path is long
    return start.startswith(b"#!") and b"python" in start


def _resolve(command: Sequence[str]) -> list[str]:
    """A command as execve takes it: scripts and ``-m`` get the interpreter in front."""
    first = command[0]
    if first in ("-m", "-c"):
        return [sys.executable, *command]
    if first.endswith((".py", ".pyz")) and os.path.isfile(first):
        return [sys.executable, *command]
    # A virtual environment's commands are beside its interpreter, activated or not.
    beside = os.path.dirname(sys.executable)
    found = shutil.which(first) or shutil.which(first, path=beside)
    if found is None:
        if os.path.isfile(first):
            hint = f"make it executable, or run: cave-auth run python {first}"
            raise CommandError(f"{first} is not executable: {hint}", NOT_EXECUTABLE)
        raise CommandError(f"{first}: there is no such command or script.", NOT_FOUND)
    return [found, *command[1:]]


def hook_file() -> Path:
    """Where ``cave-auth enable`` writes for the current environment; it need not exist."""
    return Path(sysconfig.get_path("purelib")) / _PTH_NAME


def enable() -> Path:
    """Install the plugin in every interpreter of this environment that imports requests.

    :return: the file that does it.
    :raises CaveAuthError: if the environment can't be written.
    """
    path = hook_file()
    code = (
        "try:\n"
        "    import cave_auth_startup\n"
        "    cave_auth_startup.activate()\n"
        "except Exception as error:\n"
        "    if not hasattr(sys, '_cave_auth_told'):\n"  # site may read the file twice
        "        sys._cave_auth_told = True\n"
        f"        text = 'cave-auth: not active: %s. Remove %s' % (error, {str(path)!a})\n"
        "        sys.stderr.write(text + '\\n')\n"
    )
    # site executes a line that begins with "import", and only single lines.
    line = f"import sys; exec({code!r})\n"
    try:
        path.write_text(line, encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def disable() -> bool:
    """Undo :func:`enable`; return whether there was something to undo.

    :raises CaveAuthError: if the environment can't be written.
    """
    path = hook_file()
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unwritable(path, error) from error
    return True


def _unwritable(path: Path, error: OSError) -> CaveAuthError:
    return CaveAuthError(
        f"{path.parent} can't be written: {(error.strerror or str(error)).lower()}. "
        "Use a virtual environment of your own, or put `cave-auth run` before each command."
    )
