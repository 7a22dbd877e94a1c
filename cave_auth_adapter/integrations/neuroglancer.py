"""CAVE tokens for neuroglancer's Python viewer, without :func:`install`.

https://github.com/google/neuroglancer/tree/master/python
"""

from __future__ import annotations

from ..auth import CaveAuth, checked
from ..bridges import neuroglancer
from ..tools import answers_from


def register(auth: CaveAuth | None = None) -> None:
    """Let viewers of this process show ``middleauth+https://`` sources.

    :func:`install` does this, too, but only while the viewer listens on loopback. A page gets
    tokens for trusted hosts only, and only from a viewer that allows credentials: by default, one
    whose address can't be guessed. After this call, that includes viewers that other computers can
    reach: anyone who has the address of the viewer can then take the token.

    :param auth: the source of the tokens; None: a :class:`CaveAuth` without arguments.
    :raises ModuleNotFoundError: if neuroglancer is not installed.
    :raises TypeError: if ``auth`` is not a :class:`CaveAuth`.

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
