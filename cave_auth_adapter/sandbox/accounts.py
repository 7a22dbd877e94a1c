"""The data of the auth service: users, their groups and permissions, and their tokens."""

from __future__ import annotations

import re
import secrets
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from .catalog import DATASETS, TERMS

LOGIN_SECONDS = 7 * 24 * 60 * 60

_TOKEN = re.compile(r"[0-9a-f]{32}")


def _now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass
class User:
    """A person, or a service account, which has a person as its parent."""

    id: int
    name: str
    email: str
    groups: list[str] = field(default_factory=list)
    permissions: dict[str, list[str]] = field(default_factory=dict)
    accepted_tos: set[int] = field(default_factory=set)
    admin: bool = False
    datasets_admin: list[str] = field(default_factory=list)
    groups_admin: list[str] = field(default_factory=list)
    parent: User | None = None
    created: datetime = field(default_factory=_now)

    @property
    def service_account(self) -> bool:
        """Whether this is an account for a program."""
        return self.parent is not None

    def profile(self, *, full: bool) -> dict[str, Any]:
        """Return what `user/me` tells (`full`), or what others may know."""
        told: dict[str, Any] = {
            "id": self.id,
            "service_account": self.service_account,
            "name": self.name,
            "created": self.created,
            "pi": "",
            "affiliations": [[]],
        }
        if full:
            told |= {
                "gdpr_consent": False,
                "admin_datasets": [
                    {"id": DATASETS[name].id, "name": name} for name in self.datasets_admin
                ],
                "admin": self.admin,
                "email": self.email,
            }
            if self.parent:
                told |= {"parent_id": self.parent.id, "parent": self.parent.profile(full=False)}
        return told

    def missing_terms(self) -> list[dict[str, Any]]:
        """Return what `user/missing` tells. A service account's terms are its parent's."""
        accepted = (self.parent or self).accepted_tos
        return [
            {
                "dataset_id": DATASETS[name].id,
                "dataset_name": name,
                "tos_id": tos,
                "tos_name": TERMS[tos].name,
            }
            for name in self.permissions
            if (tos := DATASETS[name].tos) and tos not in accepted
        ]

    def cache(self) -> dict[str, Any]:
        """Return what `user/cache` tells the services, which keep it for a while."""
        missing = self.missing_terms()
        closed = {entry["dataset_name"] for entry in missing}
        granted = {name: list(what) for name, what in self.permissions.items()}
        open_now = {name: what for name, what in granted.items() if name not in closed}
        levels = {"view": 1, "edit": 2}
        return {
            "id": self.id,
            "parent_id": self.parent.id if self.parent else None,
            "service_account": self.service_account,
            "name": self.name,
            "email": self.email,
            "admin": self.admin,
            "pi": "",
            "affiliations": [[]],
            "groups": self.groups,
            "permissions": {
                name: max((levels.get(each, 0) for each in what), default=0)
                for name, what in open_now.items()
            },
            "permissions_v2": open_now,
            "permissions_v2_ignore_tos": granted,
            "missing_tos": missing,
            "datasets_admin": self.datasets_admin,
            "groups_admin": self.groups_admin,
        }


@dataclass
class Token:
    """An API key, which does not expire, or a login token, which does."""

    id: int
    user: User
    token: str
    description: str | None = None
    expires: float | None = None  #: seconds since the epoch; None: an API key
    listed: bool = True  #: False: an API key that the database refused; it works, but is not shown
    created: datetime = field(default_factory=_now)
    last_used: datetime | None = None

    @property
    def ttl(self) -> int:
        """The seconds to live: -1 for an API key."""
        return -1 if self.expires is None else round(self.expires - time.time())

    def listing(self) -> dict[str, Any]:
        """Return what `user/token` tells."""
        return {
            "id": self.id,
            "user_id": self.user.id,
            "token": self.token,
            "description": self.description,
            "created": self.created,
            "updated": self.created,
            "last_used": self.last_used,
        }


class Accounts:
    """All users and tokens, in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: dict[int, User] = {}
        self._tokens: dict[str, Token] = {}
        self._issued: list[str] = []
        self._groups: list[str] = []

    def create_user(self, name: str, *, parent: int | None = None, **details: Any) -> User:
        """Add a user, with the e-mail address of its name at `sandbox.example`.

        `details` are fields of `User`. Unknown datasets, terms and parents are a ValueError.
        """
        datasets = {*details.get("permissions", ()), *details.get("datasets_admin", ())}
        _check("dataset", datasets, DATASETS)
        _check("terms of service", details.get("accepted_tos", ()), TERMS)
        _check("user", [] if parent is None else [parent], self._users)
        email = name.lower().replace(" ", ".") + "@sandbox.example"
        with self._lock:
            number = len(self._users) + 1
            above = None if parent is None else self._users[parent]
            user = User(number, name, email, parent=above, **details)
            self._users[number] = user
            for group in (*user.groups, *user.groups_admin):
                self._add_group(group)
            return user

    def user(self, number: int) -> User:
        """Return a user; an unknown one is a ValueError."""
        _check("user", [number], self._users)
        return self._users[number]

    def users(self, numbers: list[int] | None = None) -> list[User]:
        """Return the users of those numbers that exist, or all."""
        wanted = list(self._users) if numbers is None else numbers
        return [self._users[number] for number in wanted if number in self._users]

    def groups(self) -> dict[int, str]:
        """Return the groups; they are numbered from 1 as they appear."""
        return dict(enumerate(list(self._groups), 1))

    def _add_group(self, group: str) -> None:
        if group not in self._groups:
            self._groups.append(group)

    def create_token(
        self,
        user: User,
        *,
        ttl: float | None = None,
        description: str | None = None,
        value: str | None = None,
        listed: bool = True,
    ) -> Token:
        """Make an API key, or a login token if it has a time to live in seconds.

        A `value` that is chosen must be 32 hex digits that no other token has (a ValueError).
        """
        if value is not None and not _TOKEN.fullmatch(value):
            raise ValueError("A token is 32 hex digits (0-9, a-f).")
        with self._lock:
            if value in self._issued:
                raise ValueError("There is such a token already.")
            expires = None if ttl is None else time.time() + ttl
            value = value or secrets.token_hex(16)
            self._issued.append(value)
            token = Token(len(self._issued), user, value, description, expires, listed)
            self._tokens[value] = token
            return token

    def find(self, token: str) -> Token | None:
        """Return a valid token, and note that it was used."""
        with self._lock:
            found = self._tokens.get(token)
            if found is None or (found.expires is not None and found.expires <= time.time()):
                return None
            found.last_used = _now()
            return found

    def tokens(self, user: int) -> list[Token]:
        """Return all tokens of a user, newest first."""
        with self._lock:
            return [each for each in reversed(self._tokens.values()) if each.user.id == user]

    def keys(self, user: int) -> list[Token]:
        """Return the API keys of a user that are listed, newest first."""
        return [each for each in self.tokens(user) if each.expires is None and each.listed]

    def issued(self) -> list[str]:
        """Return every token that was ever made, valid or not."""
        return list(self._issued)

    def remove(self, token: str) -> None:
        """Revoke a token, if it is valid."""
        with self._lock:
            self._tokens.pop(token, None)


def _check(kind: str, wanted: Any, known: Any) -> None:
    if unknown := [str(each) for each in wanted if each not in known]:
        everything = ", ".join(map(str, known))
        raise ValueError(f"No such {kind}: {', '.join(unknown)}. Known: {everything}")
