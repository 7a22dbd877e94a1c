"""Choose the token for a host, and decide when to look for it again.

Nothing is read before it is needed, and the result is cached. We look again when the environment or
a file has changed, when this process has written a secret file, when a host has refused the token,
and after :func:`~cave_auth_adapter.providers.tokens_changed`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from .. import providers
from ..errors import TokenFileError
from ..hosts import KnownHosts, NamedHosts
from ..origins import Origin
from ..providers import TokenSource
from ..runtime import holding_warnings, warn_once
from ..tokens import DEFAULT_KEY, Source, Token, check_token
from ..watch import TOKEN_VARIABLES, Variables
from .memory import Found, Memory, memory_of
from .search import NoSuchKey, Search, Wanted
from .turns import Turn

_NAP = 0.1  # seconds
_OVERTAKEN = 8  # tokens in a row that other threads see refused while this one looks
_PAUSES = (0.02, 0.04, 0.08)  # seconds; CAVEclient empties a file before it writes it


class Credentials:
    """Chooses the token for a host: the first that exists, in this order of sources.

    ``token=`` · ``token_file=``/``token_key=`` · ``source=``, ``set_token_source()`` ·
    ``CAVE_TOKEN`` · ``CAVE_TOKEN_FILE`` · ``CAVE_TOKEN_COMMAND`` · the secret file of the host ·
    that of its deployment's auth server · ``cave-secret.json`` · ``chunkedgraph-secret.json``
    (deprecated) · the keyring, if ``CAVE_AUTH_KEYRING`` is set.

    :param token: a token from code, which outranks everything else. A :class:`Token` has a source.
    :param token_file: a file named in code, which outranks everything except ``token``.
    :param token_key: the key in the files. Another key than the default outranks the variables,
        because it was chosen in code.
    :param source: a function that returns tokens, a :data:`TokenSource`.
    :param trusted: the trusted hosts; None: the known ones.
    :param server: an auth server whose tokens are also for hosts that belong to no other known
        deployment and have no file of their own.
    :raises InvalidToken: (also a :class:`ValueError`) if ``token`` can't be one.

    Objects that differ only in ``token`` share one memory of found and refused tokens.
    """

    def __init__(
        self,
        token: str | Token | None = None,
        token_file: str | os.PathLike[str] | None = None,
        token_key: str = DEFAULT_KEY,
        *,
        source: TokenSource | None = None,
        trusted: Any = None,
        server: Origin | None = None,
    ):
        if not isinstance(token_key, str):
            raise TypeError(f"token_key is a string, not {type(token_key).__name__}")
        if token is not None:
            if not isinstance(token, Token):
                token = Token(token, Source("token="))
            check_token(token.value, "the token given in code")
        if source is not None:
            providers.check_source(source)
        # Absolute, so that equal objects mean the same file after os.chdir().
        file = None if token_file is None else Path(os.path.abspath(os.path.expanduser(token_file)))
        self._token = token
        self._hosts = KnownHosts() if trusted is None else trusted
        self._wanted = Wanted(file, token_key, source, server)
        is_shared = type(self._hosts) in (KnownHosts, NamedHosts)
        # With token= there is nothing to remember.
        self._memory = (
            Memory() if token else memory_of(self._wanted, self._hosts if is_shared else None)
        )

    def token_for(self, origin: Origin) -> Token | None:
        """The token for a trusted host; None if no source has one.

        :raises InvalidToken: if ``CAVE_TOKEN`` can't be a token.
        :raises TokenFileError: if a secret file can't be read, holds no valid token, or was named
            by the caller and is missing.
        """
        if self._token is not None:
            return self._token
        found = self._memory.found.get(origin)
        if found is not None and found.is_current():
            return found.token
        return self._look(origin)

    def recognise(self, origin: Origin, value: str) -> Token | None:
        """The token with this value, if this process has found it for the host before."""
        if self._token is not None and self._token.value == value:
            return self._token
        # Tokens with the same value are equal, whatever their source.
        return self._memory.given_out.get(origin, {}).get(Token(value, Source("token=")))

    def known(self) -> set[str]:
        """The values of all tokens that this process has found for any host."""
        given_out = tuple(self._memory.given_out.values())
        values = {token.value for tokens in given_out for token in tuple(tokens)}
        return values | {self._token.value} if self._token else values

    def after_refusal(self, origin: Origin, refused: Token | None) -> Token | None:
        """Another token than the one that a host refused, if there is one now.

        The sources are read once for all threads that wait. If there is nothing new, they are not
        read again for a while, unless a file changes (:class:`~cave_auth_adapter.watch.Watch`).

        :param refused: the token that was sent; None if the request had none.
        :raises InvalidToken, TokenFileError: as :meth:`token_for`.
        """
        if self._token is not None:
            return None if self._token == refused else self._token
        token, memory, bore_one = self.token_for(origin), self._memory, refused is not None
        for _ in range(_OVERTAKEN):
            # Another thread may have seen a newer token refused, and the file may be newer still.
            if token != refused and not (bore_one and token in memory.refused_by(origin)):
                return token
            refused = token
            if memory.is_backing_off(origin, refused):
                return None
            token = self._another(origin, refused)
            if token == refused:
                return None
        return None

    def _another(self, origin: Origin, refused: Token | None) -> Token | None:
        """Look for another token, for as long as a refused request waits."""
        memory, until = self._memory, time.monotonic() + providers.patience()
        while True:
            if memory.may_look(origin, refused):
                self._look(origin, is_refusal=True, refused=refused)
            token = self.token_for(origin)
            if token != refused:
                return token
            if time.monotonic() >= until:
                memory.back_off(origin, refused)
                return token
            time.sleep(_NAP)

    def _look(
        self, origin: Origin, *, is_refusal: bool = False, refused: Token | None = None
    ) -> Token | None:
        """Search the sources and cache the result, once for all threads that wait."""

        def look() -> None:
            # Another thread may have looked already while this one waited.
            if not self._is_answered(origin, is_refusal, refused):
                self._look_now(origin, is_refusal, refused)

        memory = self._memory
        while True:
            turn, _ = holding_warnings(lambda: memory.turns.take(origin, look))
            if turn is not Turn.OVER or self._is_answered(origin, is_refusal, refused):
                # The cached token: this thread is inside a look already, or one takes too long.
                found = memory.found.get(origin)
                return found.token if found else None

    def _is_answered(self, origin: Origin, is_refusal: bool, refused: Token | None) -> bool:
        found = self._memory.found.get(origin)
        if found is None:
            return False
        if not is_refusal:
            return found.is_current()
        return found.token != refused or not self._memory.may_look(origin, refused)

    def _look_now(self, origin: Origin, is_refusal: bool, refused: Token | None) -> None:
        memory = self._memory
        if refused is not None:
            memory.note_refusal(origin, refused)
        found = self._search(origin, is_refusal, refused)
        memory.remember(origin, found)
        if is_refusal and found.token == refused:
            memory.found_no_other(origin, refused)

    def _search(self, origin: Origin, is_refusal: bool, refused: Token | None) -> Found:
        before = self._memory.found.get(origin)
        try:
            return self._search_once(origin, is_refusal, refused)
        except NoSuchKey:
            raise  # no file is broken: the token is gone, or belongs to another deployment
        except TokenFileError as error:
            if before is None or before.token is None or not before.variables.are_current():
                raise
            problem = error
        # Don't stop a running job because a file became invalid, or is being written.
        watched = before.watched
        for pause in _PAUSES:
            time.sleep(pause)
            # Note its state before reading, so that a later change is noticed.
            watched = tuple((watch, watch.look()) for watch, _ in before.watched)
            try:
                return self._search_once(origin, is_refusal, refused)
            except NoSuchKey:
                raise
            except TokenFileError as error:
                problem = error
        warn_once(f"Continuing with the previous token. {problem}")
        return before._replace(changed=providers.changed(), watched=watched)

    def _search_once(self, origin: Origin, is_refusal: bool, refused: Token | None) -> Found:
        # Note the state first, so that a change while we look is noticed the next time.
        variables, changed, memory = Variables(TOKEN_VARIABLES), providers.changed(), self._memory
        look = memory.reader.look(afresh=is_refusal and memory.looks_afresh(origin, refused))
        search = Search(
            self._wanted,
            origin,
            look,
            memory.asked,
            is_named=self._hosts.names(origin),
            refused=memory.refused_by(origin),
            is_refusal=is_refusal,
        )
        token = search.token()
        rests_on = variables.without(search.idle_variables(token))
        return Found(token, rests_on, changed, tuple(look.watched), search.renew_at)
