"""Quote command lines, so that they can be pasted into a POSIX shell, or PowerShell on Windows."""

from __future__ import annotations

import os
import re
import shlex

_PLAIN = re.compile(r"[\w.:/\\~][\w.:/\\~-]*", re.ASCII)  # needs no quotes in PowerShell


def quoted(word: object) -> str:
    """An argument for a command line, in quotes if it needs them.

    >>> quoted("minnie"), quoted("my lab")
    ('minnie', "'my lab'")
    """
    text = str(word)
    if os.name != "nt":
        return shlex.quote(text)
    return text if _PLAIN.fullmatch(text) else _powershell_string(text)


def assignment(name: str, value: object) -> str:
    """The line that sets an environment variable.

    >>> assignment("CAVE_AUTH_HOSTS", "cave.my-lab.org") in (
    ...     "export CAVE_AUTH_HOSTS=cave.my-lab.org", "$env:CAVE_AUTH_HOSTS = 'cave.my-lab.org'"
    ... )
    True
    """
    if os.name != "nt":
        return f"export {name}={shlex.quote(str(value))}"
    return f"$env:{name} = {_powershell_string(str(value))}"


def _powershell_string(text: str) -> str:
    # In single quotes, only the quote itself is special (about_Quoting_Rules).
    return "'" + text.replace("'", "''") + "'"
