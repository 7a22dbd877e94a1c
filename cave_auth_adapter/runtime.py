"""State of the process: the logger, warnings that are logged once, and the reset for tests."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import NamedTuple, TypeVar

from .plain import printable
from .redaction import without_token

T = TypeVar("T")


class _Held(NamedTuple):
    """The warnings that are held back while the gate is locked."""

    gate: threading.Lock
    messages: list[str]


logger = logging.getLogger("cave_auth_adapter")

_REMEMBERED = 1024  # warnings

_given: set[object] = set()
_held: ContextVar[_Held | None] = ContextVar("_held", default=None)
_resets: list[Callable[[], object]] = []


def warn_once(message: str, *cause: object) -> None:
    """Log a warning, unless one was logged for the same cause before.

    :param cause: identifies the warning; without it, the message does.
    """
    key = cause or message
    if key in _given:
        return
    if len(_given) >= _REMEMBERED:
        _given.clear()
    _given.add(key)
    message, held = printable(without_token(message), None), _held.get()
    if held is not None and held.gate.locked():
        held.messages.append(message)
    else:
        _log(message)


def holding_warnings(work: Callable[[], T]) -> T:
    """Do some work, and log its warnings when it has ended.

    A log handler may make a request, and then wait for this very work.

    >>> holding_warnings(lambda: warn_once("this is logged at the end"))
    """
    outer = _held.get()
    if outer is not None and outer.gate.locked():
        return work()
    held = _Held(threading.Lock(), [])
    try:
        # The gate is released whatever is raised. An interrupt may leave only the variable set.
        with held.gate:
            mark = _held.set(held)
            try:
                return work()
            finally:
                _held.reset(mark)
    finally:
        for message in held.messages:
            _log(message)


def _log(message: str) -> None:
    """Log a warning. A log handler that raises, or a closed stderr, must fail no request."""
    with contextlib.suppress(Exception):
        logger.warning("%s", message)


def forget_warning(*cause: object) -> None:
    """Let the next warning for a cause be logged again."""
    _given.discard(cause)


def log_decisions() -> None:
    """If ``CAVE_AUTH_DEBUG`` is set, log each decision to stderr."""
    if os.environ.get("CAVE_AUTH_DEBUG", "") in ("", "0") or logger.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("cave-auth: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False


def after_fork(renew: Callable[[], object]) -> None:
    """Call a function in each forked child: a thread of the parent may have held a lock."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)


def on_reset(forget: Callable[[], object]) -> None:
    """Call a function in :func:`reset`. Each module registers one for the state that it keeps."""
    _resets.append(forget)


def reset() -> None:
    """Clear all state of the process, for tests."""
    _given.clear()
    for forget in _resets:
        forget()
