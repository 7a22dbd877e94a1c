"""Imported by each interpreter that starts under `cave-auth run` (see the module site).

It activates the plugin, and then imports the sitecustomize that it hides.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_SITE_PACKAGES = os.path.dirname(os.path.dirname(_HERE))


class _Beside:
    """Finds the plugin in the environment of `cave-auth`, for an environment without it.

    It comes last, and finds only the plugin, and the library that the plugin needs beside requests.
    Nothing else of that environment can be imported.
    """

    packages = ("cave_auth_startup", "cave_auth_adapter", "filelock")

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        if name not in self.packages:
            return None
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(name, [_SITE_PACKAGES])


def _activate() -> None:
    try:
        try:
            import cave_auth_startup
        except ImportError:
            sys.meta_path.append(_Beside())
            import cave_auth_startup
        cave_auth_startup.activate()
    except Exception as error:  # a Python that is too old, say
        sys.stderr.write(f"cave-auth: not active in {sys.executable}: {error}\n")


def _hand_over() -> None:
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
    this = sys.modules.pop("sitecustomize")
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401  # the next, if any
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
        sys.modules["sitecustomize"] = this


_activate()
_hand_over()
