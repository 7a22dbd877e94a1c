"""Do work in one thread at a time, without the deadlocks of a lock.

While we look for a token, other code may run: a keyring, a token source, a signal handler. It may
make a request that needs the same token. With a lock, it would wait for itself. A turn avoids that:

* A caller that is inside its own turn already is told so at once. This includes a log handler, a
  signal handler, and a thread that copies our context.
* Others wait for :data:`PATIENCE` seconds at most.
* A fork drops the turns in progress: the child does not have their threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from enum import Enum, auto
from typing import Any, TypeVar

PATIENCE = 30.0  # seconds

#: The turns of this context, from the outermost to the innermost.
_taken: ContextVar[tuple[Any, ...]] = ContextVar("_taken", default=())


T = TypeVar("T")


class Turn(Enum):
    """How a turn went."""

    MINE = auto()  #: this thread did the work; others waited for it
    OVER = auto()  #: another thread has done the work meanwhile
    LATE = auto()  #: another thread is still working
    AGAIN = auto()  #: this thread is doing the work already, further up the stack


class Turns:
    """Work that one thread at a time does, by key."""

    def __init__(self) -> None:
        self._gates: dict[Hashable, Any] = {}

    def take(self, thing: Hashable, work: Callable[[], T]) -> tuple[Turn, T | None]:
        """Do some work, or wait until another thread has done it.

        >>> turns = Turns()
        >>> turns.take("it", lambda: turns.take("it", int)[0].name)
        (<Turn.MINE: 1>, 'AGAIN')
        """
        key = thing, os.getpid()
        gate = threading.Lock()  # made late: gevent may replace the class
        # Locked before other threads see it, and released whatever is raised: the "with" of a lock
        # can't be interrupted, while that of a generator can.
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
