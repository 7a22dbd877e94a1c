"""A kernel as a front end sees it: cells that print, ask, fail, and can be interrupted."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .lab import SECONDS


class Kernel:
    """One IPython kernel, and a front end with a box for answers."""

    def __init__(self, manager: Any):
        self._manager = manager
        self._client: Any = None
        self.reconnect()

    def reconnect(self) -> None:
        """Close the tab, so that what is asked there is lost, and open another one."""
        if self._client:
            self._client.stop_channels()
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=SECONDS)

    def close(self) -> None:
        self._client.stop_channels()

    def run(self, cell: str, *answers: str | None) -> str:
        """Run a cell to its end; what it shows, errors included.

        :param answers: to what it asks. None: interrupt the kernel in place of an answer.
        """
        self.start(cell)
        return self.finish(*answers)

    def finish(self, *answers: str | None) -> str:
        """Wait for the end of a cell that has been started, as :meth:`run` does."""
        left = list(answers)
        shown = []
        for kind, text in self._messages():
            if kind == "prompt" and (answer := left.pop(0)) is not None:
                self._client.input(answer)
            elif kind == "prompt":
                self._manager.interrupt_kernel()
            shown.append(f"{text}\n" if kind == "prompt" else text)
        assert not left, f"it asked less: {shown}"
        return "".join(shown)

    def start(self, cell: str) -> None:
        """Run a cell, and don't wait for its end."""
        self._running = self._client.execute(cell, allow_stdin=True)

    def wait_for_prompt(self) -> None:
        """Wait until the cell asks something."""
        self._client.get_stdin_msg(timeout=SECONDS)

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def _messages(self) -> Iterator[tuple[str, str]]:
        """What the kernel sends for the cell that runs: the kind, and a text as people see it."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(queue.Empty):
                yield "prompt", self._client.get_stdin_msg(timeout=0.05)["content"]["prompt"]
            with contextlib.suppress(queue.Empty):
                message = self._client.get_iopub_msg(timeout=0.05)
                if message["parent_header"].get("msg_id") != self._running:
                    continue
                kind, content = message["msg_type"], message["content"]
                if kind == "status" and content["execution_state"] == "idle":
                    return
                yield kind, _text(kind, content)
        raise AssertionError("the cell did not end")


def _text(kind: str, content: dict[str, Any]) -> str:
    if kind == "error":
        return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(content["traceback"])) + "\n"
    if kind in ("display_data", "execute_result"):
        return f"{content['data'].get('text/plain')}\n"
    return str(content.get("text", ""))


@contextlib.contextmanager
def running_kernel() -> Iterator[Kernel]:
    """Start a kernel in which the command `cave-auth` is found."""
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name="python3")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "PATH": programs}
    environ.pop("PYTEST_CURRENT_TEST")  # with it, ipykernel does not show what processes print
    manager.start_kernel(env=environ)
    kernel = Kernel(manager)
    try:
        yield kernel
    finally:
        kernel.close()
        manager.shutdown_kernel(now=True)
