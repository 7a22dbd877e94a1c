"""Decide which secret files a save, a login, a logout and a rotation write.

A deployment is known by its auth server (:data:`~cave_auth_adapter.origins.DEPLOYMENTS`). A host
in no known deployment is a deployment of its own. But if its file holds the token that is replaced
or forgotten, as for a lab's data server, that file is changed as well.

``store/ownership.py`` says whose token is in ``cave-secret.json``. That file is written for the
default deployment, and for another one only if the user asks for it, or has asked before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator
from pathlib import Path

from .errors import InvalidToken, TokenFileError
from .origins import (
    DEFAULT_DEPLOYMENT,
    DEPLOYMENTS,
    HostSpec,
    auth_server_of,
    deployment_of,
    server_name,
)
from .store import TokenStore
from .store.content import read_secrets
from .store.ownership import ownership_of_default_file
from .tokens import DEFAULT_KEY, check_token, spellings

# Keys that name no account; the last two are in the file that the token page offers to download.
NO_NAMES = DEFAULT_KEY, "description", "middle_auth_url"


def named(server: str) -> dict[str, str]:
    """The names of accounts in a server's secret file -> their tokens.

    :raises TokenFileError: if the file can't be read.
    """
    found = {}
    for name, value in (read_secrets(TokenStore().path_for(server)) or {}).items():
        with contextlib.suppress(InvalidToken):
            found[name] = check_token(value, name)
    return {name: token for name, token in found.items() if name not in NO_NAMES}


def saved_name(name: str, names: Container[str]) -> str | None:
    """The one of some names that a person means; None if there is none."""
    return next((each for each in spellings(name) if each in names), None)


class DeploymentFiles:
    """The secret files that may be written for one server: those of its deployment only.

    :param server: ``host``, ``host:port`` or ``https://host:port``.
    :param key: the key of the token in the files.

    >>> files = DeploymentFiles("proofreading.zetta.ai")
    >>> files.is_default
    False
    """

    def __init__(self, server: str, key: str = DEFAULT_KEY):
        self.server = server_name(server)
        self.deployment = _deployment(self.server)
        self.is_default = self.deployment == DEFAULT_DEPLOYMENT
        self._key = key
        self._store = TokenStore()

    @property
    def default_token(self) -> str | None:
        """The token in ``cave-secret.json``; None if there is none.

        :raises TokenFileError: if it can't be read.
        """
        return self._store.load(key=self._key)

    @property
    def in_use(self) -> str | None:
        """The token that all tools find for the server; None if there is none.

        It is in the server's own file. That of the default deployment can be in
        ``cave-secret.json`` instead.

        :raises TokenFileError: if the server's own file can't be read.
        """
        own = self._store.load(self.server)
        if own is not None or not self.is_default:
            return own
        with contextlib.suppress(TokenFileError):  # `cave-auth doctor` reports it
            whose = ownership_of_default_file(self._store)
            if whose and whose.serves(HostSpec.parse(self.server).origin, is_named=False):
                return self._store.load()
        return None

    def owners_of(self, token: str) -> set[str]:
        """The deployments whose own file holds a token."""
        return {_deployment(name) for name in self._holders(token)}

    def owns(self, token: str) -> bool:
        """Whether a token is known to belong to this deployment, and to no other known one."""
        owners = self.owners_of(token)
        return self.deployment in owners and not owners & DEPLOYMENTS.keys() - {self.deployment}

    def known_servers(self) -> list[str]:
        """The servers with a secret file that the table lists for this deployment.

        The auth server itself is left out.
        """
        return [
            name
            for name in sorted(self._store.own_files())
            if auth_server_of(HostSpec.parse(name).origin) == self.deployment
            and name not in (self.deployment, self.server)
        ]

    def save(
        self,
        token: str,
        *,
        replaced: str | None = None,
        same_account: bool = False,
        default: bool = False,
        overwrite: bool = False,
    ) -> list[Path]:
        """Save a token for the server, and in each file of the deployment that has the old one.

        :param replaced: the old token.
        :param same_account: whether the server says that the old token is the same account's. Then
            it is replaced under other keys, too.
        :param default: whether to save the token in ``cave-secret.json`` for another deployment
            than the default one, if the file holds no token yet.
        :param overwrite: whether the default deployment may replace any token in that file.
        :return: the files that hold the token now, the server's own file first.
        :raises TokenFileError: if the server's own file can't be written.
        """
        to_default = self._may_write_default(replaced, same_account, default, overwrite)
        paths = [self._store.save(token, self.server, self._key, overwrite=True)]
        paths += self._save_elsewhere(
            token, replaced, to_default=to_default, same_account=same_account
        )
        return list(dict.fromkeys(paths))

    def switch(self, token: str, present: str | None) -> list[Path]:
        """Put the token of another account where all tools look.

        The server's own file comes last: until it is written, the same call does all of it again.

        :param present: the token that is in use, and whose place it takes.
        :return: the files that hold the token now.
        :raises TokenExists: if another process has just saved another token. It stays.
        :raises TokenFileError: if the server's own file can't be written.
        """
        to_default = self._may_write_default(present)
        paths = self._save_elsewhere(token, present, to_default=to_default)
        own = self._store.path_for(self.server)
        if present is None or not self._store.replace(present, token, self.server, self._key):
            self._store.save(token, self.server, self._key)
        return list(dict.fromkeys([own, *paths]))

    def _save_elsewhere(
        self, token: str, replaced: str | None, *, to_default: bool, same_account: bool = False
    ) -> list[Path]:
        """Save a token in other files than the server's own.

        It doesn't fail if one can't be used: `cave-auth doctor` reports it.
        """
        paths = []
        if to_default:
            with contextlib.suppress(TokenFileError):
                paths.append(self._store.save(token, key=self._key, overwrite=True))
        if replaced is None or replaced == token:
            return paths
        if to_default and same_account:
            with contextlib.suppress(TokenFileError):
                self._store.replace(replaced, token)  # under other keys, too
        return paths + self._replace(replaced, token, None if same_account else self._key)

    def forget(self, token: str, *, accepted: bool = False) -> list[Path]:
        """Delete a token from the deployment's files; return the files that had it.

        ``cave-secret.json`` keeps it, unless the token is known to belong to this deployment.

        :param accepted: whether the server has accepted the token.
        """
        paths = []
        if self.owns(token) or self._is_default_and_nobody_elses(token, accepted):
            with contextlib.suppress(TokenFileError):
                # First, because the other files show whose token it is.
                if self._store.replace(token, None):
                    paths.append(self._store.path_for())
        return paths + self._replace(token, None, None)

    def _replace(self, old: str, new: str | None, key: str | None) -> list[Path]:
        paths = []
        for name in self._own_holders(old):
            with contextlib.suppress(TokenFileError):
                if self._store.replace(old, new, name, key):
                    paths.append(self._store.path_for(name))
        return paths

    def _own_holders(self, token: str) -> list[str]:
        """The servers of the deployment whose own file holds a token; the server itself last."""
        ours = None, self.deployment
        found = [
            name
            for name in self._holders(token)
            if auth_server_of(HostSpec.parse(name).origin) in ours
        ]
        return sorted(found, key=lambda name: name == self.server)

    def _holders(self, token: str) -> Iterator[str]:
        """The servers whose own file holds a token, under any key."""
        for name in sorted(self._store.own_files()):
            with contextlib.suppress(TokenFileError):
                if token in (read_secrets(self._store.path_for(name)) or {}).values():
                    yield name

    def _may_write_default(
        self,
        replaced: str | None,
        same_account: bool = False,
        default: bool = False,
        overwrite: bool = False,
    ) -> bool:
        if self._key != DEFAULT_KEY:  # not the account in use
            return False
        try:
            present = self.default_token
        except TokenFileError:
            return False
        if present is None:
            return self.is_default or default
        if self.is_default and overwrite:
            return True
        return present == replaced and (
            self.owns(present) or self._is_default_and_nobody_elses(present, same_account)
        )

    def _is_default_and_nobody_elses(self, token: str, accepted: bool) -> bool:
        """Whether the default deployment accepts a token that no other deployment's file holds.

        Another server's answer does not count: it could claim a token that is not its own.
        """
        return self.is_default and accepted and not self.owners_of(token)


def _deployment(server: str) -> str:
    return deployment_of(HostSpec.parse(server).origin)
