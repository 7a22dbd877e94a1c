"""CAVE tokens for neuroglancer's Python viewer, without :func:`install`.

https://github.com/google/neuroglancer/tree/master/python
"""

from __future__ import annotations

from ..auth import CaveAuth, checked
from ..bridges import neuroglancer
from ..tools import answers_from


def register(auth: CaveAuth | None = None) -> None:
    """Let viewers of this process show ``middleauth+https://`` sources.

    Under :func:`install` that is so already, while the viewer listens on loopback. A page gets a
    token for trusted hosts only, and only from a viewer that allows credentials: by default one
    whose address nobody can guess. After this call that holds for a viewer that other machines
    reach, too: anyone to whom you give its address can take the token.

    :param auth: where the tokens come from; None: a :class:`CaveAuth` without arguments.
    :raises ModuleNotFoundError: if neuroglancer is not installed.

    ```python
    import neuroglancer
    from cave_auth_adapter.integrations import neuroglancer as cave

    cave.register()
    viewer = neuroglancer.Viewer()
    ```
    """
    from neuroglancer.default_credentials_manager import (
        default_credentials_manager,
    )

    answers = answers_from(checked(auth))
    neuroglancer.register(default_credentials_manager, lambda: answers)
