"""Protect the services with the decorators of middle_auth_client, as every real CAVE service does.

Import this only after `AUTH_URL` and its like are set: middle_auth_client reads them once.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

import flask
import requests
from middle_auth_client import decorators  # type: ignore[import-untyped]
from middle_auth_client.ratelimit import RateLimitError, rate_limit  # type: ignore[import-untyped]
from requests.adapters import HTTPAdapter
from werkzeug.exceptions import InternalServerError

from .accounts import Accounts

# With this token the services look up their tables, and what of them is public.
SERVICE_TOKEN = secrets.token_hex(16)

_View = TypeVar("_View", bound=Callable[..., Any])
_lock = threading.Lock()  # the caches of middle_auth_client have none: its services run processes


def protected_app(name: str, **config: Any) -> flask.Flask:
    """Return an application whose views the decorators below may guard."""
    app = flask.Flask(name)
    app.config.update(AUTH_TOKEN=SERVICE_TOKEN, **config)
    # Flask would answer the same, and print a traceback.
    for error in (RateLimitError, requests.RequestException):
        app.register_error_handler(error, lambda _: InternalServerError())
    return app


def auth_required(view: _View) -> _View:
    """Require a valid token."""
    return cast(_View, decorators.auth_required(view))


def requires_permission(permission: str, **where: Any) -> Callable[[_View], _View]:
    """Require a permission on `dataset=` or on the dataset of `table_arg=`.

    With `public_table_key=`, and perhaps `public_node_key=` or `public_node_json_key=`, everybody
    may see a table or root that is public. These name arguments of the view.
    """
    guard = decorators.auth_requires_permission(permission, service_token=SERVICE_TOKEN, **where)
    return cast(Callable[[_View], _View], guard)


def requires_role(dataset: str) -> Callable[[_View], _View]:
    """Require an admin of a dataset."""
    guard = decorators.auth_requires_dataset_admin(dataset=dataset)
    return cast(Callable[[_View], _View], guard)


def requires_superadmin(view: _View) -> _View:
    """Require an admin of the deployment."""
    return cast(_View, decorators.auth_requires_admin(view))


def requires_group(group: str) -> Callable[[_View], _View]:
    """Require a member of a group."""
    return cast(Callable[[_View], _View], decorators.auth_requires_group(group))


def may_know(datastack: str) -> bool:
    """Whether the caller has the permission to view a datastack, with or without accepted terms."""
    return bool(decorators.user_has_permission("view", datastack, "datastack", ignore_tos=True))


def shares_a_group_with(user: int) -> bool:
    """Whether the caller is in a group with that user; an unknown user is a RuntimeError."""
    return bool(decorators.users_share_common_group(user))


def forget(token: str) -> None:
    """Drop a token from the cache that the services keep."""
    with _lock:
        decorators.token_to_user_cache.pop((token,), None)


def clear_caches() -> None:
    """Drop everything from the services' caches, and count refusals from 0 again."""
    with _lock:
        decorators.token_to_user_cache.clear()
        decorators.user_id_to_user_cache.clear()
    for lookup in ("is_root_public", "are_roots_public", "table_has_public"):
        getattr(decorators, lookup).cache_clear()
    decorators.dataset_from_table_id.cache_clear()
    # The count is in a closure. The decorator counts the refusals of a token: the 21st for want of
    # a group in 5 minutes fails, as it does at the real services.
    decorators.clear_user_cache_maybe = rate_limit(
        limit_args=[0],
        limit=decorators.SKIP_CACHE_LIMIT,
        window_sec=decorators.SKIP_CACHE_WINDOW_SEC,
    )(forget)


class _Line(HTTPAdapter):
    """The way from the services to the auth service, which can be cut."""

    cut = False

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        if self.cut:
            raise requests.ConnectionError("The auth service is down.")
        return super().send(*args, **kwargs)


line = _Line()


def _user_of_token(token: str) -> dict[str, Any] | None:
    """Look a token up: directly in the auth service, through its API in every other service."""
    accounts: Accounts | None = flask.current_app.config.get("ACCOUNTS")
    if accounts is not None:
        found = accounts.find(token)
        return found.user.cache() if found else None
    with _lock:
        return cast("dict[str, Any] | None", decorators.user_cache_http(token))


# The real auth service guards itself in the same way (middle_auth, server.py).
decorators.setPermissionLookupOverride(_user_of_token)
decorators.session.mount("https://", line)
clear_caches()
