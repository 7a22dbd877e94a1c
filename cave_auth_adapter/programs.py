"""Every interpreter of an environment, with the plugin installed: ``cave-auth enable``.

It writes what the module ``site`` reads when an interpreter starts: a ``.start`` file (PEP 829,
Python 3.15 on), and a ``.pth`` file for older ones. Both call a module beside them, which leads to
``cave_auth_startup``. That module is written, too, so that nothing complains at the start of an
interpreter after this package was uninstalled.
"""

from __future__ import annotations

import py_compile
import sys
import sysconfig
from pathlib import Path

from cave_auth_startup.command import is_tool_environment

from .errors import CaveAuthError

_MODULE = "_cave_auth_enabled"
_CODE = '''\
"""Written by `cave-auth enable`. To remove it: cave-auth disable"""


def activate():
    try:
        import cave_auth_startup
    except ImportError:  # uninstalled
        return
    cave_auth_startup.activate()
'''


def hook_file() -> Path:
    """The ``.pth`` file of ``cave-auth enable`` in the current environment; it need not exist."""
    # Last in the alphabet, as site reads them: another .pth file may lead to our packages.
    return Path(sysconfig.get_path("purelib")) / "zz-cave-auth-adapter.pth"


def enable() -> Path:
    """Install the plugin in every interpreter of this environment that imports requests.

    :return: the file that does it.
    :raises CaveAuthError: if the environment can't be written, or only `cave-auth` runs in it.
    """
    if is_tool_environment():
        raise CaveAuthError(
            f"This cave-auth is in an environment of its own, {sys.prefix}, where no other program "
            "runs. Install cave-auth-adapter in the environment of your programs, and run there: "
            "python -m cave_auth_adapter enable"
        )
    pth, start, module = _files()
    try:
        module.write_text(_CODE, encoding="utf-8")
        py_compile.compile(str(module))  # interpreters that may not write need not do it each time
        start.write_text(f"{_MODULE}:activate\n", encoding="utf-8")
        # site runs a line that begins with "import", but not where there is a .start file, too.
        pth.write_text(f"import {_MODULE}; {_MODULE}.activate()\n", encoding="utf-8")
    except OSError as error:
        raise _unwritable(pth, error) from error
    return pth


def disable() -> bool:
    """Undo :func:`enable`; return whether there was something to undo.

    :raises CaveAuthError: if the environment can't be written.
    """
    pth, start, module = _files()
    try:
        removed = [_remove(path) for path in (pth, start, module)]  # what leads to it goes first
        for compiled in module.parent.glob(f"__pycache__/{_MODULE}.*.pyc"):
            _remove(compiled)
    except OSError as error:
        raise _unwritable(pth, error) from error
    return any(removed)


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _files() -> tuple[Path, Path, Path]:
    pth = hook_file()
    return pth, pth.with_suffix(".start"), pth.with_name(f"{_MODULE}.py")


def _unwritable(path: Path, error: OSError) -> CaveAuthError:
    return CaveAuthError(
        f"{path.parent} can't be written: {(error.strerror or str(error)).lower()}. "
        "Use a virtual environment of your own, or put `cave-auth run` before each command."
    )
