"""Imported by each interpreter that starts under `cave-auth run` (see the module site).

It activates the plugin, and hands over to the sitecustomize that it stands in front of.
"""

import os
import sys


def _activate() -> None:
    try:
        from cave_auth_startup import activate

        activate()
    except Exception as error:  # an interpreter of another environment, say
        sys.stderr.write(f"cave-auth: not active in {sys.executable}: {error}\n")


def _hand_over() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    this = sys.modules.pop("sitecustomize")
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401  # the next, if any
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
        sys.modules["sitecustomize"] = this


_activate()
_hand_over()
