"""What an interpreter does when it starts under `cave-auth run` or in an enabled environment.

Next to nothing: requests is not imported, but listened for. So this stands beside the package
cave_auth_adapter, whose import needs requests. What goes wrong is one line on stderr; neither the
interpreter nor an import fails for it.
"""

from __future__ import annotations

import sys

from .imports import when_imported


def activate() -> None:
    """Install the plugin when, and if, requests is imported."""
    when_imported("requests", _install)


def _install(_: object) -> None:
    try:
        from cave_auth_adapter import install

        install()
    except Exception as error:
        sys.stderr.write(f"cave-auth: not active in {sys.executable}: {error!r}\n")
