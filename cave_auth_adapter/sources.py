"""Which token a host gets, which hosts are trusted by default, and when to look again.

Nothing is read before it is needed. What was read is remembered and looked at again when the
environment changed, when this process wrote a secret file, and otherwise once a second at most.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import store
from .bridges import keyring
from .errors import TokenFileError
from .origins import Origin, auth_server_of
from .runtime import warn_once
from .store import DEFAULT_FILE, DEPRECATED_FILE, TokenStore, read_named, read_secrets, token_in
from .tokens import DEFAULT_KEY, Kind, Source, Token, check_token
from .watch import Watch, environment

_QUIET = 10.0  # seconds in which a refused token is not looked up again without any other sign
_REWRITE = 0.02  # seconds; CAVEclient empties a file before it writes it


class Credentials:
    """Which token a host gets: the first that exists of a stated order of sources.

    ``token=`` · ``token_file=``/``token_key=`` · ``CAVE_TOKEN`` · ``CAVE_TOKEN_FILE`` · the
    secret file of the host · that of its deployment's auth server · ``cave-secret.json`` ·
    ``chunkedgraph-secret.json`` (deprecated) · the keyring, where ``CAVE_AUTH_KEYRING`` is set.

    :param token: given in code; outranks all else. A :class:`Token` tells where it is from.
    :param token_file: given in code; outranks all but ``token``.
    :param token_key: the key in the files; another key than the default is a choice made in
        code, and so outranks ``CAVE_TOKEN``.
    :raises InvalidToken: (also a :class:`ValueError`) if ``token`` can't be one.
    """

    def __init__(
        self,
        token: str | Token | None = None,
        token_file: str | os.PathLike[str] | None = None,
        token_key: str = DEFAULT_KEY,
    ):
        if not isinstance(token_key, str):
            raise TypeError(f"token_key is a string, not {type(token_key).__name__}")
        if token is not None and not isinstance(token, Token):
            token = Token(check_token(token, "the token given in code"), Source("token="))
        self._token = token
        self._file = None if token_file is None else Path(os.path.expanduser(token_file))
        self._key = token_key
        self._store = TokenStore()
        self._remembered: dict[Origin, _Remembered] = {}
        self._given_out: dict[Origin, tuple[Token, ...]] = {}
        if self._token is None:  # what the store gave out, it gave out for all who ask it alike
            self._given_out = _given_out.setdefault((self._file, self._key), self._given_out)
        self._quiet_until: dict[Origin, float] = {}
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

    def recognise(self, origin: Origin, value: str) -> Token | None:
        """The token of that value, if it is, or was earlier in this process, one for a host."""
        if self._token is not None and self._token.value == value:
            return self._token
        for token in self._given_out.get(origin, ()):
            if token.value == value:
                return token
        return None

    def known(self) -> set[str]:
        """Every token that is, or was earlier in this process, the one for some host."""
        given_out = (token for tokens in tuple(self._given_out.values()) for token in tokens)
        return {token.value for token in (self._token, *given_out) if token}

    def after_refusal(self, origin: Origin, refused: Token | None) -> Token | None:
        """Another token than the one that a host refused, if there is one by now.

        The sources are consulted once for all threads that wait. Where they have nothing new, they
        are left in peace for a while; a change of a file is noticed all the same, see
        :class:`Watch`.

        :param refused: what was sent; None if the request had no token.
        :raises InvalidToken, TokenFileError: as :meth:`token_for`.
        """
        token = self.token_for(origin)
        if token != refused:
            return token
        if self._token is not None:
            return None
        with self._lock:
            token = self._remembered[origin].token
            if token != refused:
                return token  # another thread looked while this one waited
            if time.monotonic() < self._quiet_until.get(origin, 0.0):
                return None
            token = self._look_now(origin).token
            if token != refused:
                return token
            self._quiet_until[origin] = time.monotonic() + _QUIET
            return None

    def _look(self, origin: Origin) -> _Remembered:
        with self._lock:
            remembered = self._remembered.get(origin)
            if remembered is not None and remembered.is_current():
                return remembered  # another thread looked while this one waited
            return self._look_now(origin)

    def _look_now(self, origin: Origin) -> _Remembered:
        """Search the sources and remember the answer; called with the lock held."""
        found = self._search(origin)
        given_out = self._given_out.get(origin, ())
        if found.token is not None and found.token not in given_out:
            # A new tuple: other threads go through the old one without a lock.
            self._given_out[origin] = (found.token, *given_out)
        self._remembered[origin] = found
        return found

    def _search(self, origin: Origin) -> _Remembered:
        now, before = environment(), self._remembered.get(origin)
        try:
            return self._search_once(origin, now)
        except TokenFileError:
            if before is None or before.token is None or before.environment != now:
                raise
        # A job that runs is not stopped by a file that breaks meanwhile, or is being written.
        time.sleep(_REWRITE)
        try:
            return self._search_once(origin, now)
        except TokenFileError as error:
            warn_once(f"Going on with the token that was there before. {error}")
            watched = tuple((watch, watch.look()) for watch, _ in before.watched)
            return _Remembered(before.token, now, watched)

    def _search_once(self, origin: Origin, environment: tuple[object, ...]) -> _Remembered:
        watched = [self._watched(self._store.directory)]
        token = self._first(origin, watched)
        return _Remembered(token, environment, tuple(watched))

    def _first(self, origin: Origin, watched: list[_Watched]) -> Token | None:
        """Go through the sources; note which files the answer rests on."""
        if self._file is not None:
            return self._read(self._file, watched, "token_file=")
        if self._key == DEFAULT_KEY and (value := os.environ.get("CAVE_TOKEN")):
            source = Source("CAVE_TOKEN")
            return Token(check_token(value, str(source)), source)
        if named := os.environ.get("CAVE_TOKEN_FILE"):
            return self._read(Path(os.path.expanduser(named)), watched, "CAVE_TOKEN_FILE")
        for path in self._files_for(origin):
            if token := self._read(path, watched):
                return token
        if self._key == DEFAULT_KEY and (found := keyring.find(self._servers_of(origin))):
            source = Source("keyring", key=found[0])
            return Token(check_token(found[1], str(source)), source)
        if self._key != DEFAULT_KEY:
            raise TokenFileError(
                self._store.path_for(),
                f"has no key {self._key!r}, and no other secret file for {origin.server} has it",
                f"Save it: cave_auth_adapter.TokenStore().save(token, key={self._key!r}).",
            )
        return None

    def _servers_of(self, origin: Origin) -> list[str]:
        """The names under which a token for a host may be saved: its own, its auth server's."""
        return [server for server in (origin.server, auth_server_of(origin)) if server]

    def _files_for(self, origin: Origin) -> Iterator[Path]:
        yield from map(self._store.path_for, self._servers_of(origin))
        yield self._store.path_for()
        yield self._store.directory / DEPRECATED_FILE

    def _read(self, path: Path, watched: list[_Watched], kind: Kind = "file") -> Token | None:
        """The token in a file; a file that the caller named must have one."""
        named = kind != "file"
        entry = self._watched(path)  # before the file is read, so that no change is missed
        secrets = read_named(path) if named else read_secrets(path)
        if secrets is None:
            if named:
                raise TokenFileError(path, f"is named by {kind} and does not exist", _NAMED)
            return None
        watched.append(entry)
        value = token_in(secrets, self._key, path)
        if value is None:
            if named:
                problem = f"is named by {kind} and has no token under the key {self._key!r}"
                raise TokenFileError(path, problem, _NAMED)
            return None
        if path.name == DEPRECATED_FILE:
            warn_once(
                f"The token comes from {path}, a name that is deprecated. Rename the file to "
                f"{path.with_name(DEFAULT_FILE)}."
            )
        return Token(value, Source(kind, path, self._key))

    def _watched(self, path: Path) -> _Watched:
        watch = self._watches.setdefault(path, Watch(path))
        return watch, watch.look()


_Watched = tuple[Watch, int]
_NAMED = 'Name a file that holds {"token": "…"}, or the key under which it holds the token.'


class _Remembered(NamedTuple):
    """What a search found, and on what it rests."""

    token: Token | None
    environment: tuple[object, ...]
    watched: tuple[_Watched, ...]

    def is_current(self) -> bool:
        if self.environment != environment():
            return False
        now, writes = time.monotonic(), store.writes
        for watch, version in self.watched:
            if now >= watch.look_at or watch.writes != writes:
                watch.look()
            if watch.version != version:
                return False
        return True


_given_out: dict[tuple[Path | None, str], dict[Origin, tuple[Token, ...]]] = {}
_all_credentials: weakref.WeakSet[Credentials] = weakref.WeakSet()


def _renew_locks() -> None:
    for credentials in _all_credentials:
        credentials._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # A thread of the parent may hold the lock at the moment of the fork; in the child nobody
    # would ever release it.
    os.register_at_fork(after_in_child=_renew_locks)
