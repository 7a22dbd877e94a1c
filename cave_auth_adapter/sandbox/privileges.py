"""Require an administrator at the auth service, which has four refusals in plain text.

As middle_auth 2.30 says them (neuroglancer_auth/server.py); the one for a superadmin comes from
middle_auth_client.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import flask

from .accounts import Accounts, User
from .catalog import DATASETS
from .protect import auth_required

_View = TypeVar("_View", bound=Callable[..., Any])


def accounts() -> Accounts:
    """Return the accounts of the deployment."""
    return cast(Accounts, flask.current_app.config["ACCOUNTS"])


def me() -> User:
    """Return the user whose token came with the request."""
    return accounts().user(flask.g.auth_user["id"])


def _guard(view: _View, kind: str, may_pass: Callable[[User, dict[str, Any]], bool]) -> _View:
    @wraps(view)
    @auth_required
    def guarded(**arguments: Any) -> Any:
        if me().admin or may_pass(me(), arguments):
            return view(**arguments)
        return flask.Response(f"Requires {kind} privilege.", 403)

    return cast(_View, guarded)


def requires_some_admin(view: _View) -> _View:
    """Let pass admins of anything, and service accounts."""
    return _guard(
        view,
        "admin",
        lambda user, _: bool(user.datasets_admin or user.groups_admin or user.service_account),
    )


def requires_dataset_admin(view: _View) -> _View:
    """Let pass the admins of the dataset in the view's argument `dataset_id`."""
    numbers = {name: dataset.id for name, dataset in DATASETS.items()}
    return _guard(
        view,
        "dataset admin",
        lambda user, to: to["dataset_id"] in [numbers[name] for name in user.datasets_admin],
    )


def requires_group_admin(view: _View) -> _View:
    """Let pass the admins of the group in the view's argument `group_id`."""
    return _guard(
        view,
        "group admin",
        lambda user, to: accounts().groups().get(to["group_id"]) in user.groups_admin,
    )
