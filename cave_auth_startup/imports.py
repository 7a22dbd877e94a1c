"""Call a function right after a module is imported, or at once if it is already.

This imports only sys, so that it does not delay the start of an interpreter.
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
_staying: set[tuple[str, object]] = set()  # callbacks for every execution of a module


def when_imported(
    name: str, callback: Callable[[ModuleType], object], *, each_time: bool = False
) -> None:
    """Call a function with a module: at once if it is imported, else right after its import.

    :param name: the full name of the module.
    :param callback: must not raise, because that would break the import.
    :param each_time: whether to call it after each ``importlib.reload()`` of the module, too.

    >>> when_imported("json", lambda module: print(module.__name__))
    json
    """
    module = sys.modules.get(name)
    # While the module is being imported, it does not have its names yet.
    spec = getattr(module, "__spec__", None)  # a test's replacement may have none
    if each_time:
        _staying.add((name, callback))
    if module is not None and not getattr(spec, "_initializing", False):
        callback(module)
        if not each_time:
            return
    if callback not in _waiting.setdefault(name, []):  # site may read a .pth file twice
        _waiting[name].append(callback)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


class _Finder:
    """A meta path finder (PEP 302, PEP 451) that wraps the loaders which other finders return."""

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
    """Let the loader call the callbacks after it has executed the module."""
    loader: Any = spec.loader
    execute = getattr(loader, "exec_module", None)
    if execute is None or isinstance(loader, type):  # a class: the loader of frozen modules
        return

    def exec_module(module: ModuleType) -> None:
        if module.__name__ != name:
            execute(module)
            return
        vars(loader).pop("exec_module", None)  # restore the loader
        execute(module)
        callbacks = _waiting.pop(name, [])
        if staying := [callback for callback in callbacks if (name, callback) in _staying]:
            _waiting[name] = staying
        for callback in callbacks:
            callback(module)

    # Set it on the loader itself: importlib.resources and inspect check its type. Most loaders
    # serve one import, but a zipimporter serves its whole archive, so the name is checked above.
    # And after importlib.util.find_spec() there may be no import at all.
    try:
        loader.exec_module = exec_module
    except (AttributeError, TypeError):  # a loader in C, say: don't break the import
        return


_finder: Any = _Finder()
