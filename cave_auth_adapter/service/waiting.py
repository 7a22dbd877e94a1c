"""Work that waits for a server: never without end, and never in silence on a terminal."""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

from ..plain import is_rewritable, printable

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")

_GRACE = 0.5  # seconds in which a time-out of requests comes first, and tells more
_SILENCE = 1.0  # seconds of a wait that nobody minds
_is_told: ContextVar[bool] = ContextVar("cave_auth_wait_is_told", default=False)


@contextlib.contextmanager
def waits_told() -> Iterator[None]:
    """Say on stderr which server is waited for, while it is; only if stderr is a terminal."""
    before = _is_told.set(sys.stderr is not None and sys.stderr.isatty())
    try:
        yield
    finally:
        _is_told.reset(before)


def within(seconds: float, work: Callable[[], T], server: str) -> T:
    """What some work gives, or the error that it raises.

    A server can keep a socket alive for ever by one byte of a header now and then, and no time-out
    of ``requests`` ends that. So it is done in a thread, which is left behind when time is up.

    :param server: what the work waits for, as people are told.
    :raises TimeoutError: when it is.
    """
    from concurrent import futures

    future = begin(work)
    left = seconds + _GRACE
    if _is_told.get() and left > _SILENCE and not futures.wait([future], _SILENCE).done:
        left -= _SILENCE
        with _telling(f"Waiting for {printable(server, 45)} ... Ctrl-C gives up."):
            futures.wait([future], left)
            left = 0
    try:
        return future.result(left)
    except futures.TimeoutError:  # another than the built-in one before Python 3.11
        raise TimeoutError from None


def begin(work: Callable[[], T]) -> Future[T]:
    """Do some work in a thread that the interpreter does not wait for when it ends."""
    from concurrent import futures  # takes a while to import, and is rarely needed

    future: Future[T] = futures.Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(work))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name="cave-auth call").start()
    return future


@contextlib.contextmanager
def _telling(text: str) -> Iterator[None]:
    """Show a text on the terminal for as long as the block."""
    if not is_rewritable(sys.stderr):
        print(text, file=sys.stderr)
        yield
        return
    print(text, end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print("\r" + " " * len(text), end="\r", file=sys.stderr, flush=True)
