"""What the auth service knows: users, their groups and permissions, terms of service, tokens."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

LOGIN_SECONDS = 7 * 24 * 60 * 60
TERMS = {1: "Sandbox Terms of Service"}


@dataclass(frozen=True)
class Dataset:
    """What permissions are given for."""

    id: int
    tos: int | None = None  #: the terms of service that it needs accepted


DATASETS = {
    "sandbox": Dataset(1),
    "sandbox_terms": Dataset(2, tos=1),
    "sandbox_restricted": Dataset(3),
}


def _now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass
class User:
    """A person, or a service that has an account."""

    id: int
    name: str
    email: str
    groups: list[str] = field(default_factory=list)
    permissions: dict[str, list[str]] = field(default_factory=dict)
    accepted_tos: set[int] = field(default_factory=set)
    admin: bool = False
    service_account: bool = False
    created: datetime = field(default_factory=_now)

    def profile(self) -> dict[str, Any]:
        """Return what `user/me` tells."""
        return {**self.public_profile(), "admin": self.admin, "email": self.email} | {
            "admin_datasets": [],
            "gdpr_consent": False,
        }

    def public_profile(self) -> dict[str, Any]:
        """Return what others may know."""
        return {
            "id": self.id,
            "name": self.name,
            "service_account": self.service_account,
            "created": self.created,
            "pi": "",
            "affiliations": [[]],
        }

    def cache(self) -> dict[str, Any]:
        """Return what `user/cache` tells the services, which keep it for a while."""
        missing = [
            {
                "dataset_id": DATASETS[name].id,
                "dataset_name": name,
                "tos_id": tos,
                "tos_name": TERMS[tos],
            }
            for name in self.permissions
            if (tos := DATASETS[name].tos) and tos not in self.accepted_tos
        ]
        closed = {entry["dataset_name"] for entry in missing}
        granted = {name: list(what) for name, what in self.permissions.items()}
        open_now = {name: what for name, what in granted.items() if name not in closed}
        levels = {"view": 1, "edit": 2}
        return {
            "id": self.id,
            "parent_id": None,
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
            "datasets_admin": [],
            "groups_admin": [],
        }


@dataclass
class Token:
    """An API key, which lasts, or a login token, which expires."""

    id: int
    user: User
    token: str
    description: str | None = None
    expires: float | None = None  #: seconds since the epoch; None: an API key
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

    def create_user(
        self,
        name: str,
        groups: list[str],
        permissions: dict[str, list[str]],
        accepted_tos: list[int],
        admin: bool = False,
        service_account: bool = False,
    ) -> User:
        """Add a user, with the e-mail address of its name at `sandbox.example`."""
        if unknown := set(permissions) - set(DATASETS):
            raise ValueError(f"No such dataset: {', '.join(unknown)}. Known: {', '.join(DATASETS)}")
        with self._lock:
            number = len(self._users) + 1
            email = name.lower().replace(" ", ".") + "@sandbox.example"
            self._users[number] = user = User(
                number,
                name,
                email,
                groups,
                permissions,
                set(accepted_tos),
                admin,
                service_account,
            )
            self._groups += [group for group in groups if group not in self._groups]
            return user

    def user(self, number: int) -> User:
        """Return a user; an unknown one is a KeyError."""
        return self._users[number]

    def users(self, numbers: list[int] | None = None) -> list[User]:
        """Return the users of those numbers that exist, or all."""
        wanted = list(self._users) if numbers is None else numbers
        return [self._users[number] for number in wanted if number in self._users]

    def members(self, group: int) -> list[User]:
        """Return the users of a group; groups are numbered from 1 as they appear."""
        if not 0 < group <= len(self._groups):
            return []
        return [user for user in self.users() if self._groups[group - 1] in user.groups]

    def create_token(
        self, user: User, *, ttl: float | None = None, description: str | None = None
    ) -> Token:
        """Make an API key, or a login token if it has a time to live in seconds."""
        with self._lock:
            expires = None if ttl is None else time.time() + ttl
            value = secrets.token_hex(16)
            self._issued.append(value)
            token = Token(len(self._issued), user, value, description, expires)
            self._tokens[value] = token
            return token

    def find(self, token: str) -> Token | None:
        """Return a token that is alive, noting that it was used."""
        with self._lock:
            found = self._tokens.get(token)
            if found is None or (found.expires is not None and found.expires <= time.time()):
                return None
            found.last_used = _now()
            return found

    def keys(self, user: int) -> list[Token]:
        """Return the API keys of a user, newest first."""
        with self._lock:
            own = [key for key in self._tokens.values() if key.user.id == user]
        return [key for key in reversed(own) if key.expires is None]

    def issued(self) -> list[str]:
        """Return every token there ever was, whether it is alive or not."""
        return list(self._issued)

    def remove(self, token: str) -> None:
        """End a token, if it is alive."""
        with self._lock:
            self._tokens.pop(token, None)
