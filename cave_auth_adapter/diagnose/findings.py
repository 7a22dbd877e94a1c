"""The findings of ``doctor``, and how it fixes them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..redaction import without_token
from ..shells import quoted


@dataclass
class Finding:
    """The result of a check.

    :ivar level: ``"ok"``, ``"note"`` (worth knowing) or ``"problem"``.
    :ivar fix: fixes it safely, and returns what it did; None: there is no safe fix.
    :ivar question: what to ask before; None: the fix loses nothing.
    """

    level: str
    text: str
    fix: Callable[[], str] | None = None
    question: str | None = None

    def __post_init__(self) -> None:
        self.text = without_token(self.text)  # a variable may hold a token in place of a path


def fixed(finding: Finding) -> Finding:
    """Fix a finding, and return the new one."""
    if finding.fix is None:
        return finding
    try:
        return Finding("ok", finding.fix())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return Finding("problem", f"{finding.text} It can't be fixed: {reason}.")


def exposed(path: Path, wanted: int, root: Path) -> Iterator[Finding]:
    """Check that only the owner can use a path.

    :param wanted: the right mode.
    :param root: the directory of secret files. The target of a link to elsewhere is not changed: it
        may be shared on purpose.
    """
    if os.name == "nt":  # the mode does not show the access control lists of Windows
        return
    try:
        state = path.stat()
        read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError as error:
        yield Finding("problem", f"{path} can't be checked: {(error.strerror or '').lower()}.")
        return
    mode = stat.S_IMODE(state.st_mode)
    if not mode & 0o077 or read_only:
        return
    text = f"{path} has mode {mode:04o}: "
    if state.st_uid != os.geteuid():
        yield Finding("problem", text + "others can use it, and it belongs to another user.")
    elif reason := _not_ours_to_change(path, state, root):
        command = f"chmod {wanted:o} {quoted(os.path.realpath(path))}"
        yield Finding("problem", f"{text}others can use it. It {reason}; if it is yours: {command}")
    else:
        yield Finding("problem", text + "others can use it.", _tighten(path, wanted))


def _not_ours_to_change(path: Path, state: os.stat_result, root: Path) -> str | None:
    """Why a file may have another purpose, so that its mode is not changed; None if not."""
    target = Path(os.path.realpath(path))
    if path == root:
        return f"is a link to {target}" if path.is_symlink() else None
    if target.parent != Path(os.path.realpath(root)):
        return f"is a link to {target}"
    if not stat.S_ISREG(state.st_mode):
        return "is not a file"
    return "has another name somewhere, as a hard link" if state.st_nlink > 1 else None


def _tighten(path: Path, wanted: int) -> Callable[[], str]:
    def fix() -> str:
        # By descriptor: another file may have the name by now.
        descriptor = os.open(os.path.realpath(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            os.fchmod(descriptor, mode & wanted)
        finally:
            os.close(descriptor)
        return f"{path} had mode {mode:04o}; now it has {mode & wanted:04o}."

    return fix
