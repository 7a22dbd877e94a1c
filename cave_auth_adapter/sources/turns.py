"""One thread at a time, without a lock that other people's code could find held.

While a token is looked for, code of others may run: a keyring, a token source, a signal handler.
Any of it may make a request that needs the very token that is being looked for. A lock would then
wait for itself. A turn does not:

* A caller that is inside its own turn already is told so at once. This includes a log handler, a
  signal handler, and a thread that copies our context.
* Others wait for :data:`PATIENCE` seconds at most.
* A fork forgets the turns that were under way: the threads that had them are not in the child.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from enum import Enum, auto
from typing import Any, TypeVar

PATIENCE = 30.0  # seconds

#: What is taken as a turn in this context, from the outermost to the innermost.
_taken: ContextVar[tuple[Any, ...]] = ContextVar("_taken", default=())


T = TypeVar("T")


class Turn(Enum):
    """How a turn went."""

    MINE = auto()  #: the work was done here; others waited for it
    OVER = auto()  #: another thread has done the work meanwhile
    LATE = auto()  #: another thread is still at work
    AGAIN = auto()  #: this very thread is at work, further up the stack


class Turns:
    """Things that one thread at a time does."""

    def __init__(self) -> None:
        self._gates: dict[Hashable, Any] = {}

    def take(self, thing: Hashable, work: Callable[[], T]) -> tuple[Turn, T | None]:
        """Do some work, or wait until another thread has done it.

        >>> turns = Turns()
        >>> turns.take("it", lambda: turns.take("it", int)[0].name)
        (<Turn.MINE: 1>, 'AGAIN')
        """
        key = thing, os.getpid()
        gate = threading.Lock()  # made here and not before, for gevent may replace the class
        # Closed before anybody can see it. It is open afterwards, whatever is raised: a "with" that
        # takes a lock is not interrupted, while one that takes a generator may be.
        with gate:
            other = self._gates.setdefault(key, gate)
            if other is gate:
                mark = _taken.set((*_taken.get(), gate))
                try:
                    return Turn.MINE, work()
                finally:
                    self._take_away(key, gate)
                    _taken.reset(mark)
        if other.locked() and other in _taken.get():
            return Turn.AGAIN, None
        if not other.acquire(timeout=PATIENCE):
            return Turn.LATE, None
        other.release()
        self._take_away(key, other)  # its thread may have been interrupted just before
        return Turn.OVER, None

    def _take_away(self, key: Hashable, gate: Any) -> None:
        if self._gates.get(key) is gate:
            self._gates.pop(key, None)
