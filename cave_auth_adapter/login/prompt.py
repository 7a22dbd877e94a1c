"""Read a hidden line from the terminal while waiting for something else.

Afterwards, the terminal is as before, and the shell does not see what was typed.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Protocol

_MORE = 0.1  # seconds to wait for the next line of a paste
_BYTES = 1 << 16  # the most bytes of a paste


class HiddenLine(Protocol):
    """The input of a terminal."""

    def read(self) -> str | None:
        """The lines that were entered; None if no line is complete yet.

        :raises EOFError: at the end of the input.
        """

    def fileno(self) -> int | None:
        """A descriptor to wait for input with, if there is one."""


@contextlib.contextmanager
def hidden_line() -> Iterator[HiddenLine | None]:
    """Turn off the echo of the terminal; None if there is no terminal to read from."""
    if sys.stdin is None or not sys.stdin.isatty():
        yield None
    elif os.name == "nt":
        yield _WindowsLine()
    else:
        with _without_echo(sys.stdin.fileno()) as line:
            yield line


@contextlib.contextmanager
def _without_echo(descriptor: int) -> Iterator[_PosixLine | None]:
    import termios

    try:
        if os.tcgetpgrp(descriptor) != os.getpgrp():  # a background job would be stopped
            yield None
            return
        before = termios.tcgetattr(descriptor)
    except (OSError, termios.error):
        yield None
        return
    silent = [*before]
    silent[3] = before[3] & ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN, silent)
    try:
        yield _PosixLine(descriptor)
    finally:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


class _PosixLine:
    def __init__(self, descriptor: int):
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def read(self) -> str | None:
        received, wait = b"", 0.0
        while len(received) < _BYTES and self._is_readable(wait):
            part = os.read(self._descriptor, 4096)
            if not part and not received:
                raise EOFError
            if not part:
                break
            received, wait = received + part, _MORE
        return received.decode("utf-8", "replace") if received else None

    def _is_readable(self, seconds: float) -> bool:
        import select

        return bool(select.select([self._descriptor], [], [], seconds)[0])


class _WindowsLine:
    def __init__(self) -> None:
        self._received = ""

    def fileno(self) -> None:
        return None

    def read(self) -> str | None:
        import msvcrt

        until = time.monotonic()
        while len(self._received) < _BYTES and (
            msvcrt.kbhit() or time.monotonic() < until  # type: ignore[attr-defined]
        ):
            if not msvcrt.kbhit():  # type: ignore[attr-defined]
                time.sleep(0.01)
                continue
            character = msvcrt.getwch()  # type: ignore[attr-defined]
            if character == "\x03":
                raise KeyboardInterrupt
            if character == "\x1a":
                raise EOFError
            self._received += "\n" if character == "\r" else character
            if character == "\r":
                until = time.monotonic() + _MORE
        if "\n" not in self._received:
            return None
        received, self._received = self._received, ""
        return received
