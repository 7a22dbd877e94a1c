"""Choose the secret files that ``AuthClient.save_token`` writes, and write them."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from ..errors import TokenExists, TokenFileError
from ..origins import DEPLOYMENTS, HostSpec, deployment_of
from ..runtime import logger
from ..saving import DeploymentFiles
from ..service import base_url
from ..store import TokenStore
from ..store.content import read_secrets

_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


class ClientFiles:
    """The secret files that a client writes for its server.

    :param server_address: the auth server, ``https://host``.
    :param key: the key in the files.
    """

    def __init__(self, server_address: str, key: str):
        self._server_address = server_address
        self._key = key
        self._own = TokenStore().path_for(server_address)
        self._shared = TokenStore().path_for()  # cave-secret.json

    @property
    def own_token(self) -> str | None:
        """The token in the server's own file; None if it has none."""
        token: str | None = _token_under(self._own, self._key)
        return token

    def to_save(
        self,
        named: str | os.PathLike[str] | None,
        used: str | os.PathLike[str] | None,
        to_server_file: bool,
    ) -> list[Path]:
        """The files that a save writes; the last is the one to use afterwards.

        :param named: the file that the caller of the save named.
        :param used: the file that the client reads its token from.
        :param to_server_file: whether to write the server's own file.
        :raises TokenExists: if only ``cave-secret.json`` is left, and it has a token that may be
            another server's.
        """
        own, shared, key = self._own, self._shared, self._key
        path = None if named is None else Path(named).expanduser()
        if path is None and used is not None:
            path = Path(used).expanduser()
            path = None if path == own else path  # after saving, we use the server's own file
        if path is not None:
            return [own, path] if to_server_file and own != path else [path]
        files = DeploymentFiles(self._server_address, key)
        if files.is_default:
            return [shared, own] if to_server_file else [own if own.exists() else shared]
        if to_server_file or own.exists():
            # If `login --default` has saved this server's token there, replace it, too.
            present = _token_under(shared, key)
            is_copy = present is not None and present == self.own_token
            return [shared, own] if is_copy and files.owns(present) else [own]
        if _token_under(shared, key) is not None:
            raise TokenExists(
                shared,
                f"holds a token under the key {key!r} that may be another server's",
                "Name a file with token_file=, or leave out write_to_server_file=False.",
            )
        return [shared]

    def refuse_to_replace(self, paths: list[Path], token: str) -> None:
        """Check that a save replaces no other token.

        :param paths: what :meth:`to_save` returned.
        :raises TokenExists: for the first file that has another token.
        """
        for path in paths:
            if _token_under(path, self._key) in (None, token):
                continue
            remedy = "Pass overwrite=True to replace it, or choose another key."
            if path == self._shared:
                server = self._server_address.partition("://")[2]
                remedy = (
                    "Pass overwrite=True to replace it. To keep it, save your token for this "
                    f"server only: cave_auth_adapter.TokenStore().save(token, {server!r})."
                )
            elif path != paths[-1]:
                remedy = (
                    "Pass overwrite=True to replace it, or write_to_server_file=False to leave it."
                )
            problem = f"already holds another token under the key {self._key!r}"
            raise TokenExists(path, problem, remedy)

    def save(self, path: Path, token: str, *, overwrite: bool, ignore_readonly: bool) -> bool:
        """Save a token; return False if the file is read-only and that is ignored."""
        try:
            _SecretFile(path).save(token, key=self._key, overwrite=overwrite)
        except TokenFileError as error:
            cause = error.__cause__
            if ignore_readonly and isinstance(cause, OSError) and cause.errno in _READ_ONLY:
                logger.warning("The token was not saved. %s", error)
                return False
            raise
        return True

    def save_for_local(
        self,
        server: str,
        token: str,
        *,
        replaced: str | None,
        is_named: bool,
        ignore_readonly: bool,
    ) -> None:
        """Save a token for a trusted local server, unless its token may be another deployment's.

        :param replaced: the token that was replaced in the auth server's own file.
        :param is_named: whether the caller named the local server.
        """
        path = TokenStore().path_for(base_url(server))
        present = _token_under(path, self._key)
        if present == token or self._is_ours(present, replaced, server, is_named):
            self.save(path, token, overwrite=True, ignore_readonly=ignore_readonly)
        else:
            logger.warning(
                "The token was not saved for %s, which has another token, perhaps of another "
                "deployment. If it accepts tokens of %s: cave-auth trust %s --server %s",
                *(server, self._server_address, server, self._server_address),
            )

    def _is_ours(
        self, present: str | None, replaced: str | None, local_server: str, is_named: bool
    ) -> bool:
        """Whether the token in a local server's file belongs to this deployment.

        :param present: that token, if any.
        """
        home, deployment = (
            deployment_of(HostSpec.parse(base_url(server)).origin)
            for server in (self._server_address, local_server)
        )
        if deployment in DEPLOYMENTS or deployment == home:
            return deployment == home
        # In no known deployment, it belongs to this one if the caller says so, or by its token.
        return is_named or present in (None, replaced)


class _SecretFile(TokenStore):
    """A store with one secret file, at any path."""

    def __init__(self, path: Path):
        super().__init__(path.parent)
        self._path = path

    def path_for(self, server: str | None = None) -> Path:
        return self._path


def _token_under(path: Path, key: str) -> Any:
    """The value under a key of a secret file; None for an empty one, as CAVEclient saves it."""
    return (read_secrets(path) or {}).get(key) or None
