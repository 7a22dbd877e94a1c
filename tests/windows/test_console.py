"""Windows' Python at a console, driven from Linux: Wine makes a pseudo-terminal its console.

`make windows` runs these with the Python of Linux, behind the tests that run in Windows' own.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cave_auth_adapter.sandbox import Sandbox

from ..login.conftest import consent, wait_for
from ..login.walk import Walk, row_of

PYTHON = Path(f"{sys.prefix}-windows", "windows", "python.exe")
pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not shutil.which("wine") or not PYTHON.exists(),
    reason="needs Wine, and the Python of Windows that `make windows` sets up",
)
Console = Callable[..., Any]


def windows(path: Path) -> str:
    """A path of Linux as Wine has it."""
    return "Z:" + str(path).replace("/", "\\")


@pytest.fixture
def console(tmp_path: Path) -> Console:
    """Start Windows' Python at a console of its own, with secret files of its own."""
    import pexpect

    def start(*arguments: str, **environ: str) -> Any:
        of_wine = {"WINEPREFIX": str(PYTHON.parents[1] / "prefix"), "WINEDEBUG": "-all"}
        # Wine sets USERPROFILE itself.
        home = {"CLOUD_VOLUME_DIR": windows(tmp_path / ".cloudvolume")}
        return pexpect.spawn(
            "wine",
            [str(PYTHON), *arguments],
            env={**os.environ, **of_wine, **home, "TERM": "xterm", **environ},
            encoding="utf-8",
            timeout=120,
            dimensions=(50, 160),  # no address is broken
        )

    return start


def shown(text: str) -> str:
    """What Wine draws: it moves the cursor over a blank in place of writing one."""
    return re.sub(r"\x1b\[(\d*)C", lambda move: " " * int(move[1] or 1), text)


def ended(child: Any) -> tuple[str, int]:
    import pexpect

    child.expect(pexpect.EOF)
    child.close()
    return shown(child.before), child.exitstatus


def test_a_login_takes_what_the_page_says(
    console: Console, sandbox: Sandbox, tmp_path: Path
) -> None:
    note = tmp_path / "note.py"
    note.write_text("import sys; open(sys.argv[1], 'w').write(sys.argv[2])")
    browser = f"{PYTHON} {note} {tmp_path / 'opened'} %s"
    walk = Walk()
    walk.step("run `cave-auth login`")
    child = console("-m", "cave_auth_adapter", "login", sandbox.auth_server, BROWSER=browser)
    opened = tmp_path / "opened"
    address = wait_for(lambda: opened.exists() and opened.read_text())
    walk.step("log in")
    import requests

    requests.get(consent(address, sandbox), timeout=20)
    child.expect("Logged in to")
    walk.shown(shown(child.before + child.after))
    child.expect("Send your token there, too")
    child.send("y\r")
    said, code = ended(child)
    assert code == 0, said
    assert walk.row == row_of("Windows")
    found = tmp_path / ".cloudvolume" / "secrets"
    assert len(list(found.glob("localhost@*-cave-secret.json"))) == 2


# kbhit() sees no key in Wine 8 before somebody has read from the console, so this reads an event.
WAKE = """
import ctypes, sys
kernel, count, event = ctypes.windll.kernel32, ctypes.c_ulong(), (ctypes.c_byte * 20)(0x10)
console = kernel.GetStdHandle(-10)
kernel.WriteConsoleInputW(console, event, 1, ctypes.byref(count))
kernel.ReadConsoleInputW(console, event, 1, ctypes.byref(count))
sys.argv[0] = "cave-auth"
from cave_auth_startup.command import main
main()
"""


def test_a_paste_is_not_shown(console: Console, sandbox: Sandbox, tmp_path: Path) -> None:
    child = console("-c", WAKE, "login", sandbox.auth_server, "--no-browser")
    child.expect("not shown")
    child.send("no address\r")
    child.expect("not shown")
    child.send(f"{sandbox.token}\r")
    child.expect("Send your token there, too")
    before = child.before
    child.send("n\r")
    said, code = ended(child)
    assert code == 0, said
    assert sandbox.token not in before + said
    assert "no address" not in before + said


def test_ctrl_c_at_the_prompt_ends_the_login(console: Console, sandbox: Sandbox) -> None:
    child = console("-c", WAKE, "login", sandbox.auth_server, "--no-browser")
    child.expect("not shown")
    child.send("\x03")
    said, code = ended(child)
    assert code == 130, said
    assert "cave-auth: interrupted." in said
    assert "Traceback" not in said


INTERRUPTED = """
import sys, time
print("ready", flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit(9)
"""


def test_ctrl_c_reaches_the_program_that_run_starts(console: Console, tmp_path: Path) -> None:
    script = tmp_path / "mein Ordner ü" / "skript ä.py"
    script.parent.mkdir()
    script.write_text(INTERRUPTED)
    child = console("-m", "cave_auth_adapter", "run", windows(script))
    child.expect("ready")
    child.send("\x03")
    said, code = ended(child)
    assert code == 9, said
    assert "Traceback" not in said
