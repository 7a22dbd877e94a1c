"""Read, write and delete the secret files that CAVEclient, cloud-volume and cloud-files use.

A file is a JSON object, key -> token, in ``$CLOUD_VOLUME_DIR/secrets`` or
``~/.cloudvolume/secrets``: ``{server}-cave-secret.json`` for one server,
``cave-secret.json`` for all. Writing is atomic and locked, and keeps every other key.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import TokenExists, TokenFileError
from ..origins import server_name, trusted_by_file
from ..runtime import warn_once
from ..shells import assignment
from ..tokens import DEFAULT_KEY, Hidden, check_token
from . import files, permissions
from .content import Changes, change, read_secrets, token_in
from .permissions import DoubtfulFile

DEFAULT_FILE = "cave-secret.json"
DEPRECATED_FILE = "chunkedgraph-secret.json"

_SERVER_SUFFIX = "-" + DEFAULT_FILE
# File names on Windows can't have a ":", so "@" stands for it. No host name has an "@".
_COLON = "@" if os.name == "nt" else ":"
# The tokens that cloud-volume accepts (GrapheneMetadata.parse_token).
_CLOUD_VOLUME_TOKEN = r"[0-9a-f]+|[A-Za-z0-9+/]+={0,2}"


class TokenStore:
    """The directory of secret files.

    :param directory: where the files are; None: ``$CLOUD_VOLUME_DIR/secrets``, else
        ``~/.cloudvolume/secrets``, looked up at each call.
    :raises ValueError: if ``directory`` is an empty string, which would mean the current directory.

    >>> import tempfile
    >>> store = TokenStore(tempfile.mkdtemp())
    >>> store.save("0123456789abcdef", "localhost:8443").name
    'localhost:8443-cave-secret.json'
    >>> store.load("localhost:8443")
    '0123456789abcdef'
    >>> store.delete("localhost:8443")
    True
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None):
        if directory is not None and not os.fspath(directory):
            raise ValueError("directory is empty: name one, or omit it to use the default.")
        self._directory = None if directory is None else Path(os.path.expanduser(directory))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.directory)!r})"

    @property
    def directory(self) -> Path:
        """The directory of the files, which may not exist yet."""
        if self._directory is not None:
            return self._directory
        return self._cloud_volume_dir() / "secrets"

    def _cloud_volume_dir(self) -> Path:
        if named := os.environ.get("CLOUD_VOLUME_DIR"):
            return Path(os.path.expanduser(named))  # a .env file may hold "~", unexpanded
        # Without HOME and a user name (in a container, in a service of Windows), "~" is not
        # expanded. In the current directory, another user may have made a "~", whose files we would
        # trust. So take a place where only an administrator can make one.
        return Path(os.environ.get("SYSTEMROOT", os.sep), os.path.expanduser("~/.cloudvolume"))

    def _usable_directory(self) -> Path:
        if self._directory is None and not (base := self._cloud_volume_dir()).is_absolute():
            problem = "a relative path in the variable CLOUD_VOLUME_DIR"
            whole = assignment("CLOUD_VOLUME_DIR", os.path.abspath(base))
            remedy = f"Name the whole path: {whole}"
            raise TokenFileError(base, problem, remedy)
        return self.directory

    def path_for(self, server: str | None = None) -> Path:
        """The path of a server's file, or of the default file.

        On Windows, ``@`` stands for the ``:`` before a port, which file names can't have there.

        :param server: ``host``, ``host:port`` or ``https://host:port``.
        :raises InvalidHostSpec: (also a :class:`ValueError`) if it is none of these.
        :raises TokenFileError: if ``CLOUD_VOLUME_DIR`` is a relative path.
        """
        prefix = "" if server is None else server_name(server).replace(":", _COLON) + "-"
        return self._usable_directory() / (prefix + DEFAULT_FILE)

    def servers(self) -> list[str]:
        """The servers that are trusted because they have a secret file of their own, sorted.

        A server whose file another user may have made is left out, with one warning.

        :raises TokenFileError: if the directory can't be listed.
        """
        found = []
        for server, doubt in self._judged():
            if doubt is None:
                found.append(server)
            else:
                warn_once(str(doubt))
        return found

    def doubtful(self) -> list[DoubtfulFile]:
        """The secret files that don't make their server trusted: another user may have made them.

        :raises TokenFileError: if the directory can't be listed.
        """
        return [doubt for _, doubt in self._judged() if doubt is not None]

    def own_files(self, names: Iterable[str] | None = None) -> dict[str, Path]:
        """Each server with a secret file of its own, trusted or not -> its path; sorted by server.

        :param names: the names in the directory; None: list it.
        :raises TokenFileError: if the directory can't be listed.
        """
        directory = self._usable_directory()
        names = files.names_in(directory) if names is None else names
        names = (name for name in names if name.endswith(_SERVER_SUFFIX))
        found = {name.removesuffix(_SERVER_SUFFIX).replace(_COLON, ":"): name for name in names}
        servers = sorted(filter(trusted_by_file, found))
        return {server: directory / found[server] for server in servers}

    def holding(self, token: str) -> list[Path]:
        """The secret files, under any name, that hold a token, under any key.

        A file that can't be read is left out; ``cave-auth doctor`` reports it.

        :raises TokenFileError: if the directory can't be listed.
        """
        directory, found = self._usable_directory(), []
        for name in sorted(files.names_in(directory)):
            if name.endswith((DEFAULT_FILE, DEPRECATED_FILE)):
                with contextlib.suppress(TokenFileError):
                    if _keys_of(read_secrets(directory / name), token, None):
                        found.append(directory / name)
        return found

    def _judged(self) -> Iterator[tuple[str, DoubtfulFile | None]]:
        """Each server with a file of its own, and the doubt about the file, if any."""
        owners = self._owners()
        for server, path in sorted(self.own_files().items()):
            yield server, permissions.doubt_about(path, server, owners)

    def _owners(self) -> frozenset[int]:
        """The ids of the users whose files make a server trusted."""
        named = [self._directory] if self._directory else []
        if os.environ.get("CLOUD_VOLUME_DIR"):
            named.append(self._cloud_volume_dir())
        return permissions.owners(Path(os.path.expanduser("~")), *named)

    def load(self, server: str | None = None, key: str = DEFAULT_KEY) -> str | None:
        """The token under a key of a server's file; None if the file or the key is missing.

        :param server: ``host``, ``host:port`` or ``https://host:port``; None: the default file.
        :param key: the key of the token in the file.
        :raises TokenFileError: if the file can't be read, is not a JSON object, or holds no valid
            token under the key.
        """
        path = self.path_for(server)
        return token_in(read_secrets(path) or {}, key, path)

    def save(
        self,
        token: str,
        server: str | None = None,
        key: str = DEFAULT_KEY,
        *,
        overwrite: bool = False,
    ) -> Path:
        """Save a token and return the path of the file.

        The write is atomic, under a lock shared with other processes. A new file has mode 0600,
        and a new directory 0700. An existing file keeps owner, group and mode, except the rights
        of others. The target of a link is written, and the link kept. Other keys are not changed.
        Saving a token that is already there changes nothing.

        :param token: letters, digits and ``-._~+/`` (RFC 6750).
        :param server: as for :meth:`load`. If you save a token for a server, you trust that server.
        :param key: the key to save it under.
        :param overwrite: whether to replace another token under this key.
        :raises InvalidToken: if the token can't be one.
        :raises TokenExists: if the key holds another token, and ``overwrite`` is False.
        :raises TokenFileError: if the file can't be read or written. It is not changed then.
        """
        token = Hidden(token) if isinstance(token, str) else token
        check_token(token, "the token to save")
        path = self.path_for(server)
        if not re.fullmatch(_CLOUD_VOLUME_TOKEN, token):
            warn_once(
                f"The token saved to {path} is neither hexadecimal nor base64, so CloudVolume will "
                "refuse it. Check that it was copied correctly, and save it again."
            )

        def decide(secrets: dict[str, Any]) -> Changes:
            if secrets.get(key) not in (None, "", token) and not overwrite:
                raise TokenExists(
                    path,
                    f"already holds another token under the key {key!r}",
                    "Pass overwrite=True to replace it, or choose another key.",
                )
            return {} if secrets.get(key) == token else {key: token}

        change(path, decide)
        return path

    def replace(
        self, old: str, new: str | None, server: str | None = None, key: str | None = None
    ) -> bool:
        """Replace a token in a file, if the file holds it; return whether it did.

        Unlike :meth:`save`, this never replaces a token that another process has just saved.

        :param old: the token to replace.
        :param new: the new token; None: delete the old one, as :meth:`delete` does.
        :param server: as for :meth:`load`.
        :param key: replace it under this key only; None: under each key that holds it.
        :raises InvalidToken: if the new token can't be one.
        :raises TokenFileError: if the file can't be read or written.

        >>> import tempfile
        >>> store = TokenStore(tempfile.mkdtemp())
        >>> _ = store.save("0123456789abcdef")
        >>> store.replace("0000000000000000", "1111111111111111")
        False
        >>> store.replace("0123456789abcdef", "1111111111111111")
        True
        """
        old = Hidden(old)
        if new is not None:
            new = Hidden(check_token(new, "the token to save"))
        path = self.path_for(server)
        if not _keys_of(read_secrets(path), old, key):
            return False
        return change(path, lambda secrets: dict.fromkeys(_keys_of(secrets, old, key), new))

    def delete(self, server: str | None = None, key: str = DEFAULT_KEY) -> bool:
        """Delete a token, and with the last key the file. Return whether there was one.

        :param server: as for :meth:`load`.
        :param key: the key of the token in the file.
        :raises TokenFileError: if the file can't be read or written.
        """
        path = self.path_for(server)
        if read_secrets(path) is None:
            return False
        return change(path, lambda secrets: {key: None} if key in secrets else {})


def _keys_of(secrets: dict[str, Any] | None, token: str, key: str | None) -> list[str]:
    """The keys under which a file holds a token.

    :param key: look under this key only; None: under all keys.
    """
    keys = (secrets or {}) if key is None else [key]
    return [each for each in keys if (secrets or {}).get(each) == token]
