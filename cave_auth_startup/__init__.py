"""Code that an interpreter runs at its start, under `cave-auth run` or in an enabled environment.

It only waits until requests is imported. So it is a package of its own: importing cave_auth_adapter
would import requests. An error is one line on stderr; neither the interpreter nor an import fails.
"""

import os
import sys


def disabled() -> bool:
    """Whether ``CAVE_AUTH_DISABLE`` switches ``run``, ``enable`` and ``install()`` off."""
    return os.environ.get("CAVE_AUTH_DISABLE", "0") not in ("", "0")


def activate() -> None:
    """Install the plugin as soon as requests or the plugin is imported."""
    if disabled():
        return
    from .imports import when_imported

    when_imported("requests", _after_requests)
    when_imported("cave_auth_adapter", _install)


def _after_requests(module: object) -> None:
    ours = sys.modules.get("cave_auth_adapter")
    if ours is None or not getattr(ours.__spec__, "_initializing", False):
        _install(module)
    # otherwise the plugin is importing requests; _install is called when the plugin is imported


def _install(_: object) -> None:
    try:
        from cave_auth_adapter.install import activate

        activate()
    except Exception as error:
        sys.stderr.write(f"cave-auth: not active in {sys.executable}: {error!r}\n")
