"""Clients of the auth service and the info service, with types and time limits.

The auth service knows users, API keys, permissions, terms of service, groups and tables; the info
service knows datastacks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from ..errors import InvalidToken, ServerUnreachable, TokenNotFound, TokenRefused, UnexpectedAnswer
from ..refusals.answers import all_covered
from ..tokens import check_token
from .jsonapi import DEFAULT_SERVER, DEFAULT_TIMEOUT, JsonApi, base_url
from .shapes import (
    KEY,
    MISSING_TERMS,
    NAMED,
    NUMBER,
    PERMISSIONS,
    TERMS,
    USER,
    ApiKey,
    MissingTerms,
    Permissions,
    Terms,
    User,
    has_shape,
)

__all__ = [
    "DEFAULT_SERVER",
    "DEFAULT_TIMEOUT",
    "ApiKey",
    "AuthServer",
    "InfoServer",
    "JsonApi",
    "MissingTerms",
    "Permissions",
    "ServerUnreachable",
    "Terms",
    "UnexpectedAnswer",
    "User",
    "base_url",
]

#: The most characters in the description of a key. For a longer one, the auth service answers with
#: status 500, but makes a key that nobody can list or revoke.
LONGEST_DESCRIPTION = 120

_API = "/auth/api/v1"


class AuthServer(JsonApi):
    """The auth service of a CAVE deployment.

    :param server_address: ``https://host``, ``host`` or ``host:port``. By naming a server, you
        trust it. Redirects to other servers are not followed.
    :param auth: signs the requests; None: ``CaveAuth(hosts=[server_address])``.
    :param timeout: for a whole call, in seconds.
    :raises InvalidHostSpec: (also a :class:`ValueError`) if the address is not one.

    Every method that asks the server raises :class:`TokenNotFound`, :class:`TokenRefused`,
    :class:`TermsNotAccepted` or :class:`PermissionMissing` if it refuses. It raises
    :class:`ServerUnreachable` if the server does not answer in time, and
    :class:`UnexpectedAnswer` if it can't understand the answer.

    No message or ``repr`` shows a token. Only :attr:`ApiKey.token` and the return value of
    :meth:`create_key` hold one.

    >>> server = AuthServer("global.daf-apis.com", timeout=5)
    >>> server
    AuthServer('https://global.daf-apis.com')
    >>> server.settings_page
    'https://global.daf-apis.com/sticky_auth/settings/tokens'
    """

    @property
    def settings_page(self) -> str:
        """The address of the page where users see, make and revoke their tokens."""
        return self.server_address + "/sticky_auth/settings/tokens"

    @property
    def create_page(self) -> str:
        """The address of the page that makes and shows a new API key, after a login."""
        return self.server_address + _API + "/create_token"

    # --- The user --------------------------------------------------------------------------

    def me(self) -> User:
        """The user that the token belongs to."""
        user: User = self._object("/user/me", USER)
        return user

    def permissions(self, *, fresh: bool = False) -> Permissions:
        """The user, with groups, permissions per dataset and terms of service to accept.

        :param fresh: whether to ask for the current permissions. Services use cached ones, which
            can be some minutes old.
        """
        path = "/my_permissions" if fresh else "/user/cache"
        permissions: Permissions = self._object(path, PERMISSIONS)
        return permissions

    # --- Keys ------------------------------------------------------------------------------

    def api_keys(self) -> list[ApiKey]:
        """The user's API keys, without login tokens."""
        entries = self._checked(self.call("GET", _API + "/user/token"), [KEY], "a list of keys")
        tokens = [entry["token"] for entry in entries]
        known = ApiKey.__dataclass_fields__.keys() - {"token"}
        keys = []
        for token, entry in zip(tokens, self._covered(entries, tokens), strict=True):
            entry.setdefault("user_id", 0)
            keys.append(ApiKey(**{k: v for k, v in entry.items() if k in known}, token=token))
        return keys

    def create_key(self, description: str) -> str:
        """Make an API key and return it. It is valid until it is revoked.

        :param description: what it is for, in at most 120 characters. Lists of keys show it.
        :raises ValueError: if the description is longer.
        """
        if len(description) > LONGEST_DESCRIPTION:
            raise ValueError(f"A description has at most {LONGEST_DESCRIPTION} characters.")
        answer = self.call("POST", _API + "/user/token", json={"description": description})
        with contextlib.suppress(InvalidToken):
            return check_token(answer, "the answer")
        raise self.unexpected("something that is not a token")

    def revoke_key(self, key_id: int) -> None:
        """Revoke an API key. Services that cache it accept it for up to 300 more seconds.

        :param key_id: :attr:`ApiKey.id`, not the token.
        """
        self.call("DELETE", f"{_API}/user/token/{int(key_id)}")

    def time_to_live(self, token: str | None = None) -> int | None:
        """The seconds until a token expires; None for an API key, which does not expire.

        :param token: a token of the same user; None: the one that signs the requests.
        :raises TokenRefused: also if the token is unknown, or another user's.
        """
        if token is None:
            token = self._auth.token_for(self.server_address)
            if token is None:
                raise TokenNotFound(
                    f"There is no token for {self.server_address}. {self.how_to_get_one()}",
                    host=self.server_address.partition("://")[2],
                )
        check_token(token, "the token to ask about")
        # The service wants the token in the path of the URL (neuroglancer_auth/server.py), so its
        # access log has it. We keep it out of messages, logs and responses here.
        try:
            seconds = self.call("GET", f"{_API}/user/token/{token}/ttl", hidden=token)
        except UnexpectedAnswer as error:
            if error.response is None or error.response.status_code != 404:
                raise
            raise TokenRefused(
                f"{self.server_address} does not know that token, or it belongs to another user. "
                "To list your keys: cave-auth keys list",
                response=error.response,
            ) from None
        self._checked(seconds, NUMBER, "a number of seconds")
        return None if seconds < 0 else int(seconds)

    def log_out(self) -> None:
        """Revoke the login token that signs the requests.

        :raises UnexpectedAnswer: with status 422, if it is an API key; use :meth:`revoke_key`.
        """
        self.call("GET", _API + "/logout")

    # --- Terms of service ------------------------------------------------------------------

    def terms(self) -> list[Terms]:
        """All terms of service of the deployment, with their texts."""
        terms: list[Any] = self._objects("/tos", TERMS)
        return terms

    def missing_terms(self) -> list[MissingTerms]:
        """The terms of service of datasets that the user has not accepted."""
        missing: list[Any] = self._objects("/user/missing", MISSING_TERMS)
        return missing

    def accept_terms(self, tos_id: int) -> None:
        """Accept terms of service for the user. Show the user the text first.

        :param tos_id: :attr:`MissingTerms.tos_id`.
        """
        # As Neuroglancer does: without client=, the confirmation page fails with status 500.
        self.ask("POST", f"/sticky_auth/api/v1/tos/{int(tos_id)}/accept", params={"client": "ng"})

    # --- Users, groups, tables -------------------------------------------------------------

    def users(self, user_ids: Iterable[int]) -> list[User]:
        """Users by id; unknown ones are left out. The account needs administrator's rights."""
        ids = _joined(user_ids)
        # Without an id, the service would list every user, in pages.
        users: list[Any] = self._objects("/user", USER, {"id": ids}) if ids else []
        return users

    def usernames(self, user_ids: Iterable[int]) -> dict[int, str]:
        """Users' names by id; unknown ones are left out."""
        ids = _joined(user_ids)
        entries = self._objects("/username", NAMED, {"id": ids}) if ids else []
        return {entry["id"]: entry["name"] for entry in entries}

    def group_users(self, group_id: int) -> list[User]:
        """The users of a group; none if there is no such group. The account must be an admin."""
        users: list[Any] = self._objects(f"/group/{int(group_id)}/user", USER)
        return users

    def dataset_of(self, service: str, table: str) -> str | None:
        """The dataset that a table of a service belongs to; None if it belongs to none.

        :param service: the namespace of the table, such as ``"pychunkedgraph"``.
        """
        path = f"{_API}/service/{_part(service)}/table/{_part(table)}/dataset"
        try:
            dataset = self.call("GET", path)
        except UnexpectedAnswer as error:
            if error.response is None or error.response.status_code != 404:
                raise
            return None
        return str(self._checked(dataset, str, "the name of a dataset"))

    def has_public(self, table: str) -> bool:
        """Whether some data of a table can be read without a token."""
        answer = self.call("GET", f"{_API}/table/{_part(table)}/has_public")
        return bool(self._checked(answer, bool, "yes or no"))

    def is_public_root(self, table: str, root_id: int) -> bool:
        """Whether a root of a table can be read without a token."""
        answer = self.call("GET", f"{_API}/table/{_part(table)}/root/{int(root_id)}/is_public")
        return bool(self._checked(answer, bool, "yes or no"))

    # --- Answers ---------------------------------------------------------------------------

    def _object(self, path: str, shape: Any) -> Any:
        return self._covered(self._checked(self.call("GET", _API + path), shape, "a user"))

    def _objects(self, path: str, shape: Any, params: dict[str, str] | None = None) -> list[Any]:
        answer = self.call("GET", _API + path, params=params)
        entries: list[Any] = self._covered(self._checked(answer, [shape], "a list"))
        return entries

    def _checked(self, answer: Any, shape: Any, what: str) -> Any:
        if not has_shape(answer, shape):
            raise self.unexpected(f"something that is not {what}")
        return answer

    def _covered(self, answer: Any, more: Iterable[str] = ()) -> Any:
        """An answer with tokens masked: a server may repeat ours in any field."""
        return all_covered(answer, {*self._auth.credentials.known(), *more})


class InfoServer(JsonApi):
    """The info service of a CAVE deployment, which lists datastacks and their servers.

    The parameters and errors are those of :class:`AuthServer`.

    >>> InfoServer("global.daf-apis.com")
    InfoServer('https://global.daf-apis.com')
    """

    def datastacks(self) -> list[str]:
        """The names of the datastacks that the account can see."""
        names = self.call("GET", "/info/api/v2/datastacks")
        if not has_shape(names, [str]):
            raise self.unexpected("something that is not a list of datastacks")
        return list(names)

    def datastack(self, name: str) -> dict[str, Any]:
        """The description of a datastack.

        :raises TermsNotAccepted: if the user has not accepted its terms of service.
        """
        info = self.call("GET", f"/info/api/v2/datastack/full/{_part(name)}")
        if not has_shape(info, {}):
            raise self.unexpected("something that is not a datastack")
        return dict(info)

    def local_server(self, name: str) -> str | None:
        """The server of a datastack's own services, as the info service names it.

        This does not make the server trusted.
        """
        server = self.datastack(name).get("local_server")
        return server if isinstance(server, str) else None


def _joined(user_ids: Iterable[int]) -> str:
    return ",".join(str(int(user_id)) for user_id in user_ids)


def _part(name: str) -> str:
    """A name, quoted as one segment of a path."""
    return quote(name, safe="")
