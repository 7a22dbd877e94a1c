"""``%load_ext cave_auth_adapter`` in IPython and Jupyter.

https://ipython.readthedocs.io/en/stable/config/extensions/
"""

from __future__ import annotations

from ..install import install, uninstall


def load_ipython_extension(_shell: object) -> None:
    """Sign the requests of every session in the kernel: ``%load_ext cave_auth_adapter``.

    It prints one line about the tokens in use, without asking a server. ``%unload_ext`` stops it.
    """
    from ..diagnose.overview import in_use

    install()
    print(in_use())


def unload_ipython_extension(_shell: object) -> None:
    """Stop signing: ``%unload_ext cave_auth_adapter``."""
    uninstall()
