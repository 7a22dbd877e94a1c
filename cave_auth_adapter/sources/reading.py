"""Read secret files, and read them again only if they may have changed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from ..errors import TokenFileError
from ..origins import DEPLOYMENTS
from ..store import TokenStore
from ..store.content import Held, held, read_named, read_secrets, token_in, token_of
from ..store.files import is_below_a_file
from ..store.ownership import contents_of
from ..tokens import Kind, Source, Token
from ..watch import Watch, Watched
from .endings import ENDS_FILE, end_of

_REWRITE = 0.02  # seconds; CAVEclient empties a file before it writes it
_REMEMBERED = 512  # files


class _Listing(NamedTuple):
    """The content of the directory of secret files.

    :ivar names: in lower case, for file systems that ignore case; None if the directory can't be
        listed, so that each file must be tried.
    :ivar own: each server that has, or may have, a file of its own -> the file.
    :ivar own_files: one watch for all these files. There may be thousands, and each request asks
        its watches whether something has changed.
    """

    watched: Watched
    names: frozenset[str] | None
    own: dict[str, Path]
    own_files: Watch


class Reader:
    """Reads secret files, and caches their content.

    It does not open a file that its directory does not list, or that has not changed.
    """

    def __init__(self) -> None:
        self._store = TokenStore()
        self._watches: dict[Path, Watch] = {}
        self._contents: dict[Path, tuple[Watched, Held]] = {}
        self._listing: _Listing | None = None

    def path_for(self, server: str | None = None) -> Path:
        """The secret file of a server; the default file without one."""
        return self._store.path_for(server)

    def look(self, *, afresh: bool) -> Look:
        """Begin to look at the files.

        :param afresh: whether to open the host's own files even if no time stamp has changed.
        """
        return Look(self, self._list(), afresh)

    def watch(self, path: Path) -> Watched:
        """Note the state of a path. Call it before reading, so that no change is missed."""
        watch = self._watches.get(path)
        if watch is None:
            if len(self._watches) >= _REMEMBERED:
                self._watches.clear()
            watch = self._watches.setdefault(path, Watch(path))
        return watch, watch.look()

    def _list(self) -> _Listing:
        watched, listing = self.watch(self._store.directory), self._listing
        if listing is None or listing.watched != watched or not watched[0].is_settled:
            names: list[str] | None = []
            try:
                names = os.listdir(self._store.directory)
            except FileNotFoundError:
                if is_below_a_file(self._store.directory):
                    names = None
            except OSError:
                names = None
            self._listing = listing = self._listing_of(names, watched)
        return listing

    def _listing_of(self, names: list[str] | None, watched: Watched) -> _Listing:
        if names is None:
            own = {server: self._store.path_for(server) for server in DEPLOYMENTS}
            return _Listing(watched, None, own, Watch(*own.values()))
        lower, own = frozenset(name.casefold() for name in names), self._store.own_files(names)
        return _Listing(watched, lower, own, Watch(*own.values()))

    def read(self, path: Path, key: str, *, afresh: bool) -> tuple[Watched, Token | None]:
        """The token under a key of a secret file, or None; and the state of the file."""
        watched, content = self.content(path, afresh=afresh)
        return watched, token_of(content, key, path)

    def content(self, path: Path, *, afresh: bool) -> tuple[Watched, Held]:
        """The content of a secret file, and the state of the file."""
        watched, known = self.watch(path), self._contents.get(path)
        if known is None or known[0] != watched or afresh or not watched[0].is_settled:
            known = watched, held(read_secrets(path) or {}, path)
            if len(self._contents) >= _REMEMBERED:
                self._contents.clear()
            self._contents[path] = known
        return known


class Look:
    """One look at the secret files.

    :ivar watched: the files that were looked at.
    """

    def __init__(self, reader: Reader, listing: _Listing, afresh: bool):
        self._reader = reader
        self._listing = listing
        self._afresh = afresh
        self.watched = [listing.watched]

    def path_for(self, server: str | None = None) -> Path:
        """The secret file of a server; the default file without one."""
        return self._reader.path_for(server)

    def token(self, path: Path, key: str) -> Token | None:
        """The token under a key of a file in the directory; None if there is none.

        :raises TokenFileError: if the file can't be read, or its value is not a token.
        """
        if not self._may_exist(path):
            return None
        watched, token = self._reader.read(path, key, afresh=self._afresh)
        self.watched.append(watched)
        return token

    def _may_exist(self, path: Path) -> bool:
        names = self._listing.names
        return names is None or path.name.casefold() in names

    def end_of(self, token: Token) -> float:
        """When a token expires, in seconds since 1970; infinity if that is unknown."""
        directory, names = self._reader.path_for().parent, self._listing.names
        if names is not None and ENDS_FILE not in names:
            return float("inf")
        return end_of(token.value, directory)

    def own_contents(self, key: str) -> dict[str, Held | None]:
        """Each server that has a file of its own with a token -> the content of the file.

        It is None if the file can't be read, also a moment later.

        :param key: the key whose value must be a token, if there is one.
        """
        files = self._listing.own_files
        self.watched.append((files, files.look()))
        return contents_of(self._listing.own, key, self._read_twice)

    def _read_twice(self, path: Path) -> Held:
        try:
            return self._reader.content(path, afresh=False)[1]
        except TokenFileError:
            time.sleep(_REWRITE)
            return self._reader.content(path, afresh=False)[1]

    def named(self, path: Path, key: str, kind: Kind) -> Token:
        """The token in a file that the caller named.

        :raises TokenFileError: if there is no such file, or no token in it.
        """
        self.watched.append(self._reader.watch(path))
        content = read_named(path)
        value = token_in(content or {}, key, path)
        if value is not None:
            return Token(value, Source(kind, path, key))
        is_there = content is not None
        del content  # it may hold other tokens, and tracebacks can show local variables
        if is_there:
            problem = f"is named by {kind} and has no token under the key {key!r}"
            raise TokenFileError(path, problem, _NAMED)
        raise TokenFileError(path, f"is named by {kind} and does not exist", _NAMED)


_NAMED = 'Name a file that holds {"token": "…"}, or the key under which it holds the token.'
