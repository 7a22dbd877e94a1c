"""Command lines that can be pasted, into the shell of the system that the tests run on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from cave_auth_adapter.shells import assignment, quoted

WORDS = ["minnie", "my lab", "o'brien", "$HOME", "$(id)", "`id`", "a;b", "*", '"', "#x", "@y", "-z"]
SHELL = ["sh", "-c"]
if os.name == "nt":
    SHELL = [shutil.which("pwsh") or shutil.which("powershell") or "", "-NoProfile", "-Command"]

# Wine has a powershell.exe that does nothing.
needs_shell = pytest.mark.skipif(
    subprocess.run([*SHELL, "echo works"], capture_output=True).stdout.strip() != b"works"
    if SHELL[0]
    else True,
    reason="there is no PowerShell here",
)


def test_a_command_line_is_quoted_for_its_shell() -> None:
    word, line = quoted("o'brien's C:\\"), assignment("NAME", "a,b")
    if os.name == "nt":
        assert (word, line) == ("'o''brien''s C:\\'", "$env:NAME = 'a,b'")
        assert quoted(r"C:\Users\me\a-b.json") == r"C:\Users\me\a-b.json"
    else:
        assert line == "export NAME=a,b"


@needs_shell
@pytest.mark.parametrize("word", WORDS)
def test_a_real_shell_reads_the_words_back(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os; print(os.environ['NAME'], end='')"
    call = "& " if os.name == "nt" else ""
    python = call + ("'{}'" if os.name == "nt" else "{}").format(sys.executable)
    line = f'{assignment("NAME", word)}; {python} -c "{code}"'
    done = subprocess.run([*SHELL, line], capture_output=True, text=True, timeout=60)
    assert done.stdout == word, done.stderr
    done = subprocess.run([*SHELL, f"echo {quoted(word)}"], capture_output=True, text=True)
    assert done.stdout.strip() == word, done.stderr
