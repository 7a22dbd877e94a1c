"""What `cave-auth run` and `enable` add to a start of Python, and what our import takes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

from .measure import Row, Spread, in_turn

_ROUNDS, _RUNS = 8, 4  # of each round the fastest run counts, as everywhere here
_MEASURE = (
    "import requests, time; start = time.process_time(); import cave_auth_adapter; "
    "print(time.process_time() - start)"
)


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as directory:
        plain, enabled = (environment(Path(directory) / name) for name in ("plain", "enabled"))
        subprocess.run([enabled, "-m", "cave_auth_adapter", "enable"], check=True)
        commands = {"plain": [plain], "enabled": [enabled], "run": [console_script(plain), "run"]}
        ways = {
            name: lambda command=command: subprocess.run([*command, "-c", "pass"], check=True)
            for name, command in commands.items()
        }
        result = in_turn(ways, rounds=25, calls=5, warm=False, clock=_children)
        added = result.added("enabled", "plain")
        what = "an enabled interpreter that runs `pass`: more"
        yield Row(what, added.show(" ms", 1e3), "< 2 ms", added.median < 0.002)
        times = result.ratio("run", "plain")
        what = "`cave-auth run -c pass` against `python -c pass`"
        yield Row(what, times.show(" x"), "≤ 3 x", times.median <= 3)

        listing = subprocess.run(
            [enabled, "-X", "importtime", "-c", "pass"], check=True, capture_output=True, text=True
        ).stderr
        names = [line.rpartition("|")[2].strip() for line in listing.splitlines()]
        if "cave_auth_startup" not in names:
            raise RuntimeError("The enabled environment does not find the package.")
        heavy = sum(name.partition(".")[0] in ("requests", "urllib3") for name in names)
        what = "modules of requests and urllib3 that it imports"
        yield Row(what, str(heavy), "0", heavy == 0)
        yield importing(plain)


def _children() -> float:
    """Processor seconds of the processes started so far; what else runs here does not count."""
    times = resource.getrusage(resource.RUSAGE_CHILDREN)
    return times.ru_utime + times.ru_stime


def importing(python: str) -> Row:
    """The import after that of requests, in fresh processes."""
    taken = []
    for _ in range(_ROUNDS):
        runs = [
            subprocess.run([python, "-c", _MEASURE], check=True, capture_output=True)
            for _ in range(_RUNS)
        ]
        taken.append(min(float(run.stdout) for run in runs))
    spread = Spread.of(taken)
    what = "`import cave_auth_adapter` after `import requests`"
    return Row(what, spread.show(" ms", 1e3), "< 15 ms", spread.median < 0.015)


def environment(directory: Path) -> str:
    """A virtual environment that finds the packages of this one."""
    venv.create(directory)
    python = directory / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", where], check=True, capture_output=True, text=True)
    paths = "\n".join(path for path in sys.path if path)
    Path(site.stdout.strip(), "packages.pth").write_text(paths)
    return str(python)


def console_script(python: str) -> str:
    """The command `cave-auth` of an environment, as pip writes it."""
    script = Path(python).with_name("cave-auth")
    lines = [
        f"#!{python}",
        "import re",
        "import sys",
        "from cave_auth_startup.command import main",
        "if __name__ == '__main__':",
        r"    sys.argv[0] = re.sub(r'(-script\.pyw|\.exe)?$', '', sys.argv[0])",
        "    sys.exit(main())",
    ]
    script.write_text("\n".join(lines))
    script.chmod(0o755)
    # With the plain environment active, as in a shell, `run` takes its Python.
    os.environ["VIRTUAL_ENV"] = str(script.parent.parent)
    return str(script)
