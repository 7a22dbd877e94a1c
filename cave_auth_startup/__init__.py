"""What an interpreter does when it starts under `cave-auth run` or in an enabled environment.

Next to nothing: requests is not imported, but listened for. So this stands beside the package
cave_auth_adapter, whose import needs requests, and imports nothing but sys, which is there.
What goes wrong is one line on stderr; neither the interpreter nor an import fails for it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing.TYPE_CHECKING, without the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_waiting: dict[str, list[Callable[[ModuleType], object]]] = {}


def activate() -> None:
    """Install the plugin when, and if, requests is imported."""
    when_imported("requests", _install)


def when_imported(name: str, callback: Callable[[ModuleType], object]) -> None:
    """Call back with a module: at once, or right after it is imported for the first time.

    :param name: the full name of the module.
    :param callback: must not raise: the import that it follows is not ours to break.

    >>> when_imported("json", lambda module: print(module.__name__))
    json
    """
    module = sys.modules.get(name)
    # While it is still being imported, its names are not there yet.
    if module is not None and not getattr(module.__spec__, "_initializing", False):
        callback(module)
        return
    _waiting.setdefault(name, []).append(callback)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def _install(_: ModuleType) -> None:
    try:
        from cave_auth_adapter import install

        install()
    except Exception as error:
        sys.stderr.write(f"cave-auth: not active in {sys.executable}: {error!r}\n")


class _Finder:
    """A meta path finder (PEP 302, PEP 451) that finds nothing itself, but listens."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in _waiting:
            return None
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    _follow(name, spec)
                    return spec
        return None


def _follow(name: str, spec: ModuleSpec) -> None:
    """Have the callbacks called when the loader has executed the module."""
    loader: Any = spec.loader
    execute = getattr(loader, "exec_module", None)
    if execute is None:
        return

    def exec_module(module: ModuleType) -> None:
        del loader.exec_module  # the loader is as it was
        execute(module)
        for callback in _waiting.pop(name, []):
            callback(module)

    # On this one loader object, which importlib made for this one module: a loader of our own
    # around it would hide what it is from importlib.resources and from inspect.
    loader.exec_module = exec_module


_finder: Any = _Finder()
