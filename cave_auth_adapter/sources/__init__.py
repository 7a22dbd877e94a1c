"""Which token a host gets, and when to look again.

Nothing is read before it is needed. What was found is remembered. It is looked for again when the
environment or a file has changed, when this process has written a secret file, when a host has
refused it, and after :func:`~cave_auth_adapter.providers.tokens_changed`.
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
from .search import Search, Wanted
from .turns import Turn

_NAP = 0.1  # seconds
_OVERTAKEN = 8  # tokens in a row that other threads saw refused while this one looked
_PAUSES = (0.02, 0.04, 0.08)  # seconds; CAVEclient empties a file before it writes it


class Credentials:
    """Which token a host gets: the first that exists of a stated order of sources.

    ``token=`` · ``token_file=``/``token_key=`` · ``source=``, ``set_token_source()`` ·
    ``CAVE_TOKEN`` · ``CAVE_TOKEN_FILE`` · ``CAVE_TOKEN_COMMAND`` · the secret file of the host ·
    that of its deployment's auth server · ``cave-secret.json`` · ``chunkedgraph-secret.json``
    (deprecated) · the keyring, where ``CAVE_AUTH_KEYRING`` is set.

    :param token: given in code; outranks all else. A :class:`Token` tells where it is from.
    :param token_file: given in code; outranks all but ``token``.
    :param token_key: the key in the files; another key than the default is a choice made in
        code, and so outranks the variables.
    :param source: a function that gives tokens, a :data:`TokenSource`.
    :param trusted: the hosts that are trusted; None: the known ones.
    :param server: an auth server whose tokens are also for hosts that are of no other known
        deployment and have no file of their own.
    :raises InvalidToken: (also a :class:`ValueError`) if ``token`` can't be one.

    Objects that are equal but for ``token`` share one memory of what was found and refused.
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
        if token is not None and not isinstance(token, Token):
            token = Token(check_token(token, "the token given in code"), Source("token="))
        if source is not None:
            providers.check_source(source)
        # Absolute, so that equal objects mean the same file wherever the process goes.
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
        :raises TokenFileError: if a secret file can't be read, holds no token where it should,
            or was named by the caller and is missing.
        """
        if self._token is not None:
            return self._token
        found = self._memory.found.get(origin)
        if found is not None and found.is_current():
            return found.token
        return self._look(origin)

    def recognise(self, origin: Origin, value: str) -> Token | None:
        """The token of that value, if it is, or was earlier in this process, one for a host."""
        if self._token is not None and self._token.value == value:
            return self._token
        # Tokens of one value are equal, whatever they are from.
        return self._memory.given_out.get(origin, {}).get(Token(value, Source("token=")))

    def known(self) -> set[str]:
        """Every token that is, or was earlier in this process, the one for some host."""
        given_out = tuple(self._memory.given_out.values())
        values = {token.value for tokens in given_out for token in tuple(tokens)}
        return values | {self._token.value} if self._token else values

    def after_refusal(self, origin: Origin, refused: Token | None) -> Token | None:
        """Another token than the one that a host refused, if there is one by now.

        The sources are consulted once for all threads that wait. Where they have nothing new, they
        are left in peace for a while; a change of a file is noticed all the same, see
        :class:`~cave_auth_adapter.watch.Watch`.

        :param refused: what was sent; None if the request had no token.
        :raises InvalidToken, TokenFileError: as :meth:`token_for`.
        """
        if self._token is not None:
            return None if self._token == refused else self._token
        token, memory, bore_one = self.token_for(origin), self._memory, refused is not None
        for _ in range(_OVERTAKEN):
            # Another thread may have met the refusal of a newer one: the file may be newer still.
            if token != refused and not (bore_one and token in memory.refused_by(origin)):
                return token
            refused = token
            if memory.is_quiet(origin, refused):
                return None
            token = self._another(origin, refused)
            if token == refused:
                return None
        return None

    def _another(self, origin: Origin, refused: Token | None) -> Token | None:
        """Look again, for as long as a refused request waits for another token."""
        memory, until = self._memory, time.monotonic() + providers.patience()
        while True:
            if memory.may_look(origin, refused):
                self._look(origin, is_refusal=True, refused=refused)
            token = self.token_for(origin)
            if token != refused:
                return token
            if time.monotonic() >= until:
                memory.be_quiet(origin, refused)
                return token
            time.sleep(_NAP)

    def _look(
        self, origin: Origin, *, is_refusal: bool = False, refused: Token | None = None
    ) -> Token | None:
        """Search the sources and remember the answer; once for all threads that want it."""

        def look() -> None:
            # Another thread may have looked before it was this one's turn.
            if not self._is_answered(origin, is_refusal, refused):
                self._look_now(origin, is_refusal, refused)

        memory = self._memory
        while True:
            turn, _ = holding_warnings(lambda: memory.turns.take(origin, look))
            if turn is not Turn.OVER or self._is_answered(origin, is_refusal, refused):
                # The last answer, where this look is further up the stack, or takes too long.
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
            memory.looked_in_vain(origin, refused)

    def _search(self, origin: Origin, is_refusal: bool, refused: Token | None) -> Found:
        before = self._memory.found.get(origin)
        try:
            return self._search_once(origin, is_refusal, refused)
        except TokenFileError as error:
            if before is None or before.token is None or not before.variables.are_current():
                raise
            problem = error
        # A job that runs is not stopped by a file that breaks meanwhile, or is being written.
        watched = before.watched
        for pause in _PAUSES:
            time.sleep(pause)
            # Before the file is read, so that the end of its writing is noticed.
            watched = tuple((watch, watch.look()) for watch, _ in before.watched)
            try:
                return self._search_once(origin, is_refusal, refused)
            except TokenFileError as error:
                problem = error
        warn_once(f"Going on with the token that was there before. {problem}")
        return before._replace(changed=providers.changed(), watched=watched)

    def _search_once(self, origin: Origin, is_refusal: bool, refused: Token | None) -> Found:
        # What the answer rests on comes first, so that no change is missed.
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
