"""What the process shares: the logger, warnings that are given once, and its reset."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from .plain import printable
from .redaction import without_token

logger = logging.getLogger("cave_auth_adapter")

_REMEMBERED = 1024  # warnings

_given: set[object] = set()
_held: ContextVar[list[str] | None] = ContextVar("_held", default=None)
_resets: list[Callable[[], object]] = []


def warn_once(message: str, *cause: object) -> None:
    """Log a warning, unless one was logged for the same cause before.

    :param cause: what the warning is about; without it, the message itself.
    """
    key = cause or message
    if key in _given:
        return
    if len(_given) >= _REMEMBERED:
        _given.clear()
    _given.add(key)
    message, held = printable(without_token(message), None), _held.get()
    if held is None:
        logger.warning("%s", message)
    else:
        held.append(message)


@contextlib.contextmanager
def warnings_held() -> Iterator[None]:
    """Log the warnings that are given meanwhile at the end.

    A log handler is code of others: it may make a request, and wait for what is going on here.

    >>> with warnings_held():
    ...     warn_once("this is logged when the block ends")
    """
    if _held.get() is not None:
        yield
        return
    held: list[str] = []
    mark = _held.set(held)
    try:
        yield
    finally:
        _held.reset(mark)
        for message in held:
            logger.warning("%s", message)


def forget_warning(*cause: object) -> None:
    """Let the next warning for a cause be logged again."""
    _given.discard(cause)


def log_decisions() -> None:
    """Where ``CAVE_AUTH_DEBUG`` is set, log each decision on stderr."""
    if os.environ.get("CAVE_AUTH_DEBUG", "") in ("", "0") or logger.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("cave-auth: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False


def after_fork(renew: Callable[[], object]) -> None:
    """Have something done in each forked child: a thread of the parent may have held a lock."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)


def on_reset(forget: Callable[[], object]) -> None:
    """Have something done by :func:`reset`: each room registers what it keeps for the process."""
    _resets.append(forget)


def reset() -> None:
    """Forget all that the process shares, as if it had just started: for tests."""
    _given.clear()
    for forget in _resets:
        forget()
