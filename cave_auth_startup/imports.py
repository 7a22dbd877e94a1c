"""Do something right after a module is imported; at once if it is already.

Only sys is imported here, which is there when an interpreter starts.
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
_staying: set[tuple[str, object]] = set()  # callbacks for each time that a module is executed


def when_imported(
    name: str, callback: Callable[[ModuleType], object], *, each_time: bool = False
) -> None:
    """Call back with a module: at once if it is there, else right after it is imported.

    :param name: the full name of the module.
    :param callback: must not raise: the import that it follows is not ours to break.
    :param each_time: also after each ``importlib.reload()`` of the module.

    >>> when_imported("json", lambda module: print(module.__name__))
    json
    """
    module = sys.modules.get(name)
    # While it is still being imported, its names are not there yet.
    spec = getattr(module, "__spec__", None)  # what a test puts there may have none
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
    if execute is None or isinstance(loader, type):  # a class: it loads what is frozen
        return

    def exec_module(module: ModuleType) -> None:
        if module.__name__ != name:
            execute(module)
            return
        vars(loader).pop("exec_module", None)  # the loader is as it was
        execute(module)
        callbacks = _waiting.pop(name, [])
        if staying := [callback for callback in callbacks if (name, callback) in _staying]:
            _waiting[name] = staying
        for callback in callbacks:
            callback(module)

    # On the loader itself: one of our own around it would hide what it is from importlib.resources
    # and from inspect. As a rule it was made for this one look, but a zipimporter serves all that
    # is in its archive, and importlib.util.find_spec() looks without an import to follow.
    try:
        loader.exec_module = exec_module
    except (AttributeError, TypeError):  # written in C, say: no reason to fail the import
        return


_finder: Any = _Finder()
