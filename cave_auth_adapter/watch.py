"""Notice that a file or an environment variable has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from . import store

LOOK_INTERVAL = 1.0  # seconds between two looks at the same file or directory, at least
_LOOK_SHARE = 0.001  # the share of the time to spend on looking: a stat over a network can be slow
_LOOK_LIMIT = 60.0  # seconds between two looks, at most, so that one slow stat doesn't stop us
_GRAIN = 2.0  # seconds: the resolution of time stamps on FAT, the coarsest


class Watch:
    """Notices changes of a file or directory, with at most one ``stat`` per interval.

    It misses a second write in place within the resolution of time stamps, if the size stays the
    same. After a refusal, files are therefore read without asking the watch.

    :ivar version: a number that changes when the file does.
    :ivar is_settled: whether the next change will give it another time stamp.
    :ivar look_at: when to look again, in seconds of ``time.monotonic``.
    :ivar writes: the value of ``store.writes`` at the last look; if it has changed, look again.

    Callers compare the last two themselves, for each request to any host: a method call would cost
    more than the comparison.
    """

    def __init__(self, path: Path):
        self._path = path
        self._signature: tuple[int, ...] | None = None
        self.version = 0
        self.is_settled = True
        self.look_at = 0.0
        self.writes = -1

    def look(self) -> int:
        """Look at the file now, and return the version."""
        start, writes = time.monotonic(), store.writes
        # Set first, so that other threads rarely look, too; if they do, it costs only a stat. After
        # a write they must look, because the writing thread has to see it at once.
        self.look_at = start + LOOK_INTERVAL
        try:
            stat = os.stat(self._path)
            signature = (
                *(stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_dev),
                *(stat.st_mode, stat.st_uid),  # they decide whether the server is trusted
            )
            self.is_settled = stat.st_mtime + _GRAIN < _now()
        except (OSError, ValueError):  # ValueError: a NUL in the name
            signature, self.is_settled = None, True
        if signature != self._signature:
            self._signature = signature
            self.version += 1
        self.writes = writes
        took = time.monotonic() - start
        self.look_at = start + min(max(LOOK_INTERVAL, took / _LOOK_SHARE), _LOOK_LIMIT)
        return self.version


#: A watch, and its version when the file was read.
Watched = tuple[Watch, int]

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


class Variables:
    """The values of some environment variables at one time. ``repr`` shows none: it may be a token.

    >>> Variables(["HOME"]).are_current()
    True
    """

    def __init__(self, names: Iterable[str]):
        self._values = tuple((name, os.environ.get(name)) for name in names)

    def are_current(self) -> bool:
        """Whether none has changed since."""
        environ = os.environ
        for name, before in self._values:
            try:  # most are unset: environ.get() would raise twice for each, at every request
                if environ[name] != before:
                    return False
            except KeyError:
                if before is not None:
                    return False
        return True

    def without(self, names: Collection[str]) -> Variables:
        """The same without some of them."""
        fewer = Variables(())
        fewer._values = tuple(pair for pair in self._values if pair[0] not in names)
        return fewer
