"""Wait for servers: with a time limit, and with a message on a terminal."""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

from ..plain import is_rewritable, one_line, printable

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
    (future,) = all_done([work], [server], seconds + _GRACE)
    if not future.done():
        raise TimeoutError
    return future.result()


def all_done(
    works: Sequence[Callable[[], T]], servers: Sequence[str], seconds: float | None = None
) -> list[Future[T]]:
    """Do some work with each of several servers at the same time, and wait for it.

    :param servers: the server of each work.
    :param seconds: how long to wait; None: until all is done.
    :return: the results, in the same order. One that is not done took longer.
    """
    from concurrent import futures

    is_told = _is_told.get()
    silently = _is_told.set(False)  # one message is enough
    try:
        begun = [_begin(work) for work in works]
    finally:
        _is_told.reset(silently)
    if is_told and (seconds is None or seconds > _SILENCE):
        late = futures.wait(begun, _SILENCE).not_done
        seconds = None if seconds is None else seconds - _SILENCE
        if late:
            names = dict.fromkeys(s for s, f in zip(servers, begun, strict=True) if f in late)
            with _telling(*names):
                futures.wait(begun, seconds)
    else:
        futures.wait(begun, seconds)
    return begun


def _begin(work: Callable[[], T]) -> Future[T]:
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
def _telling(*servers: str) -> Iterator[None]:
    """Say on the terminal, during the block, which servers it waits for."""
    several = len(servers) > 1
    whom = f"{len(servers)} servers" if several else printable(servers[0], 45)
    texts = [f"Waiting for {whom} ... Ctrl-C gives up.", "Waiting ... Ctrl-C ends.", "Waiting ..."]
    if not is_rewritable(sys.stderr):
        print(texts[0], file=sys.stderr)
        yield
        return
    text = one_line(texts, sys.stderr)
    print(text, end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print("\r" + " " * len(text), end="\r", file=sys.stderr, flush=True)
