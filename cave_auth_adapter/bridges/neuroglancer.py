"""Give neuroglancer's Python viewer our tokens for ``middleauth+https://`` sources.

The page in the browser asks the Python server for credentials of a kind, for an origin. The server
has no provider for CAVE's kind (https://github.com/google/neuroglancer/issues/392), so we register
one (neuroglancer/default_credentials_manager.py).
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from cave_auth_startup.imports import when_imported

from ..runtime import warn_once
from . import Answers, in_effect, log_left_alone

KIND = "middleauthapp"  # of src/kvstore/middleauth/common.ts; its parameter is an origin
_LOSS = "gets no CAVE token for its viewer"


def listen() -> None:
    """Register a provider, whether neuroglancer is imported already or later."""
    when_imported("neuroglancer.default_credentials_manager", _register)


def register(
    manager: Any, answers: Callable[[], Answers | None], *, loopback_only: bool = False
) -> None:
    """Register a provider in a ``neuroglancer.credentials_provider.CredentialsManager``.

    :param answers: called for each request of a page; if it returns None, there is no token.
    :param loopback_only: whether viewers that other machines can reach get no token.
    """
    from concurrent.futures import Future  # neuroglancer imports it anyway

    from neuroglancer.credentials_provider import (
        CredentialsProvider,
    )

    class MiddleauthProvider(CredentialsProvider):  # type: ignore[misc]
        def __init__(self, token: str):
            super().__init__()
            self._token = token

        def get_new(self) -> Future[dict[str, str]]:
            future: Future[dict[str, str]] = Future()
            future.set_result({"tokenType": "Bearer", "accessToken": self._token})
            return future

    def provider(origin: Any) -> MiddleauthProvider | None:
        """Return a new provider for each request, so that it has the current token.

        The server answers None with status 400.
        """
        found = answers()
        if found is None or not isinstance(origin, str) or (loopback_only and _is_exposed()):
            return None
        token = found.token_for(origin)
        if token is None:
            found.tell_missing(origin)
            return None
        return MiddleauthProvider(token)

    manager.register(KIND, provider)


def _register(module: ModuleType) -> None:
    manager = getattr(module, "default_credentials_manager", None)
    try:
        if KIND not in manager._providers:  # type: ignore[union-attr]  # keep a tool's own
            register(manager, in_effect, loopback_only=True)
    except (AttributeError, ImportError, TypeError):
        log_left_alone("neuroglancer", _LOSS)


def _is_exposed() -> bool:
    """Whether other computers can reach the viewers; if so, warn once.

    Anyone who has the address of a viewer could take the token.
    """
    try:
        from neuroglancer.server import global_server_args

        address = str(global_server_args["bind_address"])
    except (ImportError, KeyError, TypeError):
        log_left_alone("neuroglancer", _LOSS)
        return True
    if address in ("127.0.0.1", "::1", "localhost"):
        return False
    warn_once(
        f"neuroglancer's viewer listens on {address}, so its page gets no CAVE token: anyone who "
        "has its address could take the token. To allow that: "
        "cave_auth_adapter.integrations.neuroglancer.register()"
    )
    return True
