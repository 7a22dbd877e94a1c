"""Which token a host gets, which hosts are trusted by default, and when to look again.

Nothing is read before it is needed. What was read is remembered and looked at again when the
environment changed, when this process wrote a secret file, and otherwise once a second at most.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import tokens
from .errors import InvalidHostSpec, TokenFileError
from .tokens import DEFAULT_KEY, DEPRECATED_FILE, TokenStore, check_token, read_secrets, token_in
from .trust import DEPLOYMENTS, HostSpec, Origin, TrustedHosts, auth_server_of

logger = logging.getLogger("cave_auth_adapter")

LOOK_INTERVAL = 1.0  # seconds between two looks at the same file or directory
_RACY = 2.0  # seconds; time stamps are this coarse on the coarsest file systems (FAT)


class Token:
    """A token and where it came from. Only :attr:`value` shows it; ``repr`` does not."""

    __slots__ = ("source", "value")

    def __init__(self, value: str, source: str):
        self.value = value
        self.source = source

    def __repr__(self) -> str:
        return f"<token from {self.source}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


class Watch:
    """A file or directory whose changes are noticed, at one ``stat`` per interval at most."""

    def __init__(self, path: Path):
        self._path = path
        self._signature: object = None
        self._version = 0
        self._look_at = 0.0
        self._writes = -1

    def version(self) -> int:
        """A number that changes when the file does."""
        if time.monotonic() >= self._look_at or self._writes != tokens.writes:
            self._look()
        return self._version

    def _look(self) -> None:
        # Set first, so that other threads don't look too. They may: it costs a stat, no more.
        self._look_at = time.monotonic() + LOOK_INTERVAL
        self._writes = tokens.writes
        try:
            stat = os.stat(self._path)
        except OSError:
            signature: object = None
        else:
            signature = (stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_dev)
            if stat.st_mtime > time.time() - _RACY:
                # It may change again within the grain of its time stamp and keep its size, as
                # tokens do; so it counts as changed at the next look too ("racy git" problem).
                signature = object()
        if signature != self._signature:
            self._signature = signature
            self._version += 1


class Credentials:
    """Which token a host gets: the first that exists of a stated order of sources.

    ``token=`` · ``token_file=``/``token_key=`` · ``CAVE_TOKEN`` · ``CAVE_TOKEN_FILE`` · the
    secret file of the host · that of its deployment's auth server · ``cave-secret.json`` ·
    ``chunkedgraph-secret.json`` (deprecated).

    :param token: given in code; outranks all else.
    :param token_file: given in code; outranks all but ``token``.
    :param token_key: the key in the files; another key than the default is a choice made in
        code, and so outranks ``CAVE_TOKEN``.
    :raises InvalidToken: (also a :class:`ValueError`) if ``token`` can't be one.
    """

    def __init__(
        self,
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        token_key: str = DEFAULT_KEY,
    ):
        given = "the token given in code"
        self._token = None if token is None else Token(check_token(token, given), given)
        self._file = None if token_file is None else Path(token_file).expanduser()
        self._key = token_key
        self._store = TokenStore()
        self._remembered: dict[Origin, _Remembered] = {}
        self._given_out: dict[Origin, set[Token]] = {}
        self._watches: dict[Path, Watch] = {}
        self._lock = threading.Lock()
        _all_credentials.add(self)

    def token_for(self, origin: Origin) -> Token | None:
        """The token for a trusted host; None if no source has one.

        :raises InvalidToken: if ``CAVE_TOKEN`` can't be a token.
        :raises TokenFileError: if a secret file can't be read, holds no token where it should,
            or was named by the caller and is missing.
        """
        if self._token is not None:
            return self._token
        remembered = self._remembered.get(origin)
        if remembered is None or not remembered.is_current():
            remembered = self._look(origin)
        return remembered.token

    def gave_out(self, origin: Origin, token: str) -> bool:
        """Whether a token is, or was earlier in this process, the one for a host."""
        candidate = Token(token, "a request")
        return candidate == self._token or candidate in self._given_out.get(origin, ())

    def _look(self, origin: Origin) -> _Remembered:
        with self._lock:
            remembered = self._remembered.get(origin)
            if remembered is not None and remembered.is_current():
                return remembered  # another thread looked while this one waited
            environment, watched = _environment(), [self._watched(self._store.directory)]
            token = self._search(origin, watched)
            if token is not None:
                self._given_out.setdefault(origin, set()).add(token)
            remembered = _Remembered(token, environment, tuple(watched))
            self._remembered[origin] = remembered
            return remembered

    def _search(self, origin: Origin, watched: list[_Watched]) -> Token | None:
        """Go through the sources; note which files the answer rests on."""
        if self._file is not None:
            return self._read(self._file, watched, named_by="token_file=")
        if self._key == DEFAULT_KEY and (value := os.environ.get("CAVE_TOKEN")):
            source = "the variable CAVE_TOKEN"
            return Token(check_token(value, source), source)
        if named := os.environ.get("CAVE_TOKEN_FILE"):
            return self._read(Path(named).expanduser(), watched, named_by="CAVE_TOKEN_FILE")
        for path in self._files_for(origin):
            if token := self._read(path, watched):
                return token
        if self._key != DEFAULT_KEY:
            raise TokenFileError(
                self._store.path_for(),
                f"has no key {self._key!r}, and no other secret file for {origin.server} has it",
                f"Save it: cave_auth_adapter.TokenStore().save(token, key={self._key!r}).",
            )
        return None

    def _files_for(self, origin: Origin) -> Iterator[Path]:
        yield self._store.path_for(origin.server)
        if auth_server := auth_server_of(origin):
            yield self._store.path_for(auth_server)
        yield self._store.path_for()
        yield self._store.directory / DEPRECATED_FILE

    def _read(self, path: Path, watched: list[_Watched], named_by: str = "") -> Token | None:
        """The token in a file; a file that the caller named must have one."""
        entry = self._watched(path)  # before the file is read, so that no change is missed
        secrets = read_secrets(path)
        if secrets is None:
            if named_by:
                raise TokenFileError(path, f"is named by {named_by} and does not exist", _NAMED)
            return None
        watched.append(entry)
        value = token_in(secrets, self._key, path)
        if value is None:
            if named_by:
                problem = f"is named by {named_by} and has no token under the key {self._key!r}"
                raise TokenFileError(path, problem, _NAMED)
            return None
        if path.name == DEPRECATED_FILE:
            _warn_deprecated(path)
        return Token(value, f"the file {path}, key {self._key!r}")

    def _watched(self, path: Path) -> _Watched:
        watch = self._watches.setdefault(path, Watch(path))
        return watch, watch.version()


class KnownHosts:
    """The hosts that are trusted without being named in code.

    The known deployments, every server that has a secret file of its own, and the hosts in the
    variable ``CAVE_AUTH_HOSTS`` (comma separated).
    """

    def __init__(self) -> None:
        self._store = TokenStore()
        self._current: _Hosts | None = None

    def trusted_origin(self, url: str) -> Origin | None:
        """The origin of a URL that may see a token; None for every other URL.

        :raises InvalidHostSpec: (also a :class:`ValueError`) if ``CAVE_AUTH_HOSTS`` has an entry
            that is not a host specification.
        """
        named, directory = os.environ.get("CAVE_AUTH_HOSTS"), os.environ.get("CLOUD_VOLUME_DIR")
        current = self._current
        if current is None or not current.is_current(named, directory):
            current = self._current = self._look(named, directory)
        return current.hosts.trusted_origin(url)

    def _look(self, named: str | None, directory: str | None) -> _Hosts:
        watch = Watch(self._store.directory)
        version = watch.version()  # before the directory is listed, so that no change is missed
        return _Hosts(TrustedHosts(self._specs(named or "")), named, directory, watch, version)

    def _specs(self, named: str) -> Iterator[str]:
        for server, hosts in DEPLOYMENTS.items():
            yield server
            yield from hosts
        # A directory that can't be listed makes no server trusted. Whoever needs a token from
        # it gets the error then; a request to another host is none of our business.
        with contextlib.suppress(TokenFileError):
            yield from self._store.servers()
        for entry in filter(None, (entry.strip() for entry in named.split(","))):
            try:
                HostSpec.parse(entry)
            except InvalidHostSpec as error:
                raise InvalidHostSpec(f"The variable CAVE_AUTH_HOSTS: {error}") from None
            yield entry


class _Hosts(NamedTuple):
    """The hosts that were found, and on what they rest."""

    hosts: TrustedHosts
    named: str | None
    directory: str | None
    watch: Watch
    version: int

    def is_current(self, named: str | None, directory: str | None) -> bool:
        return (
            self.named == named
            and self.directory == directory
            and self.watch.version() == self.version
        )


_Watched = tuple[Watch, int]
_NAMED = 'Name a file that holds {"token": "…"}, or the key under which it holds the token.'


class _Remembered(NamedTuple):
    """What a search found, and on what it rests."""

    token: Token | None
    environment: tuple[str | None, ...]
    watched: tuple[_Watched, ...]

    def is_current(self) -> bool:
        return self.environment == _environment() and all(
            watch.version() == version for watch, version in self.watched
        )


def _environment() -> tuple[str | None, ...]:
    get = os.environ.get
    return get("CAVE_TOKEN"), get("CAVE_TOKEN_FILE"), get("CLOUD_VOLUME_DIR")


@functools.cache
def _warn_deprecated(path: Path) -> None:
    logger.warning(
        "The token comes from %s, a name that is deprecated. Rename the file to %s.",
        path,
        path.with_name(tokens.DEFAULT_FILE),
    )


_all_credentials: weakref.WeakSet[Credentials] = weakref.WeakSet()


def _renew_locks() -> None:
    for credentials in _all_credentials:
        credentials._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # A thread of the parent may hold the lock at the moment of the fork; in the child nobody
    # would ever release it.
    os.register_at_fork(after_in_child=_renew_locks)
