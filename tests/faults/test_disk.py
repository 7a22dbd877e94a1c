"""A real full disk, file size limit and read-only mount while a token is saved."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from cave_auth_adapter import CaveAuth, TokenFileError, TokenStore

from ..support.doors import DOORS, session_through
from ..support.faulty import GOOD
from ..support.stub import TOKEN
from .conftest import Serve

OTHER = "fedcba9876543210fedcba9876543210"
KEYS = {f"datastack {number}": f"{number:032x}" for number in range(100)}  # 5 kB


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Fill a file system to its last byte."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            return filler


def old_content_stands(directory: Path) -> bool:
    """Whether the file is unchanged, nothing is left beside it, and its lock is free."""
    (path,) = directory.glob("*-secret.json")
    assert json.loads(path.read_text()) == {"token": TOKEN, **KEYS}
    assert sorted(os.listdir(directory)) in ([path.name], [f".{path.name}.lock", path.name])
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=1):
        return True


@pytest.mark.parametrize("door", DOORS)
def test_a_full_disk_is_an_error_and_loses_nothing(
    small_disk: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    monkeypatch.setenv("CLOUD_VOLUME_DIR", str(small_disk))
    server, store = serve(lambda seen: GOOD), TokenStore()
    path = store.save(TOKEN, server.host)
    path.write_text(json.dumps({"token": TOKEN, **KEYS}))
    filler = fill(small_disk)

    for _ in range(3):
        with pytest.raises(TokenFileError, match="no space left on device") as caught:
            store.save(OTHER, server.host, overwrite=True)
        assert caught.value.filename == str(path)
        assert old_content_stands(path.parent)
    with session_through(door, CaveAuth(hosts=[server.host])) as session:
        assert session.get(server.url).ok
    assert server.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"

    filler.unlink()
    store.save(OTHER, server.host, overwrite=True)
    assert json.loads(path.read_text()) == {"token": OTHER, **KEYS}


def test_a_read_only_disk_is_an_error_and_loses_nothing(small_disk: Path) -> None:
    store = TokenStore(small_disk / "secrets")
    path = store.save(TOKEN)
    path.write_text(json.dumps({"token": TOKEN, **KEYS}))
    remount = ["mount", "-o", "remount,{}", str(small_disk)]
    subprocess.run([word.format("ro") for word in remount], check=True)

    with pytest.raises(TokenFileError, match="read-only file system"):
        store.save(OTHER, overwrite=True)
    assert store.load() == TOKEN

    subprocess.run([word.format("rw") for word in remount], check=True)
    assert old_content_stands(path.parent)
    store.save(OTHER, overwrite=True)
    assert store.load() == OTHER


Run = Callable[[str], None]
NOBODY = 65534
# Import before the change of user, who may not be able to read the packages.
START = """
import encodings.idna, json, os, resource, shutil, signal, sys
from pathlib import Path
import filelock, requests, cave_auth_adapter
from cave_auth_adapter import CaveAuth, TokenFileError, TokenStore
TokenStore(sys.argv[1] + "/warm-up").save("0123456789abcdef")
shutil.rmtree(sys.argv[1] + "/warm-up")
"""
DROP = f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"


@pytest.fixture
def run_as_nobody() -> Iterator[Run]:
    """Run a script as an unprivileged user, in that user's own directory."""
    place = Path(tempfile.mkdtemp())
    if is_root := os.geteuid() == 0:
        os.chown(place, NOBODY, NOBODY)
    start = START + (DROP if is_root else "")

    def run(script: str) -> None:
        environment = {**os.environ, "HOME": str(place), "CLOUD_VOLUME_DIR": str(place)}
        result = subprocess.run(
            [sys.executable, "-c", start + script, str(place)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout == "to the end\n"

    yield run
    shutil.rmtree(place)


TOO_LARGE = f"""
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = TokenStore()
path = store.save({TOKEN!r})
path.write_text(json.dumps({{"token": {TOKEN!r}, "other": "x" * 3000}}))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for _ in range(3):
    try:
        store.save({OTHER!r}, overwrite=True)
    except TokenFileError as error:
        assert "file too large" in str(error), error
    else:
        raise AssertionError("nothing was said")
    assert store.load() == {TOKEN!r}
    assert sorted(os.listdir(path.parent)) in ([path.name], [f".{{path.name}}.lock", path.name])
print("to the end")
"""


def test_a_file_size_limit_is_an_error_and_loses_nothing(run_as_nobody: Run) -> None:
    """As on a full disk, part of the file is written; this needs no mounted file system."""
    run_as_nobody(TOO_LARGE)


PERMISSIONS = f"""
url = "https://global.daf-apis.com/"
store, auth = TokenStore(), CaveAuth()
path = store.save({TOKEN!r})
assert auth.token_for(url) == {TOKEN!r}

path.parent.chmod(0o500)
try:
    store.save({OTHER!r}, overwrite=True)
except TokenFileError as error:
    assert "permission denied" in str(error), error
else:
    raise AssertionError("nothing was said")
assert store.load() == {TOKEN!r}
assert CaveAuth().token_for(url) == {TOKEN!r}

path.parent.chmod(0o700)
path.chmod(0)
os.utime(path, (1, 1))  # so that the change is noticed
cave_auth_adapter.watch.LOOK_INTERVAL = 0.0
assert auth.token_for(url) == CaveAuth().token_for(url) == {TOKEN!r}  # a job that runs goes on
try:
    CaveAuth(token_file=path).token_for(url)  # an object with a memory of its own
except TokenFileError as error:
    assert error.filename == str(path)
else:
    raise AssertionError("nothing was said")

path.chmod(0o600)
store.save({OTHER!r}, overwrite=True)
assert auth.token_for(url) == CaveAuth().token_for(url) == {OTHER!r}
print("to the end")
"""


def test_permissions_that_change_are_an_error_and_lose_nothing(run_as_nobody: Run) -> None:
    run_as_nobody(PERMISSIONS)
