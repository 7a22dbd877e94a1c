"""The types of the auth service's answers (users, permissions, terms, keys), and their checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypedDict


class User(TypedDict, total=False):
    """A user of the auth service. Keys may be missing, and there may be more."""

    id: int
    name: str | None
    email: str | None
    admin: bool
    pi: str | None
    created: str | None  #: RFC 1123
    affiliations: list[Any]
    service_account: bool
    parent_id: int | None  #: of a service account: the user whose accepted terms count


class MissingTerms(TypedDict, total=False):
    """Terms of service of a dataset that the user has not accepted."""

    tos_id: int
    tos_name: str
    dataset_id: int
    dataset_name: str


class Permissions(User, total=False):
    """A user with permissions."""

    groups: list[str]
    permissions_v2: dict[str, list[str]]  #: dataset -> "view", "edit" and the like
    permissions_v2_ignore_tos: dict[str, list[str]]  #: as if all terms were accepted
    missing_tos: list[MissingTerms]
    datasets_admin: list[str]
    groups_admin: list[str]


class Terms(TypedDict, total=False):
    """Terms of service."""

    id: int
    name: str
    text: str


@dataclass(frozen=True)
class ApiKey:
    """An API key of the user; ``repr`` does not show the token itself.

    :ivar created: the time in the format of RFC 1123; ``updated`` and ``last_used`` likewise.
    """

    id: int
    user_id: int
    token: str = field(repr=False)
    description: str | None = None
    created: str | None = None
    updated: str | None = None
    last_used: str | None = None


def has_shape(value: Any, shape: Any) -> bool:
    """Whether an answer has the expected shape.

    :param shape: a type; a function that checks a value; ``[the shape of each entry]``; or
        ``{name: the shape of that member}``, where more members are allowed.

    >>> has_shape({"id": 1, "more": []}, {"id": int}), has_shape([1], [str])
    (True, False)
    """
    if isinstance(shape, type):
        # In Python, True is an int; in JSON it is not.
        return isinstance(value, shape) and isinstance(value, bool) == (shape is bool)
    if isinstance(shape, list):
        return isinstance(value, list) and all(has_shape(each, shape[0]) for each in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(
            has_shape(value.get(name), part) for name, part in shape.items()
        )
    return bool(shape(value))


def _maybe(shape: Any) -> Callable[[Any], bool]:
    """The shape of a value that may be null or missing."""
    return lambda value: value is None or has_shape(value, shape)


def _number(value: Any) -> bool:
    return has_shape(value, int) or has_shape(value, float)


def _rights(value: Any) -> bool:
    return isinstance(value, dict) and has_shape([*value.values()], [[str]])


NUMBER = _number
NAMED = {"id": int, "name": str}
USER = {"id": int, "name": _maybe(str), "email": _maybe(str), "created": _maybe(str)}
MISSING_TERMS = {"tos_name": str, "dataset_name": str, "tos_id": _maybe(int)}
TERMS = {"id": int, "name": _maybe(str), "text": _maybe(str)}
PERMISSIONS = {
    **USER,
    "groups": _maybe([str]),
    "permissions_v2": _maybe(_rights),
    "permissions_v2_ignore_tos": _maybe(_rights),
    "missing_tos": _maybe([MISSING_TERMS]),
    "groups_admin": _maybe(list),
    "datasets_admin": _maybe(list),
}
KEY = {
    "id": int,
    "token": str,
    "description": _maybe(str),
    "created": _maybe(str),
    "updated": _maybe(str),
    "last_used": _maybe(str),
}
