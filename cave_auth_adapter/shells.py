"""Quote command lines, so that they can be pasted into a POSIX shell, or PowerShell on Windows."""

from __future__ import annotations

import os
import re
import shlex

WINDOWS = os.name == "nt"  # the tests of messages set it, on any system
_PLAIN = r"(?a)[\w.:/\\~][\w.:/\\~-]*"  # needs no quotes in PowerShell


def quoted(word: object) -> str:
    """An argument for a command line, in quotes if it needs them.

    >>> quoted("minnie"), quoted("my lab")
    ('minnie', "'my lab'")
    """
    text = str(word)
    if not WINDOWS:
        return shlex.quote(text)
    return text if re.fullmatch(_PLAIN, text) else _powershell_string(text)


def assignment(name: str, value: object) -> str:
    """The line that sets an environment variable.

    >>> assignment("CAVE_AUTH_HOSTS", "cave.my-lab.org") in (
    ...     "export CAVE_AUTH_HOSTS=cave.my-lab.org", "$env:CAVE_AUTH_HOSTS = 'cave.my-lab.org'"
    ... )
    True
    """
    if not WINDOWS:
        return f"export {name}={shlex.quote(str(value))}"
    return f"$env:{name} = {_powershell_string(str(value))}"


def output_in(name: str, command: str) -> str:
    """The words that give a program what a command prints, in an environment variable."""
    return f"$env:{name} = {command}" if WINDOWS else f'{name}="$({command})"'


def unset(name: str) -> str:
    """The line that removes an environment variable."""
    return f"Remove-Item Env:{name}" if WINDOWS else f"unset {name}"


def removal(path: str | os.PathLike[str]) -> str:
    """The line that deletes a file; on Windows in PowerShell, and in cmd as well.

    >>> removal("cave-secret.json") in ("rm cave-secret.json", 'del "cave-secret.json"')
    True
    """
    return f'del "{os.fspath(path)}"' if WINDOWS else f"rm {shlex.quote(os.fspath(path))}"


def _powershell_string(text: str) -> str:
    # In single quotes, only the quote itself is special (about_Quoting_Rules).
    return "'" + text.replace("'", "''") + "'"
