"""Notice that a file or an environment variable has changed."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from .store import content

LOOK_INTERVAL = 1.0  # seconds between two looks at the same file or directory, at least
_LOOK_SHARE = 0.001  # the share of the time to spend on looking: a stat over a network can be slow
_LOOK_LIMIT = 60.0  # seconds between two looks, at most, so that one slow stat doesn't stop us
_GRAIN = 2.0  # seconds: the resolution of time stamps on FAT, the coarsest


class Watch:
    """Notices changes of some files or directories, with at most one look per interval.

    It misses a second write in place within the resolution of time stamps, if the size stays the
    same. After a refusal, files are therefore read without asking the watch.

    :param paths: what to look at. A look takes a ``stat`` for each; if that is slow, the interval
        grows.
    :ivar version: a number that changes when one of them does.
    :ivar is_settled: whether the next change will give its file another time stamp.
    :ivar look_at: when to look again, in seconds of ``time.monotonic``.
    :ivar writes: the value of ``content.writes`` at the last look; if it has changed, look again.
    """

    def __init__(self, *paths: Path):
        self._paths = paths
        self._signatures: list[tuple[int, ...] | None] | None = None
        self.version = 0
        self.is_settled = True
        self.look_at = 0.0
        self.writes = -1

    def look(self) -> int:
        """Look now, and return the version."""
        start, writes = time.monotonic(), content.writes
        # Set first, so that other threads rarely look, too; if they do, it costs only a stat. After
        # a write they must look, because the writing thread has to see it at once.
        self.look_at = start + LOOK_INTERVAL
        stats = [_stat(path) for path in self._paths]
        settled_before = _now() - _GRAIN
        self.is_settled = all(stat is None or stat.st_mtime < settled_before for stat in stats)
        signatures = [stat and _signature(stat) for stat in stats]
        if signatures != self._signatures:
            self._signatures = signatures
            self.version += 1
        self.writes = writes
        took = time.monotonic() - start
        self.look_at = start + min(max(LOOK_INTERVAL, took / _LOOK_SHARE), _LOOK_LIMIT)
        return self.version


def _stat(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):  # a NUL in a name is a ValueError
        return None


def _signature(stat: os.stat_result) -> tuple[int, ...]:
    return (
        *(stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_dev),
        *(stat.st_mode, stat.st_uid),  # they decide whether the server is trusted
    )


#: A watch, and its version when the files were read.
Watched = tuple[Watch, int]


def unchanged(watched: Iterable[Watched], now: float) -> bool:
    """Whether no file has changed since it was read. Looks only at those that are due.

    :param now: the time, in seconds of ``time.monotonic``.
    """
    writes = content.writes
    for watch, version in watched:
        # Asked for each request to any host, so compared here: a method call would cost more.
        if now >= watch.look_at or watch.writes != writes:
            watch.look()
        if watch.version != version:
            return False
    return True


_now = time.time  # of the same kind as the time stamps of files

_HOME = "USERPROFILE" if os.name == "nt" else "HOME"  # as os.path.expanduser reads it

#: The variables that the trusted hosts depend on.
HOST_VARIABLES = ("CAVE_AUTH_HOSTS", "CLOUD_VOLUME_DIR", _HOME)
#: The variables that the token of a host depends on.
TOKEN_VARIABLES = (
    "CAVE_TOKEN",
    "CAVE_TOKEN_FILE",
    "CAVE_TOKEN_COMMAND",
    "CAVE_AUTH_ACCOUNT",
    "CAVE_AUTH_KEYRING",
    *HOST_VARIABLES,
)

_ENVIRON = os.environ  # a test may put another in its place
_BYTES: Any = getattr(os, "environb", None)  # a view of it; None: on Windows


class Variables:
    """The values of some environment variables at one time. ``repr`` shows none: it may be a token.

    Each signed request looks at them. Where Python has ``os.environb``, that is used: it does not
    encode the names, and takes a third less time for a variable that is not set.

    >>> Variables(["HOME"]).are_current()
    True
    """

    def __init__(self, names: Iterable[str]):
        self._environ = os.environ
        by_bytes = _BYTES is not None and self._environ is _ENVIRON
        self._mapping: Any = _BYTES if by_bytes else self._environ
        keys: dict[str, Any] = {name: os.fsencode(name) if by_bytes else name for name in names}
        self._values = tuple((name, key, self._mapping.get(key)) for name, key in keys.items())

    def are_current(self) -> bool:
        """Whether none has changed since."""
        if os.environ is not self._environ:
            return False
        environ = self._mapping
        for _, name, before in self._values:
            try:  # most are unset: environ.get() would raise twice for each, at every request
                if environ[name] != before:
                    return False
            except KeyError:
                if before is not None:
                    return False
        return True

    def without(self, names: Collection[str]) -> Variables:
        """The same but for some of them."""
        fewer = copy.copy(self)
        fewer._values = tuple(pair for pair in self._values if pair[0] not in names)
        return fewer
