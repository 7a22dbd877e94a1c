"""Decide which secret files a save, a login, a logout and a rotation write.

A deployment is known by its auth server (:data:`~cave_auth_adapter.origins.DEPLOYMENTS`). A host
in no known deployment is a deployment of its own. But if its file holds the token that is replaced
or forgotten, as for a lab's data server, that file is changed as well.

``store/ownership.py`` says whose token is in ``cave-secret.json``. That file is written for the
default deployment, and for another one only if the user asks for it, or has asked before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from .errors import TokenFileError
from .origins import (
    DEFAULT_DEPLOYMENT,
    DEPLOYMENTS,
    HostSpec,
    auth_server_of,
    deployment_of,
    server_name,
)
from .store import TokenStore, read_secrets
from .tokens import DEFAULT_KEY


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
        # Don't fail if another file can't be used: `cave-auth doctor` reports it.
        if to_default:
            with contextlib.suppress(TokenFileError):
                paths.append(self._store.save(token, key=self._key, overwrite=True))
                if same_account and replaced is not None and replaced != token:
                    self._store.replace(replaced, token)  # under other keys, too
        if replaced is not None and replaced != token:
            paths += self._replace(replaced, token, None if same_account else self._key)
        return list(dict.fromkeys(paths))

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
        ours = None, self.deployment
        return [
            name
            for name in self._holders(token)
            if auth_server_of(HostSpec.parse(name).origin) in ours
        ]

    def _holders(self, token: str) -> Iterator[str]:
        """The servers whose own file holds a token, under any key."""
        for name in sorted(self._store.own_files()):
            with contextlib.suppress(TokenFileError):
                if token in (read_secrets(self._store.path_for(name)) or {}).values():
                    yield name

    def _may_write_default(
        self, replaced: str | None, same_account: bool, default: bool, overwrite: bool
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
