"""The cache that equal credentials share: tokens found and refused, and when to look again."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Hashable
from typing import NamedTuple, TypeVar

from ..origins import Origin
from ..providers import Asked, changed
from ..runtime import on_reset
from ..tokens import Token
from ..watch import Variables, Watched, unchanged
from .reading import Reader
from .turns import Turns

_QUIET = 10.0  # seconds without a look after one that found nothing; each time twice as long, up to
_LONGEST_QUIET = 59.0  # so that a new token is found within a minute
_SPREAD = 0.6  # of the quiet time, at random: thousands of workers must not look at the same time
_AFRESH = 60.0  # seconds until a file that does not seem to have changed is opened again
_POLL = 1.0  # seconds between two looks while a refused request waits for another token
_MEMORIES = 256
_HOSTS = 1024  # the most hosts in a memory
_REFUSED = 16  # tokens of one host
_GIVEN_OUT = 4096  # tokens of one host: a CloudVolume made weeks ago still sends an old one
# Not the global generator: programs seed it, and forked workers share its state.
_random = random.SystemRandom()

K = TypeVar("K")
V = TypeVar("V")


class Found(NamedTuple):
    """The result of a search, and the state of the sources that it depends on.

    :ivar changed: the value of :func:`~cave_auth_adapter.providers.changed` before.
    :ivar renew_at: when to look again in any case, in seconds of ``time.monotonic``.
    """

    token: Token | None
    variables: Variables
    changed: int
    watched: tuple[Watched, ...]
    renew_at: float = float("inf")

    def is_current(self) -> bool:
        """Whether nothing has changed since."""
        now = time.monotonic()
        return (
            self.changed == changed()
            and now < self.renew_at
            and unchanged(self.watched, now)
            and self.variables.are_current()
        )


class _Rest(NamedTuple):
    """How long not to look again, after a look that found no other token.

    :ivar refused: the token that the host refused.
    :ivar look_at: when a request that waits for another token may look again.
    :ivar afresh_at: when to open files again even if no time stamp has changed.
    :ivar quiet_until: until when a refusal is returned without a look.
    :ivar span: the quiet time, in seconds, before it was spread at random.
    """

    refused: Token | None
    changed: int
    look_at: float
    afresh_at: float = 0.0
    quiet_until: float = 0.0
    span: float = 0.0


class Memory:
    """The tokens that equal credentials have found so far."""

    def __init__(self, given_out: dict[Origin, dict[Token, Token]] | None = None):
        self.found: dict[Origin, Found] = {}
        self.given_out = {} if given_out is None else given_out
        self._refused: dict[Origin, tuple[int, tuple[Token, ...]]] = {}
        self.reader = Reader()
        self.asked = Asked()
        self.turns = Turns()
        self._rests: dict[Origin, _Rest] = {}

    def remember(self, origin: Origin, found: Found) -> None:
        """Cache the result for a host, and note that its token was used."""
        put(self.found, origin, found, _HOSTS)
        if found.token is not None:
            given_out = self.given_out.get(origin)
            if given_out is None:
                given_out = put(self.given_out, origin, {}, _HOSTS)
            put(given_out, found.token, found.token, _GIVEN_OUT)  # a repr shows no value

    def note_refusal(self, origin: Origin, token: Token) -> None:
        """Note that a host refused a token, until ``tokens_changed()`` is called."""
        others = (other for other in self.refused_by(origin) if other != token)
        put(self._refused, origin, (changed(), (token, *others)[:_REFUSED]), _HOSTS)

    def refused_by(self, origin: Origin) -> tuple[Token, ...]:
        """The tokens that a host refused, the latest first."""
        at, tokens = self._refused.get(origin, (changed(), ()))
        return tokens if at == changed() else ()

    def may_look(self, origin: Origin, refused: Token | None) -> bool:
        """Whether to look for another token: not just after a look that found none."""
        rest = self._rest(origin, refused)
        return rest is None or time.monotonic() >= rest.look_at

    def is_backing_off(self, origin: Origin, refused: Token | None) -> bool:
        """Whether to return a refusal at once, without another look."""
        rest = self._rest(origin, refused)
        return rest is not None and time.monotonic() < rest.quiet_until

    def looks_afresh(self, origin: Origin, refused: Token | None) -> bool:
        """Whether to open files even if no time stamp has changed: at first, and once a minute.

        A time stamp almost always shows a change, and thousands of workers may share a file server.
        """
        rest = self._rest(origin, refused)
        return rest is None or time.monotonic() >= rest.afresh_at

    def found_no_other(self, origin: Origin, refused: Token | None) -> None:
        """Note that a look found no other token, so that other threads don't look as well."""
        now = time.monotonic()
        rest = self._rest(origin, refused) or _Rest(refused, changed(), now)
        afresh_at = rest.afresh_at if now < rest.afresh_at else now + _AFRESH
        put(self._rests, origin, rest._replace(look_at=now + _POLL, afresh_at=afresh_at), _HOSTS)

    def back_off(self, origin: Origin, refused: Token | None) -> None:
        """Don't read the sources for a while; longer each time in a row."""
        if self.is_backing_off(origin, refused):
            return
        now = time.monotonic()
        rest = self._rest(origin, refused) or _Rest(refused, changed(), now)
        is_in_a_row = rest.span and now < rest.quiet_until + _LONGEST_QUIET
        span = min(2 * rest.span, _LONGEST_QUIET) if is_in_a_row else _QUIET
        longest = min((1 + _SPREAD) * span, _LONGEST_QUIET)
        until = now + _random.uniform((1 - _SPREAD) * span, longest)
        put(self._rests, origin, rest._replace(quiet_until=until, span=span), _HOSTS)

    def _rest(self, origin: Origin, refused: Token | None) -> _Rest | None:
        rest = self._rests.get(origin)
        is_same = rest is not None and rest.refused == refused and rest.changed == changed()
        return rest if is_same else None


_memories: dict[Hashable, Memory] = {}
_given_out: dict[Hashable, dict[Origin, dict[Token, Token]]] = {}


def memory_of(wanted: Hashable, hosts: Hashable) -> Memory:
    """The memory that credentials with the same parameters share.

    :param wanted: the parameters of the credentials.
    :param hosts: the trusted hosts; None: don't share.
    """
    try:
        given_out = _given_out.get(wanted)
    except TypeError:  # a token source that has no hash
        return Memory()
    if given_out is None:
        given_out = put(_given_out, wanted, {}, _MEMORIES)
    if hosts is None:
        return Memory(given_out)
    memory = _memories.get((wanted, hosts))
    return memory or put(_memories, (wanted, hosts), Memory(given_out), _MEMORIES)


def put(table: dict[K, V], key: K, value: V, limit: int) -> V:
    """Put a value into a table of limited size; remove the oldest entry if it is full.

    It needs no lock: each step is one atomic operation of the dictionary.
    """
    if key not in table and len(table) >= limit:
        with contextlib.suppress(StopIteration, RuntimeError, KeyError):
            del table[next(iter(table))]
    table[key] = value
    return value


def _forget() -> None:
    """Clear all memories of this process."""
    _memories.clear()
    _given_out.clear()


on_reset(_forget)
