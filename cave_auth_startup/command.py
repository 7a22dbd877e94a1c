"""The command ``cave-auth``: ``run`` is here, the other commands in ``cave_auth_adapter.cli``.

To start programs fast, ``run`` imports neither click nor requests nor shutil, and the program
replaces this process.

It puts a directory with a ``sitecustomize.py`` on ``PYTHONPATH``, which all processes that the
program starts inherit.
"""

from __future__ import annotations

import os
import sys

from . import disabled

TYPE_CHECKING = False  # typing.TYPE_CHECKING, without the import of typing
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NOT_FOUND = 127  # the exit codes of a shell (POSIX, 2.8.2 Exit Status for Commands)
NOT_EXECUTABLE = 126

_TOOL_MARKS = ("pipx_metadata.json", "uv-receipt.toml")  # of `pipx install` and `uv tool install`


def main() -> None:
    """The console script."""
    command = sys.argv[2:]
    # `run` without a command, or with an option of its own, shows help or an error, by click.
    to_run = command and (command[0] in ("-m", "-c") or not command[0].startswith("-"))
    if sys.argv[1:2] == ["run"] and to_run:
        sys.exit(run(command))
    from cave_auth_adapter.cli import main

    main()


def run(command: Sequence[str]) -> int:
    """Run a program with the plugin installed in it and in all Python programs that it starts.

    :param command: a script, ``-m module``, ``-c code`` or the name of a command, and arguments.
    :return: the exit code: 126 or 127 if the program can't be started, with a message on stderr; on
        Windows, otherwise the program's own. On other systems, the program replaces this process
        and receives its signals, and this function does not return.
    """
    try:
        arguments = _resolve(command)
        if not _is_python(arguments[0]):
            _say(
                f"{command[0]} is not a Python program. It runs unchanged; "
                "Python programs that it starts are signed."
            )
        environ = dict(os.environ) if disabled() else _with_hook(os.environ)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # it can be closed
                stream.flush()
        if os.name == "nt":  # there, exec returns to the shell before the program has ended
            return _wait_for(arguments, environ)
        os.execve(arguments[0], arguments, environ)  # noqa: S606 - without a shell, on purpose
    except _CommandError as error:
        from cave_auth_adapter.redaction import without_token  # takes long; only an error needs it

        _say(without_token(str(error)))
        return error.exit_code
    except OSError as error:
        reason = (error.strerror or str(error)).lower().replace("%1", "it")  # as Windows has it
        _say(f"{command[0]} can't be executed: {reason}.")
        return NOT_EXECUTABLE


class _CommandError(Exception):
    """A command that can't be run; ``exit_code`` is the one that a shell would return."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


def _say(message: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"cave-auth: {message}\n")


def _with_hook(environ: Mapping[str, str]) -> dict[str, str]:
    hook = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hook")
    path = environ.get("PYTHONPATH")
    return {**environ, "PYTHONPATH": os.pathsep.join([hook, path] if path else [hook])}


def _wait_for(arguments: list[str], environ: dict[str, str]) -> int:
    """Run a program as a child, and return its exit code."""
    import signal
    import subprocess

    # Ctrl-C reaches the program, too; let it decide what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return subprocess.Popen(arguments, env=environ).wait()  # noqa: S603 - as the user typed it


def _resolve(command: Sequence[str]) -> list[str]:
    """The arguments for execve: scripts, ``-m`` and ``-c`` get the interpreter in front."""
    first = command[0]
    is_script = first.endswith((".py", ".pyz")) and os.path.isfile(first)
    if is_script or first in ("-m", "-c"):
        return [_interpreter(), *command]
    # A virtual environment's commands are beside its interpreter, activated or not.
    found = _which(first) or _which(first, [os.path.dirname(sys.executable)])
    if found is None:
        if os.path.isfile(first):
            hint = f"make it executable, or run: cave-auth run python {first}"
            raise _CommandError(f"{first} is not executable: {hint}", NOT_EXECUTABLE)
        raise _CommandError(f"{first}: there is no such command or script.", NOT_FOUND)
    return [found, *command[1:]]


def _which(name: str, directories: Sequence[str] | None = None) -> str | None:
    """The same as ``shutil.which``: importing shutil would cost as much as the rest of ``run``."""
    if directories is None:
        directories = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if os.name == "nt":
        import shutil

        return shutil.which(name, path=os.pathsep.join(directories))
    places = [name] if os.path.dirname(name) else [os.path.join(each, name) for each in directories]
    for path in places:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def _is_python(program: str) -> bool:
    """Whether a program is written in Python, judging by its file."""
    if os.path.basename(program).startswith(("python", "pypy")) or os.name == "nt":
        return True
    with open(program, "rb") as file:
        start = file.read(512)  # pip writes "#!/bin/sh" and an exec line where a path is long
    return start.startswith(b"#!") and b"python" in start


# --- Which Python runs a script ---------------------------------------------------------------


def is_tool_environment() -> bool:
    """Whether ``pipx`` or ``uv tool`` installed us, in an environment without other programs."""
    return any(os.path.exists(os.path.join(sys.prefix, mark)) for mark in _TOOL_MARKS)


def _interpreter() -> str:
    """The Python of the active environment, or our own.

    If pipx or uv installed us, the ``python`` of the ``PATH`` comes before our own, because nothing
    else is installed in our environment.
    """
    for prefix in _active_environments():
        if _same(prefix, sys.prefix):
            return sys.executable
        if python := _python_of(prefix):
            return _announced(python)
    if is_tool_environment() and (python := _which("python") or _which("python3")):
        return _announced(python)
    return sys.executable


def _active_environments() -> Iterator[str]:
    if prefix := os.environ.get("VIRTUAL_ENV"):
        yield prefix
    # Conda activates its base environment in every shell, so that is not the user's choice.
    if (prefix := os.environ.get("CONDA_PREFIX")) and os.environ.get("CONDA_DEFAULT_ENV") != "base":
        yield prefix
    if python := _which("python"):
        prefix = os.path.dirname(os.path.dirname(python))
        if os.path.isfile(os.path.join(prefix, "pyvenv.cfg")):  # PEP 405
            yield prefix


def _python_of(prefix: str) -> str | None:
    """The interpreter of an environment of venv or conda, on POSIX or Windows."""
    for name in ("bin/python", "Scripts/python.exe", "python.exe"):
        path = os.path.join(prefix, *name.split("/"))
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:  # an environment was deleted
        return False


def _announced(python: str) -> str:
    _say(f"using {python}, the active Python; cave-auth itself is in {sys.prefix}.")
    return python
