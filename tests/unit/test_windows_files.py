"""Secret files on Windows: drives, shares, long paths, files that are open elsewhere, no profile.

They run in Windows' own Python (`make windows`). What Wine does otherwise is said at the test.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cave_auth_adapter import CaveAuth, TokenFileError, TokenStore, shells
from cave_auth_adapter.store import files

from ..support.stub import OTHER_TOKEN, TOKEN

windows_only = pytest.mark.skipif(os.name != "nt", reason="Windows only")

HOLD = """
import sys
with open(sys.argv[1], "rb"):
    print("open", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def saved(secrets: Path) -> Path:
    return TokenStore().save(TOKEN)


@windows_only
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(str, id="drive"),
        pytest.param(lambda path: str(path).replace("\\", "/"), id="forward slashes"),
        pytest.param(lambda path: str(path).swapcase(), id="another case"),
        pytest.param(lambda path: f"{path}\\", id="a slash at the end"),
        pytest.param(lambda path: "\\\\?\\" + str(path), id="extended"),
    ],
)
def test_cloud_volume_dir_has_many_forms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Callable[[Path], str]
) -> None:
    monkeypatch.setenv("CLOUD_VOLUME_DIR", form(tmp_path / "volumes"))
    TokenStore().save(TOKEN, "cave.my-lab.org")
    assert TokenStore().load("cave.my-lab.org") == TOKEN
    assert TokenStore(tmp_path / "volumes" / "secrets").servers() == ["cave.my-lab.org"]


@windows_only
@pytest.mark.parametrize("named", ["C:volumes", "C:", "\\volumes", "/volumes", "NUL"])
def test_a_path_that_depends_on_the_current_drive_is_refused(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("CLOUD_VOLUME_DIR", named)
    with pytest.raises(TokenFileError, match=r"\$env:CLOUD_VOLUME_DIR = '"):
        TokenStore().load()


@windows_only
@pytest.mark.parametrize("named", ["\\\\no-such-host\\share\\volumes", "Q:\\volumes"])
def test_a_share_or_a_drive_that_is_gone_holds_no_token(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("CLOUD_VOLUME_DIR", named)
    assert TokenStore().load() is None
    assert CaveAuth().token_for("https://global.daf-apis.com/") is None
    with pytest.raises(TokenFileError, match="CLOUD_VOLUME_DIR"):
        TokenStore().save(TOKEN)


@windows_only
def test_a_path_of_over_260_characters(tmp_path: Path) -> None:
    """Wine has no such limit; on Windows it depends on a setting, and is told in one line."""
    store = TokenStore(tmp_path.joinpath("x" * 100, "y" * 100, "z" * 100))
    assert store.load() is None
    try:
        store.save(TOKEN)
    except TokenFileError as error:
        assert "CLOUD_VOLUME_DIR" in str(error)  # noqa: PT017 - either may be
    else:
        assert store.load() == TOKEN


def without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERPROFILE", "HOMEPATH", "HOMEDRIVE", "HOME"):
        monkeypatch.delenv(name, raising=False)


@windows_only
def test_without_a_profile_a_variable_still_gives_the_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a service. A "~" below the current directory may be another user's."""
    without_home(monkeypatch)
    assert TokenStore().load() is None
    assert TokenStore().directory.is_relative_to(os.environ["SYSTEMROOT"])
    monkeypatch.setenv("CAVE_TOKEN", OTHER_TOKEN)
    assert CaveAuth().token_for("https://global.daf-apis.com/") == OTHER_TOKEN


# --- A file that is open elsewhere, or read-only ---------------------------------------------


@pytest.fixture
def held(saved: Path) -> subprocess.Popen[str]:
    """A process that has the file open, until it gets a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(saved)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


@windows_only
def test_a_file_that_is_open_elsewhere_for_a_moment_is_replaced(
    held: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = 0

    def wait(seconds: float) -> None:
        nonlocal refused
        refused += 1
        if refused == 2:
            held.communicate("\n", timeout=60)

    monkeypatch.setattr("cave_auth_adapter.store.files.time.sleep", wait)
    monkeypatch.setattr(files, "_PATIENCE", 60.0)
    TokenStore().save(OTHER_TOKEN, overwrite=True)
    assert refused >= 2
    assert TokenStore().load() == OTHER_TOKEN


@windows_only
def test_a_file_that_stays_open_elsewhere_is_an_error(
    saved: Path, held: subprocess.Popen[str]
) -> None:
    for change in (lambda: TokenStore().save(OTHER_TOKEN, overwrite=True), TokenStore().delete):
        with pytest.raises(TokenFileError, match="If another program has it open, close that"):
            change()
    held.communicate("\n", timeout=60)
    assert TokenStore().load() == TOKEN
    assert [path for path in saved.parent.iterdir() if ".new-" in path.name] == []


@windows_only
def test_a_read_only_file_is_replaced_or_told(saved: Path) -> None:
    """Wine replaces it; Windows does not."""
    saved.chmod(stat.S_IREAD)
    try:
        TokenStore().save(OTHER_TOKEN, overwrite=True)
    except TokenFileError as error:
        assert f'attrib -r "{saved}"' in str(error)  # noqa: PT017 - either may be
        assert TokenStore().load() == TOKEN
    else:
        assert TokenStore().load() == OTHER_TOKEN


def test_a_refused_replacement_is_told_in_the_words_of_windows(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulated: this is what Windows does where a file is read-only."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(shells, "WINDOWS", True)
    monkeypatch.setattr(files, "_PATIENCE", 0.0)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(TokenFileError, match="access is denied") as caught:
        TokenStore().save(OTHER_TOKEN, overwrite=True)
    assert str(caught.value).endswith(f'If it is read-only: attrib -r "{saved}"')
    assert TokenStore().load() == TOKEN
