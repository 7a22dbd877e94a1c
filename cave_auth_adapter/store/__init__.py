"""The secret files that CAVEclient, cloud-volume and cloud-files read: read, write, delete.

A file is a JSON object, key -> token, in ``$CLOUD_VOLUME_DIR/secrets`` or
``~/.cloudvolume/secrets``: ``{server}-cave-secret.json`` for one server,
``cave-secret.json`` for all. Writing is atomic and locked, and keeps every other key.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import InvalidToken, TokenExists, TokenFileError
from ..origins import server_name, trusted_by_file
from ..runtime import warn_once
from ..shells import assignment
from ..tokens import DEFAULT_KEY, check_token
from . import files, permissions
from .document import Document, RepeatedKey, Secrets
from .permissions import DoubtfulFile

DEFAULT_FILE = "cave-secret.json"
DEPRECATED_FILE = "chunkedgraph-secret.json"

_SERVER_SUFFIX = "-" + DEFAULT_FILE
# A port is written behind "@" where ":" can't be in the name of a file. No host has an "@".
_COLON = "@" if os.name == "nt" else ":"
_MAX_BYTES = 1 << 20  # a secret file is some hundred bytes; nothing bigger is read into memory
# What cloud-volume takes for a token (GrapheneMetadata.parse_token); it refuses any other.
_CLOUD_VOLUME_TOKEN = re.compile(r"[0-9a-f]+\Z|[A-Za-z0-9+/]+={0,2}\Z", re.ASCII)

#: Counts the writes of this process, so that rooms which remember a file look at it again at once.
writes = 0


class TokenStore:
    """The directory of secret files.

    :param directory: where the files are; None: ``$CLOUD_VOLUME_DIR/secrets``, else
        ``~/.cloudvolume/secrets``, looked up at each call.
    :raises ValueError: if ``directory`` is empty: that would be the current directory.

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
            raise ValueError("directory is empty: name one, or leave it out for the default.")
        self._directory = None if directory is None else Path(os.path.expanduser(directory))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.directory)!r})"

    @property
    def directory(self) -> Path:
        """The directory that holds the files; it need not exist."""
        if self._directory is not None:
            return self._directory
        return self._cloud_volume_dir() / "secrets"

    def _cloud_volume_dir(self) -> Path:
        if named := os.environ.get("CLOUD_VOLUME_DIR"):
            return Path(os.path.expanduser(named))  # "~" in a .env file, no shell has seen it
        # For a user of no name and without HOME (a container), "~" stays as it is. A directory of
        # that name below the current one may be anybody's, and its files would make hosts trusted.
        return Path(os.sep, os.path.expanduser("~/.cloudvolume"))

    def _usable_directory(self) -> Path:
        if self._directory is None and not (base := self._cloud_volume_dir()).is_absolute():
            problem = "a relative path in the variable CLOUD_VOLUME_DIR"
            whole = assignment("CLOUD_VOLUME_DIR", os.path.abspath(base))
            remedy = f"Name the whole path: {whole}"
            raise TokenFileError(base, problem, remedy)
        return self.directory

    def path_for(self, server: str | None = None) -> Path:
        """The file of a server; the default file without one.

        On Windows the port is behind ``@`` and not behind ``:``, which no file's name has there.

        :param server: ``host``, ``host:port`` or ``https://host:port``.
        :raises InvalidHostSpec: (also a :class:`ValueError`) if it is none of these.
        :raises TokenFileError: if ``CLOUD_VOLUME_DIR`` is a relative path.
        """
        prefix = "" if server is None else server_name(server).replace(":", _COLON) + "-"
        return self._usable_directory() / (prefix + DEFAULT_FILE)

    def servers(self) -> list[str]:
        """The servers that are trusted because they have a secret file of their own, sorted.

        Where another user may have made the file, its server is left out, with one warning.

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
        """The secret files that make no server trusted, as another user may have made them.

        :raises TokenFileError: if the directory can't be listed.
        """
        return [doubt for _, doubt in self._judged() if doubt is not None]

    def own_files(self, names: Iterable[str] | None = None) -> dict[str, Path]:
        """Each server that has a secret file of its own -> the file, whether it is trusted or not.

        :param names: what the directory holds; None: list it.
        :raises TokenFileError: if the directory can't be listed.
        """
        directory = self._usable_directory()
        names = files.names_in(directory) if names is None else names
        names = (name for name in names if name.endswith(_SERVER_SUFFIX))
        found = {name.removesuffix(_SERVER_SUFFIX).replace(_COLON, ":"): name for name in names}
        return {server: directory / found[server] for server in found if trusted_by_file(server)}

    def holding(self, token: str) -> list[Path]:
        """The files of CAVE tokens that hold a token, under any key and whatever their names say.

        A file that can't be read is left out; ``cave-auth doctor`` lists those.

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
        """Each server with a file of its own, and what speaks against the file."""
        owners = self._owners()
        for server, path in sorted(self.own_files().items()):
            yield server, permissions.doubt_about(path, server, owners)

    def _owners(self) -> frozenset[int]:
        """The users whose files make a server trusted."""
        named = [self._directory] if self._directory else []
        if os.environ.get("CLOUD_VOLUME_DIR"):
            named.append(self._cloud_volume_dir())
        return permissions.owners(Path(os.path.expanduser("~")), *named)

    def load(self, server: str | None = None, key: str = DEFAULT_KEY) -> str | None:
        """The token under a key of a server's file; None if the file or the key is missing.

        :param server: ``host``, ``host:port`` or ``https://host:port``; None: the default file.
        :param key: the key of the token in the file.
        :raises TokenFileError: if the file can't be read, is not a JSON object, or what it
            holds under the key is not a token.
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
        in a directory made 0700; an existing one keeps owner, group and mode, less others' bits.
        Links are followed to their target. Other keys stay as they are, to the last character.
        Saving what is already there changes nothing.

        :param token: letters, digits and ``-._~+/``, as RFC 6750 has it.
        :param server: as for :meth:`load`. To save a token for a server is to trust that server.
        :param key: the key to save it under.
        :param overwrite: whether another token under this key may be replaced.
        :raises InvalidToken: if the token can't be one.
        :raises TokenFileError: if the key holds another token and ``overwrite`` is False, or the
            file can't be read or written; the old content then stands.
        """
        check_token(token, "the token to save")
        path = self.path_for(server)
        if not _CLOUD_VOLUME_TOKEN.match(token):
            warn_once(
                f"The token saved to {path} is neither hexadecimal nor base64, as those of CAVE "
                "are. CloudVolume will refuse it. If it was cut off or mixed up, save it again."
            )

        def decide(secrets: dict[str, Any]) -> Changes:
            present = secrets.get(key)
            if present not in (None, "", token) and not overwrite:
                raise TokenExists(
                    path,
                    f"holds another token under the key {key!r} already",
                    "Pass overwrite=True to replace it, or choose another key.",
                )
            return {} if present == token else {key: token}

        change(path, decide)
        return path

    def replace(
        self, old: str, new: str | None, server: str | None = None, key: str | None = None
    ) -> bool:
        """Put a token in place of another where a file holds that one; return whether it did.

        Unlike :meth:`save`, this never touches a token that somebody else has saved meanwhile.

        :param old: the token to replace.
        :param new: the token to put there; None: delete the old one, as :meth:`delete` does.
        :param server: as for :meth:`load`.
        :param key: replace it under this key alone; None: under each key that holds it.
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
        if new is not None:
            check_token(new, "the token to save")
        path = self.path_for(server)
        if not _keys_of(read_secrets(path), old, key):
            return False
        return change(path, lambda secrets: dict.fromkeys(_keys_of(secrets, old, key), new))

    def delete(self, server: str | None = None, key: str = DEFAULT_KEY) -> bool:
        """Delete a token; the file goes with its last key. Return whether there was one.

        :param server: as for :meth:`load`.
        :param key: the key of the token in the file.
        :raises TokenFileError: if the file can't be read or written.
        """
        path = self.path_for(server)
        if read_secrets(path) is None:
            return False
        return change(path, lambda secrets: {key: None} if key in secrets else {})


def read_secrets(path: Path) -> dict[str, Any] | None:
    """The JSON object in a secret file; None if there is no such file.

    :raises TokenFileError: if it can't be read or is not a JSON object.
    """
    document = _read(path)
    return None if document is None else _parse(document, path)


def read_named(path: Path) -> dict[str, Any] | None:
    """The content of a file that the caller named: a JSON object, or the token and nothing else.

    :return: the object; ``{"token": …}`` for a file that holds the bare token, which may end in a
        newline; None if there is no such file.
    :raises TokenFileError: if it can't be read, or holds something else.
    """
    document = _read(path)
    if document is None:
        return None
    if document.text.lstrip().startswith("{"):
        return _parse(document, path)
    try:
        return Secrets(token=check_token(document.text.rstrip("\r\n"), "the token in it"))
    except InvalidToken as error:
        raise TokenFileError(path, str(error).rstrip("."), _NAMED_FILE) from None


def _read(path: Path) -> Document | None:
    document = _open(path)
    if document is not None:  # not in _open, which is called under a lock; a log handler may wait
        permissions.warn_if_exposed(path)
    return document


# The errors below are not chained: a JSONDecodeError and a UnicodeDecodeError carry the whole
# document, and so the token; and no local variable shows it in a traceback.


def _open(path: Path) -> Document | None:
    content = files.read(path, _MAX_BYTES + 1)
    if content is None:
        return None
    if len(content) > _MAX_BYTES:
        del content
        raise TokenFileError(path, f"has more than {_MAX_BYTES} bytes", _EXPECTED)
    try:
        return Document.decode(content)
    except UnicodeDecodeError:
        del content
        raise TokenFileError(path, "is not text in UTF-8", _EXPECTED) from None


def _parse(document: Document, path: Path) -> Secrets:
    try:
        return document.secrets()
    except json.JSONDecodeError as error:
        problem = f"is not JSON ({error.msg}, line {error.lineno})"
    except TypeError as error:
        problem = f"holds a JSON {error} and not an object"
    except (ValueError, RecursionError):  # a number of thousands of digits; thousands of brackets
        problem = "is not JSON"
    raise TokenFileError(path, problem, _EXPECTED)


def _keys_of(secrets: dict[str, Any] | None, token: str, key: str | None) -> list[str]:
    """The keys under which a file holds a token; of one key, if that is named."""
    keys = (secrets or {}) if key is None else [key]
    return [each for each in keys if (secrets or {}).get(each) == token]


def token_in(secrets: Mapping[str, Any], key: str, path: Path) -> str | None:
    """The token under a key of a secret file's content; None where it has none.

    :raises TokenFileError: if what is there can't be a token.
    """
    if secrets.get(key) in (None, ""):  # CAVEclient saves null where it had no token
        return None
    try:
        return check_token(secrets[key], f"the value of {key!r}")
    except InvalidToken as error:
        raise TokenFileError(path, str(error).rstrip("."), _EXPECTED) from None


_EXPECTED = (
    'A secret file holds one JSON object: {"token": "…"}. Fix the file, or delete it '
    "and log in again: cave-auth login."
)
_NAMED_FILE = 'Save the token to it and nothing else, or a JSON object: {"token": "…"}.'
_KEEP_ONE = "No change is safe. Edit the file so that each key is there once."


Changes = dict[str, str | None]  # key -> new value; None: none any more


def change(path: Path, decide: Callable[[dict[str, Any]], Changes]) -> bool:
    """Change keys of a file under its lock, as a function of what it holds; return if it did.

    :raises TokenFileError: if the file can't be read or written; the old content then stands.
    """
    with files.locked(path) as target:
        document = _open(target) or Document()
        changes = decide(_parse(document, target))
        if not changes:
            return False
        try:
            for key, token in changes.items():
                document = (
                    document.without_key(key) if token is None else document.with_key(key, token)
                )
            is_empty = not document.secrets()
        except RepeatedKey as error:
            raise TokenFileError(target, f"holds {error}", _KEEP_ONE) from None
        except RecursionError:  # what can be read at one depth of the stack can't at another
            raise TokenFileError(target, "is nested too deep", _EXPECTED) from None
        _write(target, document)
        if is_empty:
            files.remove(path)  # an empty file would still make its server a trusted one
    return True


def _write(target: Path, document: Document) -> None:
    global writes
    try:
        files.replace(target, document.text.encode())
    finally:
        writes += 1
