"""One thread at a time, without a lock that other people's code could find held.

While a token is looked for, code of others may run: a keyring, a token source, a signal handler.
Any of it may make a request that needs the very token that is being looked for. A lock would then
wait for itself. A turn does not:

* Whoever comes back into a turn of their own is told so at once. A log handler, a signal handler
  and a thread that copies our context count as coming back.
* Others wait for :data:`PATIENCE` seconds at most.
* A fork forgets the turns that were under way: the threads that had them are not in the child.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Hashable, Iterator
from contextvars import ContextVar
from enum import Enum, auto
from typing import Any

PATIENCE = 30.0  # seconds

#: What is taken as a turn in this context, from the outermost to the innermost.
_taken: ContextVar[tuple[Any, ...]] = ContextVar("_taken", default=())


class Turn(Enum):
    """What :meth:`Turns.take` says."""

    MINE = auto()  #: do the work; others wait for it
    OVER = auto()  #: another thread has done the work meanwhile
    LATE = auto()  #: another thread is still at work
    AGAIN = auto()  #: this very thread is at work, further up the stack


class Turns:
    """Things that one thread at a time does."""

    def __init__(self) -> None:
        self._gates: dict[Hashable, Any] = {}

    @contextlib.contextmanager
    def take(self, thing: Hashable) -> Iterator[Turn]:
        """Take one's turn at a thing, or wait until that of another thread is over.

        >>> turns = Turns()
        >>> with turns.take("it") as first, turns.take("it") as second:
        ...     print(first.name, second.name)
        MINE AGAIN
        """
        key = thing, os.getpid()
        gate = threading.Lock()  # made here and not before, for gevent may replace the class
        # Held before anybody can see it, and given back whatever is raised where.
        with gate:
            other = self._gates.setdefault(key, gate)
            if other is gate:
                mark = _taken.set((*_taken.get(), gate))
                try:
                    yield Turn.MINE
                finally:
                    self._give_back(key, gate)
                    _taken.reset(mark)
                return
        if other in _taken.get():
            yield Turn.AGAIN
        elif other.acquire(timeout=PATIENCE):
            other.release()
            self._give_back(key, other)  # its thread may have been interrupted just before
            yield Turn.OVER
        else:
            yield Turn.LATE

    def _give_back(self, key: Hashable, gate: Any) -> None:
        if self._gates.get(key) is gate:
            self._gates.pop(key, None)
