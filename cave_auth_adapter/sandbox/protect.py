"""Who may pass: the decorators of middle_auth_client, which guard every real CAVE service.

Import this only after `AUTH_URL` and its like are set: middle_auth_client reads them once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

import flask
from middle_auth_client import decorators  # type: ignore[import-untyped]

from .accounts import Accounts

_View = TypeVar("_View", bound=Callable[..., Any])
_lock = threading.Lock()


def auth_required(view: _View) -> _View:
    """Let pass whoever has a valid token."""
    return cast(_View, decorators.auth_required(view))


def requires_permission(permission: str, **where: str) -> Callable[[_View], _View]:
    """Let pass users with that permission on `dataset=` or on the dataset of `table_arg=`."""
    return cast(Callable[[_View], _View], decorators.auth_requires_permission(permission, **where))


def requires_group(group: str) -> Callable[[_View], _View]:
    """Let pass the members of a group."""
    return cast(Callable[[_View], _View], decorators.auth_requires_group(group))


def forget(token: str) -> None:
    """Drop a token from the cache that the services keep."""
    with _lock:
        decorators.token_to_user_cache.pop((token,), None)


def _user_of_token(token: str) -> dict[str, Any] | None:
    """Look a token up: directly in the auth service, through its API in every other service."""
    accounts: Accounts | None = flask.current_app.config.get("ACCOUNTS")
    if accounts is not None:
        found = accounts.find(token)
        return found.user.cache() if found else None
    with _lock:  # the cache of middle_auth_client has none; its services run processes
        return cast("dict[str, Any] | None", decorators.user_cache_http(token))


# The real auth service guards itself in the same way (middle_auth, server.py).
decorators.setPermissionLookupOverride(_user_of_token)
