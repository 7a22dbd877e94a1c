"""Check and set who can read and write the secret files.

A new file gets the owner, group and mode of the one that it replaces. A file makes its server
trusted only if no other user can have made it. This is for POSIX only: on Windows, the mode does
not show the access control lists, and other users can't write to a user's profile.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Iterator, Set
from pathlib import Path
from typing import NamedTuple

from ..runtime import warn_once
from ..shells import quoted

_PRIVATE_FILE, _PRIVATE_DIRECTORY = 0o600, 0o700
_LESS_OTHERS = 0o770
# Kubernetes mounts each file of a secret as a link to "..data/NAME", with a mode from the pod's
# specification (kubernetes/pkg/volume/util/atomic_writer.go).
_KUBERNETES = "..data/"

# --- What we write -------------------------------------------------------------------------


def make_directory(path: Path) -> None:
    """Make a directory and its missing parents, each with mode 0700 for any umask."""
    missing = list(itertools.takewhile(lambda place: not place.exists(), (path, *path.parents)))
    for place in reversed(missing):
        try:
            os.mkdir(place, _PRIVATE_DIRECTORY)
        except FileExistsError:  # another process was faster
            continue
        if os.name == "posix":
            _adopt_directory(place)


def _adopt_directory(path: Path) -> None:
    if os.geteuid() != 0:
        if stat.S_IMODE(os.stat(path).st_mode) != _PRIVATE_DIRECTORY:
            with contextlib.suppress(OSError):  # some file systems have no modes
                os.chmod(path, _PRIVATE_DIRECTORY)
        return
    # By descriptor: the owner of the parent directory could replace it by something else.
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _set(descriptor, os.stat(path.parent), _PRIVATE_DIRECTORY)
    finally:
        os.close(descriptor)


def adopt(descriptor: int, target: Path, at_least: int = 0) -> None:
    """Give a new file the owner, group and mode of the file that it replaces.

    Others get no rights. If it replaces no file, it gets mode 0600. If root makes it, it belongs to
    the owner of the directory, so that a user can still read it after a command with ``sudo``.

    :param at_least: bits that are always set in the mode.
    """
    if os.name != "posix":
        return
    try:
        before = os.stat(target)
    except FileNotFoundError:
        _set(descriptor, os.stat(target.parent), _PRIVATE_FILE, keep_group=os.geteuid() == 0)
    else:
        _set(descriptor, before, stat.S_IMODE(before.st_mode) & _LESS_OTHERS | at_least)


def _set(descriptor: int, like: os.stat_result, mode: int, *, keep_group: bool = True) -> None:
    """Set the owner (as root), group and mode of an open file, if the file system allows it."""
    is_now = os.fstat(descriptor)
    owner = like.st_uid if os.geteuid() == 0 else is_now.st_uid
    group = like.st_gid if keep_group else is_now.st_gid
    if (owner, group) != (is_now.st_uid, is_now.st_gid):
        try:
            os.fchown(descriptor, owner, group)
        except OSError:
            mode &= _PRIVATE_DIRECTORY  # its group is another one, which gets no rights
    if stat.S_IMODE(is_now.st_mode) != mode:
        with contextlib.suppress(OSError):  # modes can't be changed on vfat and CIFS
            os.fchmod(descriptor, mode)


# --- What we read --------------------------------------------------------------------------


def warn_if_exposed(path: Path) -> None:
    """Warn if others can read a file of this user."""
    if os.name == "posix" and _is_exposed(path):
        warn_once(f"Other users can read {path}. To make it private: chmod 600 {quoted(path)}")


def _is_exposed(path: Path) -> bool:
    try:
        state = os.stat(path)
        if not state.st_mode & stat.S_IROTH or state.st_uid != os.geteuid():
            return False
        return not _is_from_kubernetes(path) and not _is_read_only(path)
    except OSError:  # it was deleted just now
        return False


def _is_from_kubernetes(path: Path) -> bool:
    try:
        return os.readlink(path).startswith(_KUBERNETES)
    except OSError:  # not a link
        return False


def _is_read_only(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


class DoubtfulFile(NamedTuple):
    """A secret file that does not make its server trusted: another user may have made it.

    :ivar server: the server in its name.
    :ivar reason: why another user may have made it.
    :ivar remedy: a command that takes write access from others; None if none helps.
    """

    server: str
    path: Path
    reason: str
    remedy: str | None = None

    def __str__(self) -> str:
        advice = f'If you trust it: export CAVE_AUTH_HOSTS="$CAVE_AUTH_HOSTS,{self.server}"'
        if self.remedy:
            advice = f"To fix that: {self.remedy}"
        return f"{self.path} does not make {self.server} trusted: {self.reason}. {advice}"


def doubt_about(path: Path, server: str, owners: Set[int]) -> DoubtfulFile | None:
    """Check whether another user can have made or replaced a file; None if not.

    This checks the file and its directory, and for a link its target and that one's directory.

    :param owners: the ids of the users who may own them.
    """
    if os.name != "posix":
        return None
    target = Path(os.path.realpath(path))
    for place in dict.fromkeys((path, path.parent, target, target.parent)):
        try:
            state, link = os.stat(place), os.lstat(place)
            writable = _can_be_written_by_everybody(place, state)
            is_linked = place == target and _can_be_linked_by_everybody(target, state)
        except OSError as error:
            reason = f"{place} can't be checked: {(error.strerror or '').lower()}"
            return DoubtfulFile(server, path, reason)
        for uid in (state.st_uid, link.st_uid):
            if uid not in owners:
                reason = f"{place} belongs to another user (uid {uid})"
                return DoubtfulFile(server, path, reason)
        if writable:
            remedy = f"chmod o-w {quoted(place)}"
            return DoubtfulFile(server, path, f"everybody can write to {place}", remedy)
        if is_linked:
            remedy = f"chmod o-w {quoted(place.parent)}"
            reason = f"{place} has another name, and everybody can give it one in {place.parent}"
            return DoubtfulFile(server, path, reason, remedy)
    return None


def _can_be_written_by_everybody(place: Path, state: os.stat_result) -> bool:
    if not state.st_mode & stat.S_IWOTH:
        return False
    # In a sticky directory, users can't replace another user's file (chmod(1)).
    is_sticky = stat.S_ISDIR(state.st_mode) and state.st_mode & stat.S_ISVTX
    return not is_sticky and not _is_read_only(place)


def _can_be_linked_by_everybody(file: Path, state: os.stat_result) -> bool:
    """Whether a file may be a hard link by another user to this user's file of another name.

    macOS allows that in a sticky directory, too (Linux: proc(5), protected_hardlinks).
    """
    return state.st_nlink > 1 and bool(os.stat(file.parent).st_mode & stat.S_IWOTH)


def owners(home: Path, *named: Path) -> frozenset[int]:
    """The users whose files are trusted: this user, root, and the owners of these directories.

    :param home: the home directory. It may belong to another user, as with ``docker -v``. So may
        ``.cloudvolume`` in it, if not everybody can write to the home directory.
    :param named: directories that a variable or code names.
    """
    if os.name != "posix":
        return frozenset()
    found = {os.geteuid(), 0, *_owner(home), *(uid for place in named for uid in _owner(place))}
    with contextlib.suppress(OSError):
        if not os.stat(home).st_mode & stat.S_IWOTH:
            found.update(_owner(home / ".cloudvolume"))
    return frozenset(found)


def _owner(place: Path) -> Iterator[int]:
    with contextlib.suppress(OSError, ValueError):
        yield os.stat(place).st_uid
