"""What ``doctor`` finds, and what it does about it."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..redaction import without_token


@dataclass
class Finding:
    """Something that was looked at.

    :ivar level: ``"ok"``, ``"note"`` (worth knowing) or ``"problem"``.
    :ivar fix: fixes it safely, and returns what it did; None: there is no safe fix.
    :ivar question: what to ask before; None: the fix loses nothing.
    """

    level: str
    text: str
    fix: Callable[[], str] | None = None
    question: str | None = None

    def __post_init__(self) -> None:
        self.text = without_token(self.text)  # a variable may hold one in place of a path


def fixed(finding: Finding) -> Finding:
    """Do what is safe about a finding, and return what is to say then."""
    if finding.fix is None:
        return finding
    try:
        return Finding("ok", finding.fix())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return Finding("problem", f"{finding.text} It can't be fixed: {reason}.")


def exposed(path: Path, wanted: int, root: Path) -> Iterator[Finding]:
    """Whether others than the owner can do something with a path.

    :param wanted: the mode that is right.
    :param root: the directory of secret files. What a link leads to outside of it is not changed:
        somebody may have put the link there for that.
    """
    if os.name == "nt":  # access there is by lists that the mode bits don't show
        return
    try:
        state = path.stat()
        read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError as error:
        yield Finding("problem", f"{path} can't be looked at: {(error.strerror or '').lower()}.")
        return
    mode = stat.S_IMODE(state.st_mode)
    if not mode & 0o077 or read_only:
        return
    text = f"{path} has mode {mode:04o}: "
    if state.st_uid != os.geteuid():
        yield Finding("problem", text + "others can use it, and it is not yours.")
    elif reason := _not_ours_to_change(path, state, root):
        command = f"chmod {wanted:o} {shlex.quote(os.path.realpath(path))}"
        yield Finding("problem", f"{text}others can use it. It {reason}; if it is yours: {command}")
    else:
        yield Finding("problem", text + "others can use it.", _tighten(path, wanted))


def _not_ours_to_change(path: Path, state: os.stat_result, root: Path) -> str | None:
    """Why a mode may be that of a thing which has another purpose, in words."""
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
        # By a descriptor: the name may be another thing's by now.
        descriptor = os.open(os.path.realpath(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            os.fchmod(descriptor, mode & wanted)
        finally:
            os.close(descriptor)
        return f"{path} had mode {mode:04o}; it has {mode & wanted:04o} now."

    return fix
