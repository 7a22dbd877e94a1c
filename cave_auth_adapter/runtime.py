"""The logger of the package, and warnings that are given once."""

from __future__ import annotations

import logging

from .plain import printable
from .redaction import without_token

logger = logging.getLogger("cave_auth_adapter")

_given: set[object] = set()
_REMEMBERED = 1024


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
    logger.warning("%s", printable(without_token(message), None))
