"""``cave-auth enable``: install the plugin in every interpreter of an environment.

It writes files that the module ``site`` reads when an interpreter starts: a ``.start`` file (PEP
829, from Python 3.15), and a ``.pth`` file for older versions. Both call a module beside them,
which imports ``cave_auth_startup`` if it is there. So interpreters still start without an error
after this package was uninstalled.
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
    """The path of ``cave-auth enable``'s ``.pth`` file in the current environment."""
    # site reads them in alphabetical order. This comes last: another .pth file may be needed to
    # find our packages.
    return Path(sysconfig.get_path("purelib")) / "zz-cave-auth-adapter.pth"


def enable() -> Path:
    """Install the plugin in every interpreter of this environment that imports requests.

    :return: the path of the ``.pth`` file.
    :raises CaveAuthError: if the environment can't be written, or is one of pipx or uv.
    """
    if is_tool_environment():
        raise CaveAuthError(
            f"This cave-auth is in an environment of its own, {sys.prefix}, without your programs. "
            "Install cave-auth-adapter in the environment of your programs, and run there: "
            "python -m cave_auth_adapter enable"
        )
    pth, start, module = _files()
    try:
        module.write_text(_CODE, encoding="utf-8")
        py_compile.compile(str(module))  # for interpreters that may not write the .pyc file
        start.write_text(f"{_MODULE}:activate\n", encoding="utf-8")
        # site runs a line that begins with "import", unless it knows .start files.
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
        removed = [_remove(path) for path in (pth, start, module)]  # the module last
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
