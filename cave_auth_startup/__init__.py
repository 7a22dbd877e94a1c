"""What an interpreter does when it starts under `cave-auth run` or in an enabled environment.

Next to nothing: requests is not imported, but listened for. So this stands beside the package
cave_auth_adapter, whose import needs requests. What goes wrong is one line on stderr; neither the
interpreter nor an import fails for it.
"""

import os
import sys


def disabled() -> bool:
    """Whether ``CAVE_AUTH_DISABLE`` switches ``run``, ``enable`` and ``install()`` off."""
    return os.environ.get("CAVE_AUTH_DISABLE", "0") not in ("", "0")


def activate() -> None:
    """Install the plugin when, and if, requests is imported, or the plugin itself."""
    if disabled():
        return
    from .imports import when_imported

    when_imported("requests", _after_requests)
    when_imported("cave_auth_adapter", _install)


def _after_requests(module: object) -> None:
    ours = sys.modules.get("cave_auth_adapter")
    if ours is None or not getattr(ours.__spec__, "_initializing", False):
        _install(module)
    # else it is the plugin that imports requests just now; _install follows when it is ready


def _install(_: object) -> None:
    try:
        from cave_auth_adapter.install import activate

        activate()
    except Exception as error:
        sys.stderr.write(f"cave-auth: not active in {sys.executable}: {error!r}\n")
