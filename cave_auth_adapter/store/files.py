"""Read, lock and replace files. Readers see the old file or the new one, even after a crash.

Errors of the operating system become a :class:`TokenFileError`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from .. import shells
from ..errors import TokenFileError
from . import permissions

if TYPE_CHECKING:
    from filelock import BaseFileLock

# Seconds. A write takes milliseconds, so a longer wait means that a process hangs. It is generous:
# of many waiting processes, any may get the lock next.
_LOCK_TIMEOUT = 30.0
_LOCK_POLL = 0.01
_PATIENCE = 1.0  # seconds to retry on Windows, where another process may have the file open
_PATIENCE_POLL = 0.02
# flock(2) on Lustre without "-o flock", on NFS without a lock daemon, on FUSE
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP})
_LOCKED = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES})
_CIRCLE_OF_LINKS = 1921  # ERROR_CANT_RESOLVE_FILENAME on Windows
_HELD = ".held"  # suffix of a lock file for file systems without locks: it exists while held
# fsync(2) on CIFS, on FUSE, on pipes and the like
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})

T = TypeVar("T")


def _make_writable(path: Path, error: OSError | ValueError) -> str:
    if shells.WINDOWS and isinstance(error, PermissionError) and path.is_file():
        return (
            "If another program has it open, close that, and try again. If it is read-only: "
            f'attrib -r "{path}"'
        )
    return (
        "Set the variable CLOUD_VOLUME_DIR to a directory that you can write to, or set the "
        "variable CAVE_TOKEN to the token."
    )


def _make_lasting() -> str:
    return (
        "It is read more than once, so save the token to a file, or set the variable "
        f"CAVE_TOKEN, as in {shells.output_in('CAVE_TOKEN', 'command')}."
    )


def refusal(path: Path, error: OSError | ValueError, remedy: str | None = None) -> TokenFileError:
    """The error for a path that the operating system refuses."""
    if remedy is None:
        how = "" if shells.WINDOWS else " (chmod u+rw)"
        remedy = f"Replace it with a file that you can read{how}."
    return TokenFileError(path, f"can't be used: {_reason(error)}", remedy)


def _reason(error: OSError | ValueError) -> str:
    if not isinstance(error, OSError):  # the only ValueError that os.open, os.stat and others raise
        return "its name has a NUL character in it"
    if getattr(error, "winerror", None) == _CIRCLE_OF_LINKS:
        return "too many levels of symbolic links"
    return (error.strerror or type(error).__name__).lower()


def names_in(directory: Path) -> list[str]:
    """The names of the files in a directory; none if there is no such directory.

    :raises TokenFileError: if it can't be listed.
    """
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        raise refusal(directory, error) from error


def read(path: Path, limit: int) -> bytes | None:
    """The content of a file, up to ``limit`` bytes; None if there is no such file.

    :raises TokenFileError: if it can't be read, or is not a regular file.
    """
    try:
        with _insist(lambda: open(path, "rb", opener=_open_at_once), _is_readable(path)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise TokenFileError(path, "is not a file but a pipe or a device", _make_lasting())
            return file.read(limit)
    except TokenFileError:
        raise
    except (OSError, ValueError) as error:
        # ENAMETOOLONG: a host name of 253 characters makes a file name that is too long.
        if isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            if not is_below_a_file(path):
                return None
            error = NotADirectoryError(errno.ENOTDIR, "not a directory")
        if isinstance(error, PermissionError) and os.path.isdir(path):  # Windows: a directory
            error = IsADirectoryError(errno.EISDIR, "is a directory")
        raise refusal(path, error) from error


def is_below_a_file(path: Path) -> bool:
    """Whether a file is where a directory should be. POSIX raises ENOTDIR for that, Windows not."""
    if os.name != "nt":
        return False
    return next((not place.is_dir() for place in path.parents if place.exists()), False)


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without blocking: a named pipe may have no writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _is_readable(path: Path) -> Callable[[], bool]:
    return lambda: os.access(path, os.R_OK) and not path.is_dir()


def _insist(act: Callable[[], T], is_allowed: Callable[[], bool] = lambda: True) -> T:
    """Retry for a second if access is denied although it should be allowed.

    Windows denies access while another process has the file open or is replacing it.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return act()
        except PermissionError as error:
            if error.errno != errno.EACCES or time.monotonic() >= until or not is_allowed():
                raise
        time.sleep(_PATIENCE_POLL)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[Path]:
    """Lock a file; make its directory if it is missing. Yields the path to write to.

    The target of a link is locked and written, so that the link stays.

    :raises TokenFileError: for any error of the operating system, also in the block.
    """
    from filelock import Timeout  # slow to import, and most processes write nothing

    try:
        target = Path(os.path.realpath(path))
        permissions.make_directory(target.parent)
        lock = _lock_of(target)
        with lock.acquire(poll_interval=_LOCK_POLL):
            yield target
    except Timeout as error:
        problem = f"another process has held its lock for {_LOCK_TIMEOUT:.0f} seconds"
        remedy = "Stop that process, and save again."
        if error.lock_file.endswith(_HELD):
            remedy = f"If that process is gone, delete its lock: {shells.removal(error.lock_file)}"
        raise TokenFileError(path, problem, remedy) from None
    except TokenFileError:
        raise
    except (OSError, ValueError) as error:
        raise refusal(path, error, _make_writable(path, error)) from error


def _lock_of(target: Path) -> BaseFileLock:
    from filelock import FileLock

    path = target.with_name(f".{target.name}.lock")
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        state = os.fstat(descriptor)
        if state.st_nlink == 1:  # otherwise it is a hard link to another file
            permissions.adopt(descriptor, target, at_least=0o600)  # users who may write may lock
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        has_locks = _has_locks(descriptor)
    finally:
        os.close(descriptor)
    if has_locks:
        return FileLock(path, timeout=_LOCK_TIMEOUT, mode=mode)
    from filelock import SoftFileLock  # rarely needed

    return SoftFileLock(path.with_suffix(_HELD), timeout=_LOCK_TIMEOUT, mode=mode)


def _has_locks(descriptor: int) -> bool:
    """Whether the file system has locks. filelock 3.12 takes each error to mean "locked".

    :raises OSError: if locking fails for another reason.
    """
    try:
        import fcntl
    except ImportError:  # Windows always has locks
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS | _LOCKED:
            raise
        return error.errno in _LOCKED
    return True


def replace(target: Path, text: str) -> None:
    """Replace a file atomically. Hold its lock.

    :raises OSError: if that fails; the old file is not changed then.
    """
    prefix = f".{target.name}.new-"
    # We hold the lock, so any temporary file is left from a process that was killed.
    with contextlib.suppress(OSError):
        for stale in target.parent.iterdir():
            if stale.name.startswith(prefix):
                stale.unlink()
    descriptor, temporary = tempfile.mkstemp(prefix=prefix, dir=target.parent)  # mode 0600
    try:
        with open(descriptor, "wb") as file:
            permissions.adopt(descriptor, target)
            file.write(text.encode())
            file.flush()
            _sync(descriptor)
        _insist(lambda: os.replace(temporary, target))
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_directory(target.parent)


def remove(path: Path) -> None:
    """Remove a file, if it exists."""
    _insist(lambda: path.unlink(missing_ok=True))


def _sync(descriptor: int) -> None:
    """Write a file to the disk (fsync(2)), if the file system supports that."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _sync_directory(directory: Path) -> None:
    """Make a rename durable (fsync(2)): the new name is in the directory."""
    if os.name == "nt":  # a directory can't be opened there
        return
    with contextlib.suppress(OSError):  # some file systems don't support it
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
