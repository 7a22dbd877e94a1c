"""Does what a page says, as a person would, in one sitting: the program that a test starts.

It reads blocks, ``[language, code, line]`` in JSON, from stdin, and writes what each showed to the
file that its argument names. Python blocks share their names, as in one notebook; what a shell
block exports stays exported.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    page, result = sys.argv[1], Path(sys.argv[2])
    names: dict[str, Any] = {"__name__": "__main__"}
    shown: list[str] = []
    for language, code, line in json.load(sys.stdin):
        if language == "python":
            shown.append(run_python(code, page, line, names))
        elif language == "snakemake":
            Path("Snakefile").write_text(code)
            shown.append("")
        else:
            # In a terminal session a command may fail, and show that.
            shown.append(run_shell(code, f"{page}, line {line}", may_fail=language == "console"))
        result.write_text(json.dumps(shown))


def run_python(code: str, page: str, line: int, names: dict[str, Any]) -> str:
    if title := re.match(r"# ([\w-]+\.py)\n", code):  # a script that the reader saves
        Path(title[1]).write_text(code)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        if re.search(r"^%", code, re.MULTILINE):
            run_cell(code, names)
        else:
            # Empty lines in front, so that line numbers in a traceback are those of the page.
            exec(compile("\n" * (line - 1) + code, page, "exec"), names)
    return out.getvalue()


def run_cell(code: str, names: dict[str, Any]) -> None:
    """A cell of a notebook, with magic commands."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance(user_ns=names)
    shell.run_cell(code).raise_error()


def run_shell(code: str, where: str, *, may_fail: bool) -> str:
    done = subprocess.run(
        ["bash", "-e", "-c", f'trap "env -0 > $HOME/.environment" EXIT\n{code}'],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    print(f"$ {code}\n{done.stdout}", file=sys.stderr)
    if done.returncode and not may_fail:
        sys.exit(f"{where}: exit code {done.returncode}")
    for entry in (Path.home() / ".environment").read_text().split("\0"):
        name, _, value = entry.partition("=")
        if name and name not in ("_", "SHLVL"):
            os.environ[name] = value
    return done.stdout


if __name__ == "__main__":
    main()
