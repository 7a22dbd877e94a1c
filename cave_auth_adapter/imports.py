"""Do something right after a module is imported; at once if it is already.

Only the standard library is imported here, and of it only what an interpreter has loaded at
start-up anyway.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Callback = Callable[[ModuleType], object]

_waiting: dict[str, list[Callback]] = {}


def when_imported(name: str, callback: Callback) -> None:
    """Call back with a module, now or when it has been imported for the first time.

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


class _Finder:
    """A meta path finder (PEP 302, PEP 451) that finds nothing itself, but listens."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in _waiting:
            return None
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    self._follow(name, spec)
                    return spec
        return None

    def _follow(self, name: str, spec: ModuleSpec) -> None:
        loader = spec.loader
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module  # type: ignore[union-attr]  # the loader is as it was
            execute(module)
            for callback in _waiting.pop(name, []):
                callback(module)

        # On this one loader object, which importlib made for this one module: a loader of our
        # own around it would hide what it is from importlib.resources and from inspect.
        loader.exec_module = exec_module  # type: ignore[union-attr, method-assign]


_finder: Any = _Finder()
