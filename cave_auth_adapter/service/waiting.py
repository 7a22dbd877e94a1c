"""Wait for a server: with a time limit, and with a message on a terminal."""

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

_GRACE = 0.5  # seconds more, so that the timeout of requests comes first: it says more
_SILENCE = 1.0  # seconds of waiting without a message
_is_told: ContextVar[bool] = ContextVar("cave_auth_wait_is_told", default=False)


@contextlib.contextmanager
def waits_told() -> Iterator[None]:
    """While waiting for a server, say so on stderr; only if it is a terminal."""
    before = _is_told.set(sys.stderr is not None and sys.stderr.isatty())
    try:
        yield
    finally:
        _is_told.reset(before)


def within(seconds: float, work: Callable[[], T], server: str) -> T:
    """Do some work within a time limit; return its result, or raise its error.

    A server can keep a socket alive for ever with a byte of a header now and then, and no timeout
    of ``requests`` ends that. So the work runs in a thread, which is abandoned after that time.

    :param seconds: the time limit.
    :param server: the name of the server, to show to the user.
    :raises TimeoutError: if the work takes longer.
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
    """Do some work in a thread that the interpreter does not wait for at exit."""
    from concurrent import futures  # slow to import, and rarely needed

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
    """Show a text on the terminal during the block."""
    if not is_rewritable(sys.stderr):
        print(text, file=sys.stderr)
        yield
        return
    print(text, end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print("\r" + " " * len(text), end="\r", file=sys.stderr, flush=True)
