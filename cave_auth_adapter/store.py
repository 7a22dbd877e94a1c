"""The secret files that CAVEclient, cloud-volume and cloud-files read: read, write, delete.

A file is a JSON object, key -> token, in ``$CLOUD_VOLUME_DIR/secrets`` or
``~/.cloudvolume/secrets``: ``{server}-cave-secret.json`` for one server,
``cave-secret.json`` for all. Writing is atomic and locked, and keeps every other key.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import glob
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import InvalidToken, TokenExists, TokenFileError
from .origins import server_name, trusted_by_file
from .runtime import warn_once
from .tokens import DEFAULT_KEY, check_token

DEFAULT_FILE = "cave-secret.json"
DEPRECATED_FILE = "chunkedgraph-secret.json"

_SERVER_SUFFIX = "-" + DEFAULT_FILE
# Seconds. A write takes milliseconds; who waits for longer than this waits for a stuck process. It
# allows for a crowd: whoever finds the lock free gets it, not whoever has waited longest.
_LOCK_TIMEOUT = 30.0
_LOCK_POLL = 0.01
_MAX_BYTES = 1 << 20  # a secret file is some hundred bytes; nothing bigger is read into memory
# What cloud-volume takes for a token (GrapheneMetadata.parse_token); it refuses any other.
_CLOUD_VOLUME_TOKEN = re.compile(r"[0-9a-f]+\Z|[A-Za-z0-9+/]+={0,2}\Z", re.ASCII)

#: Counts the writes of this process, so that whoever remembers a file knows at once to look again.
writes = 0


class TokenStore:
    """The directory of secret files.

    :param directory: where the files are; None: ``$CLOUD_VOLUME_DIR/secrets``, else
        ``~/.cloudvolume/secrets``, looked up anew at each call.
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
        cloud_volume_dir = os.environ.get("CLOUD_VOLUME_DIR")
        # For a user of no name and without HOME (a container), "~" stays as it is. Below the
        # current directory, which may be anybody's, it would make whom they please a trusted host.
        default = Path(os.sep, os.path.expanduser("~/.cloudvolume"))
        return Path(cloud_volume_dir or default) / "secrets"

    def path_for(self, server: str | None = None) -> Path:
        """The file of a server; the default file without one.

        :param server: ``host``, ``host:port`` or ``https://host:port``.
        :raises InvalidHostSpec: (also a :class:`ValueError`) if it is none of these.
        """
        if server is None:
            return self.directory / DEFAULT_FILE
        return self.directory / (server_name(server) + _SERVER_SUFFIX)

    def servers(self) -> list[str]:
        """The servers that are trusted because they have a secret file of their own, sorted.

        :raises TokenFileError: if the directory can't be listed.
        """
        return sorted(self.own_files())

    def own_files(self) -> dict[str, Path]:
        """Each server that has a secret file of its own -> the file, whether it is trusted or not.

        :raises TokenFileError: if the directory can't be listed.
        """
        try:
            names = os.listdir(self.directory)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise TokenFileError(self.directory, _reason(error), _MAKE_READABLE) from error
        found = (n.removesuffix(_SERVER_SUFFIX) for n in names if n.endswith(_SERVER_SUFFIX))
        return {server: self.path_for(server) for server in found if trusted_by_file(server)}

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

        The write is atomic, under a lock shared with other processes, mode 0600 in a directory
        made 0700; links are followed to their target; other keys are kept. Saving what is
        already there changes nothing.

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
        with _locked(path) as target:
            secrets = read_secrets(target) or {}
            present = secrets.get(key)
            if present == token:
                return path
            if present not in (None, "") and not overwrite:
                raise TokenExists(
                    path,
                    f"holds another token under the key {key!r} already",
                    "Pass overwrite=True to replace it, or choose another key.",
                )
            _write(target, {**secrets, key: token})
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
        with _locked(path) as target:
            secrets = read_secrets(target) or {}
            found = _keys_of(secrets, old, key)
            for each in found:
                if new is None:
                    del secrets[each]
                else:
                    secrets[each] = new
            if found:
                _write(target, secrets)
            if found and not secrets:
                path.unlink(missing_ok=True)  # see delete()
        return bool(found)

    def delete(self, server: str | None = None, key: str = DEFAULT_KEY) -> bool:
        """Delete a token; the file goes with its last key. Return whether there was one.

        :param server: as for :meth:`load`.
        :param key: the key of the token in the file.
        :raises TokenFileError: if the file can't be read or written.
        """
        path = self.path_for(server)
        if read_secrets(path) is None:
            return False
        with _locked(path) as target:
            secrets = read_secrets(target) or {}
            if key not in secrets:
                return False
            del secrets[key]
            _write(target, secrets)
            if not secrets:
                # An empty file would still make its server a trusted one.
                path.unlink(missing_ok=True)
        return True


def read_secrets(path: Path) -> dict[str, Any] | None:
    """The JSON object in a secret file; None if there is no such file.

    :raises TokenFileError: if it can't be read or is not a JSON object.
    """
    content = _read(path)
    return None if content is None else _parse(_decode(content, path), path)


def _read(path: Path) -> bytes | None:
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise TokenFileError(path, "is not a file but a pipe or a device", _MAKE_LASTING)
            if os.name == "posix" and mode & 0o077:
                warn_once(f"{path} can be read by others. Keep it to yourself: chmod 600 {path}")
            content = file.read(_MAX_BYTES + 1)
    except TokenFileError:
        raise
    except OSError as error:
        # A host name may have 253 characters, too many for the name of a file with a suffix.
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            return None
        raise TokenFileError(path, _reason(error), _MAKE_READABLE) from error
    if len(content) > _MAX_BYTES:
        raise TokenFileError(path, f"has more than {_MAX_BYTES} bytes", _EXPECTED)
    return content


def _decode(content: bytes, path: Path) -> str:
    """The text of a file; editors on Windows put a byte order mark before it, or write UTF-16."""
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return content.decode("utf-16")
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError:  # not chained: it carries the whole document, and so the token
        raise TokenFileError(path, "is not text in UTF-8", _EXPECTED) from None


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        secrets = json.loads(text)
    except (ValueError, RecursionError) as error:
        # Not chained: a JSONDecodeError carries the whole document, and so the token.
        where = ""
        if isinstance(error, json.JSONDecodeError):
            where = f" ({error.msg}, line {error.lineno})"
        raise TokenFileError(path, f"is not JSON{where}", _EXPECTED) from None
    if not isinstance(secrets, dict):
        raise TokenFileError(
            path, f"holds a JSON {type(secrets).__name__} and not an object", _EXPECTED
        )
    return secrets


def _open_at_once(path: str, flags: int) -> int:
    """Open a file; a named pipe that nobody writes to would make us wait without end."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_named(path: Path) -> dict[str, Any] | None:
    """The content of a file that the caller named: a JSON object, or the token and nothing else.

    :return: the object; ``{"token": …}`` for a file that holds the bare token, which may end in a
        newline; None if there is no such file.
    :raises TokenFileError: if it can't be read, or holds something else.
    """
    content = _read(path)
    if content is None:
        return None
    text = _decode(content, path)
    if text.lstrip().startswith("{"):
        return _parse(text, path)
    try:
        return {DEFAULT_KEY: check_token(text.rstrip("\r\n"), "the token in it")}
    except InvalidToken as error:
        raise TokenFileError(path, str(error).rstrip("."), _NAMED_FILE) from None


def _keys_of(secrets: dict[str, Any] | None, token: str, key: str | None) -> list[str]:
    """The keys under which a file holds a token; of one key, if that is named."""
    keys = (secrets or {}) if key is None else [key]
    return [each for each in keys if (secrets or {}).get(each) == token]


def token_in(secrets: dict[str, Any], key: str, path: Path) -> str | None:
    """The token under a key of a secret file's content; None where it has none.

    :raises TokenFileError: if what is there can't be a token.
    """
    token = secrets.get(key)
    if token is None or token == "":  # CAVEclient saves null where it had no token
        return None
    try:
        return check_token(token, f"the value of {key!r}")
    except InvalidToken as error:
        raise TokenFileError(path, str(error).rstrip("."), _EXPECTED) from None


_EXPECTED = (
    'A secret file holds one JSON object: {"token": "…"}. Mend it by hand, or move it away '
    "and log in again: cave-auth login."
)
_NAMED_FILE = 'The file holds the token and nothing else, or a JSON object: {"token": "…"}.'
_MAKE_LASTING = (
    "It is read more than once: save the token to a file, or give it in the variable CAVE_TOKEN, "
    'as in CAVE_TOKEN="$(command)".'
)
_MAKE_READABLE = "Put a file there that you can read (chmod u+rw), in place of what is there."
_MAKE_WRITABLE = (
    "Save to a directory that you can write, and name it with the variable CLOUD_VOLUME_DIR, "
    "or give the token in the variable CAVE_TOKEN."
)


def _reason(error: OSError) -> str:
    return f"can't be used: {(error.strerror or type(error).__name__).lower()}"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Hold the lock of the file that a path leads to, and turn what goes wrong into our error.

    The target of a link is what is locked and written: a link stays a link.
    """
    from filelock import FileLock, Timeout  # takes longer to import than all the rest of us

    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(target.with_name(f".{target.name}.lock"), timeout=_LOCK_TIMEOUT, mode=0o600)
        with lock.acquire(poll_interval=_LOCK_POLL):
            yield target
    except Timeout:
        problem = f"another process has held its lock for {_LOCK_TIMEOUT:.0f} seconds"
        raise TokenFileError(path, problem, "End that process, and save again.") from None
    except TokenFileError:
        raise
    except OSError as error:
        raise TokenFileError(path, _reason(error), _MAKE_WRITABLE) from error


def _write(target: Path, secrets: dict[str, Any]) -> None:
    """Replace a file at once, whole, so that whoever reads it, or is killed, sees old or new."""
    global writes
    try:
        content = json.dumps(secrets)
    except RecursionError:  # what json can read, it can't always write
        raise TokenFileError(target, "is nested too deep to be written again", _EXPECTED) from None
    prefix = f".{target.name}.new-"
    # We hold the lock, so a temporary file that is there belongs to a process that was killed.
    for stale in target.parent.glob(glob.escape(prefix) + "*"):
        stale.unlink(missing_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=prefix, dir=target.parent)  # mode 0600
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    finally:
        writes += 1
    _sync_directory(target.parent)


def _sync_directory(directory: Path) -> None:
    """Make a rename last (fsync(2)): the new name is in the directory, not in the file."""
    if os.name == "nt":  # a directory can't be opened there, and needs not be
        return
    with contextlib.suppress(OSError):  # some file systems can't; the rename has been done
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
