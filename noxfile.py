"""What a release has to hold: the distributions, installed where nothing else is.

``make package`` runs it all. The Pythons that this machine lacks are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import nox

PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
EXTRAS = {
    "sandbox": "from cave_auth_adapter.sandbox import Sandbox\nwith Sandbox() as s: print(s.token)",
    "testing": "import sys, pytest; sys.exit(pytest.main(['tests/kit/thirdparty/neuron_size']))",
    "keyring": "from cave_auth_adapter.bridges.keyring import save; save('0123')",
}
# A keyring that keeps nothing, for a machine without a desktop.
_KEYRING = {"CAVE_AUTH_KEYRING": "1", "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
# The lower bounds in setup.cfg, to the letter.
LOWEST = ["requests==2.32.3", "urllib3==1.26.18", "click==8.1.0", "filelock==3.12.0"]
# What Flask asks for is a newer click.
LOWEST_BESIDE_FLASK = [bound for bound in LOWEST if not bound.startswith("click")]
# The tests that see what a version of requests or urllib3 does differently, and what they import.
TESTS = [
    "unit",
    "integration/test_keep_alive.py",
    "integration/test_keep_alive_closes.py",
    "faults/test_token_change.py",
]
TOOLS = ["gevent", "hypothesis>=6.100", "keyring>=24"]
# The packages that we work with, and the tests that use them.
DEPENDENCIES = ["requests", "urllib3", "caveclient", "cloud-volume", "cloud-files"]
OLDEST_TOOLS = ["caveclient==7.0.0", "cloud-volume==12.0.0", "cloud-files==5.5.0"]
THEIR_TESTS = ["tests/unit", "tests/integration", "tests/login", "tests/cli"]
DIST = Path("build/dist").resolve()

nox.options.sessions = ["distributions", "wheel", "readme", "extras"]
nox.options.default_venv_backend = "venv"
nox.options.error_on_external_run = True
nox.options.error_on_missing_interpreters = False  # which is the default only outside of CI


def _let_pyenv_offer_every_version() -> None:
    """pyenv's python3.x are shims, which work for the selected versions alone."""
    if shutil.which("pyenv"):
        listed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True)
        found = [v for v in listed.stdout.split() if v.rpartition(".")[0] in PYTHONS]
        os.environ.setdefault("PYENV_VERSION", ":".join(found))


_let_pyenv_offer_every_version()


@nox.session
def distributions(session: nox.Session) -> None:
    """Build the sdist, and the wheel from it; validate what they say of themselves."""
    shutil.rmtree(DIST, ignore_errors=True)
    session.install("build", "check-wheel-contents", "twine")
    session.run("python", "-m", "build", "--outdir", str(DIST), silent=True)
    session.run("twine", "check", "--strict", *map(str, DIST.iterdir()))
    session.run(
        "check-wheel-contents", "--toplevel", "cave_auth_adapter,cave_auth_startup", _wheel()
    )


@nox.session(python=PYTHONS)
@nox.parametrize("versions", ["lowest", "newest"])
def wheel(session: nox.Session, versions: str) -> None:
    """The wheel in an empty environment; then some tests, with no source tree in sight."""
    session.install(_wheel(), *(LOWEST if versions == "lowest" else []))
    session.run("python", "-m", "pip", "check")
    tests = _tests_alone(session)
    session.run("python", "-W", "error", "-c", "import cave_auth_adapter, cave_auth_startup")
    session.run("cave-auth", "--version")
    session.run("cave-auth", "hosts", silent=True)
    bounds = LOWEST_BESIDE_FLASK if versions == "lowest" else []
    session.install(f"{_wheel()}[testing]", *TOOLS, *bounds)
    session.run("python", "-m", "pytest", "--quiet", *(str(tests / "tests" / t) for t in TESTS))


@nox.session
def readme(session: nox.Session) -> None:
    """What the README says, line by line, with the wheel alone and the tools that it names."""
    session.install(f"{_wheel()}[testing,tools]", "pyyaml")
    tests = _tests_alone(session)
    session.run("python", "-m", "pytest", "--quiet", str(tests / "tests" / "docs"), "-k", "README")


@nox.session
@nox.parametrize("extra", list(EXTRAS))
def extras(session: nox.Session, extra: str) -> None:
    """Each extra installs, and brings what its part of us needs."""
    session.install(f"{_wheel()}[{extra}]")
    session.run("python", "-m", "pip", "check")
    _tests_alone(session)
    session.run("python", "-c", EXTRAS[extra], env=_KEYRING)


@nox.session
@nox.parametrize("versions", ["lowest", "prereleases"])
def dependencies(session: nox.Session, versions: str) -> None:
    """The tests with the oldest versions that we support, or with pre-releases of the next ones."""
    oldest = [*LOWEST_BESIDE_FLASK, *OLDEST_TOOLS] if versions == "lowest" else []
    session.install("--editable", ".[test]", *oldest)
    if versions == "prereleases":
        session.install("--pre", "--upgrade", *DEPENDENCIES)
    session.run("python", "-m", "pip", "list", silent=False)
    session.run("python", "-m", "pytest", "--numprocesses=auto", *THEIR_TESTS)


def _wheel() -> str:
    [path] = DIST.glob("*.whl")
    return str(path)


def _tests_alone(session: nox.Session) -> Path:
    """Unpack the sdist, take the packages out of it, and go there."""
    away = Path(session.create_tmp()).resolve()
    [sdist] = DIST.glob("*.tar.gz")
    shutil.rmtree(away)
    with tarfile.open(sdist) as archive:
        archive.extractall(away, filter="data")
    [root] = away.iterdir()
    for package in root.glob("cave_auth_*/"):
        shutil.rmtree(package)
    session.chdir(root)
    return root
