"""The steps and the words of a login at a terminal, as docs/login.md has them.

Those in notebooks, and those of `hf auth login`, are measured by `make notebooks`,
and that on Windows by `make windows`.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from cave_auth_adapter.sandbox import Sandbox

from ..support.systems import posix_only
from .conftest import consent, wait_for
from .walk import Walk, numbers, row_of

pytestmark = posix_only  # pexpect

_COMMAND = "run `cave-auth login`"


def terminal(sandbox: Sandbox) -> Any:
    import pexpect

    return pexpect.spawn(
        sys.executable,
        ["-m", "cave_auth_adapter", "login", sandbox.auth_server],
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 100),
    )


def test_a_login_at_a_terminal_takes_what_the_page_says(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser of a desktop: it is opened, and what it ends on is the page of success."""
    opened = tmp_path / "opened"
    monkeypatch.setenv("BROWSER", f"sh -c 'echo \"$0\" > {shlex.quote(str(opened))}' %s")
    walk = Walk()
    walk.step(_COMMAND)
    child = terminal(sandbox)
    address = wait_for(lambda: opened.exists() and opened.read_text().strip())
    walk.step("log in")
    visit(consent(address, sandbox))
    child.expect("Logged in to")
    walk.shown(child.before + child.after)
    child.close(force=True)
    assert walk.row == row_of("a terminal")


def test_a_login_over_ssh_takes_what_the_page_says(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")
    walk = Walk()
    walk.step(_COMMAND)
    child = terminal(sandbox)
    child.expect("not shown")
    walk.shown(child.before + child.after)
    (address,) = re.findall(r"https://\S+authorize\S+", re.sub(r"\r\n(?! )", "", child.before))
    walk.step("open the address")
    walk.step("log in")
    callback = consent(address, sandbox)
    walk.step("paste the last address")
    child.sendline(callback)
    child.expect("Logged in to")
    walk.shown(child.before + child.after)
    child.close(force=True)
    assert walk.row == row_of("SSH")


def visit(callback: str) -> None:
    import requests

    requests.get(callback, timeout=20)


PLACES = (
    *("a terminal", "Windows", "SSH"),
    *("a notebook", "`!cave-auth login` in a notebook", "JupyterHub"),
)


@pytest.mark.parametrize("place", PLACES)
def test_no_place_asks_more_of_a_person_than_hf(place: str) -> None:
    steps, words = numbers(place)
    most_steps, most_words = numbers("`hf auth login`")
    assert steps <= most_steps
    assert words <= most_words
