"""Notice that a file or an environment variable has changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

from . import store

LOOK_INTERVAL = 1.0  # seconds between two looks at the same file or directory, at least
_LOOK_SHARE = 0.001  # of the time goes into looking, at most: a stat over a network can be slow
_LOOK_LIMIT = 60.0  # seconds between two looks, at most: one stat that hung is no rule


class Watch:
    """A file or directory whose changes are noticed, at one ``stat`` per interval at most.

    A file that is written again within the grain of its time stamp, in place and with the same
    size, escapes it. A token that is refused is looked for without asking the watch.

    :ivar version: a number that changes when the file does.
    :ivar look_at: when to look again, in seconds of ``time.monotonic``.
    :ivar writes: what ``store.writes`` was at the last look; another number is a reason to look.

    Whoever uses it compares the last two by itself: that is done for each request to any host, and
    calling a method would cost more than the comparison.
    """

    def __init__(self, path: Path):
        self._path = path
        self._signature: tuple[int, ...] | None = None
        self.version = 0
        self.look_at = 0.0
        self.writes = -1

    def look(self) -> int:
        """Look at it now, and return the version."""
        start, writes = time.monotonic(), store.writes
        # Set first, so that other threads don't look too. They may: it costs a stat, no more. They
        # must after a write, which is to be seen at once by the thread that wrote.
        self.look_at = start + LOOK_INTERVAL
        try:
            stat = os.stat(self._path)
            signature = (
                *(stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_dev),
                *(stat.st_mode, stat.st_uid),  # they count for who is trusted
            )
        except (OSError, ValueError):  # a NUL in a name is a ValueError
            signature = None
        if signature != self._signature:
            self._signature = signature
            self.version += 1
        self.writes = writes
        took = time.monotonic() - start
        self.look_at = start + min(max(LOOK_INTERVAL, took / _LOOK_SHARE), _LOOK_LIMIT)
        return self.version


_VARIABLES = (
    "CAVE_TOKEN",
    "CAVE_TOKEN_FILE",
    "CAVE_AUTH_HOSTS",
    "CAVE_AUTH_KEYRING",
    "CLOUD_VOLUME_DIR",
    "USERPROFILE" if os.name == "nt" else "HOME",  # as os.path.expanduser asks
)
# As os.environ keeps them; it is not asked, for it may be another object by now.
_KEPT = map(str if os.name == "nt" else os.fsencode, _VARIABLES)
_TOKEN, _TOKEN_FILE, _HOSTS, _KEYRING, _DIRECTORY, _HOME = _KEPT


def environment() -> tuple[object, ...]:
    """What to compare in order to know whether a variable has changed."""
    try:
        # os.environ.get raises and catches an error inside for a variable that is not set, as most
        # are, and this is asked for each request to any host: six of those would cost more than all
        # the rest of the decision. The mapping below it is the same since Python 3.2.
        get = os.environ._data.get  # type: ignore[attr-defined]
        return (
            get(_TOKEN),
            get(_TOKEN_FILE),
            get(_HOSTS),
            get(_KEYRING),
            get(_DIRECTORY),
            get(_HOME),
        )
    except AttributeError:  # os.environ is another object now, in somebody's test say
        return tuple(map(os.environ.get, _VARIABLES))
