"""Owners and modes of files: what a save keeps, and which files make a server trusted."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cave_auth_adapter import CaveAuth, TokenStore, tokens_changed

from ..support.stub import OTHER_TOKEN, TOKEN, Write
from ..support.systems import posix_only

pytestmark = posix_only
as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away"
)
USER, GROUP, STRANGER = 1234, 1235, 65534
EVIL = "evil.example"


def give(path: Path, uid: int = USER, gid: int = GROUP, mode: int | None = None) -> Path:
    os.chown(path, uid, gid, follow_symlinks=False)
    if mode is not None:
        path.chmod(mode)
    return path


def whose(path: Path) -> tuple[int, int, str]:
    state = path.stat()
    return state.st_uid, state.st_gid, oct(stat.S_IMODE(state.st_mode))


@pytest.fixture
def home(secrets: Path) -> Path:
    return secrets.parent.parent


@as_root
class TestRootSaves:
    """Root saves with sudo, or in a container with a user's home mounted."""

    def test_a_new_file_belongs_to_the_owner_of_the_home(
        self, store: TokenStore, home: Path
    ) -> None:
        give(home)
        path = store.save(TOKEN)
        lock = path.with_name(f".{path.name}.lock")
        made = [home / ".cloudvolume", path.parent, path, lock]
        modes = [0o700, 0o700, 0o600, 0o600]
        assert [whose(each) for each in made] == [(USER, GROUP, oct(mode)) for mode in modes]

    @pytest.mark.parametrize("linked", [True, False])
    def test_a_replaced_file_keeps_owner_and_mode(
        self, store: TokenStore, write: Write, home: Path, linked: bool
    ) -> None:
        path = target = write("cave-secret.json", token=OTHER_TOKEN)
        if linked:
            target = home / "data"
            path.rename(target)
            path.symlink_to(target)
        give(target, mode=0o640)
        store.save(TOKEN, overwrite=True)
        assert whose(target) == (USER, GROUP, "0o640")
        assert path.is_symlink() is linked

    def test_a_lock_left_by_root_is_given_to_the_user(
        self, store: TokenStore, write: Write
    ) -> None:
        path = give(write("cave-secret.json", token=OTHER_TOKEN))
        lock = path.with_name(f".{path.name}.lock")
        lock.touch(0o600)
        store.save(TOKEN, overwrite=True)
        assert whose(lock) == (USER, GROUP, "0o600")

    def test_a_lock_hard_linked_to_another_file_keeps_its_owner(
        self, store: TokenStore, write: Write, home: Path
    ) -> None:
        path = give(write("cave-secret.json", token=OTHER_TOKEN))
        another = home / "another"
        another.touch(0o644)
        os.link(another, path.with_name(f".{path.name}.lock"))
        store.save(TOKEN, overwrite=True)
        assert whose(another) == (0, 0, "0o644")

    def test_a_lock_that_is_a_link_is_not_followed(
        self, store: TokenStore, write: Write, home: Path
    ) -> None:
        from cave_auth_adapter import TokenFileError

        path = give(write("cave-secret.json", token=OTHER_TOKEN))
        path.with_name(f".{path.name}.lock").symlink_to(home / "another")
        with pytest.raises(TokenFileError, match="symbolic links"):
            store.save(TOKEN, overwrite=True)
        assert not (home / "another").exists()


@as_root
def test_group_rights_are_dropped_where_the_group_cannot_be_kept() -> None:
    """A user replaces a file of a group that they are not in."""
    script = (
        "import os, sys, filelock, cave_auth_adapter as c\n"
        f"os.setgroups([]); os.setgid({STRANGER}); os.setuid({STRANGER})\n"
        f"c.TokenStore(sys.argv[1]).save({TOKEN!r})"
    )
    with tempfile.TemporaryDirectory() as name:  # only its owner may enter tmp_path
        path = Path(name, "cave-secret.json")
        path.write_text("{}")
        give(path.parent, STRANGER, STRANGER)
        give(path, STRANGER, GROUP, 0o660)
        subprocess.run([sys.executable, "-c", script, name], check=True)
        assert json.loads(path.read_text()) == {"token": TOKEN}
        assert whose(path) == (STRANGER, STRANGER, "0o600")


@as_root
def test_a_directory_made_under_any_umask_can_be_used_again() -> None:
    script = (
        "import os, sys, filelock, cave_auth_adapter as c\n"
        f"os.setgroups([]); os.setgid({STRANGER}); os.setuid({STRANGER}); os.umask(0o777)\n"
        "store = c.TokenStore(sys.argv[1] + '/a/secrets')\n"
        f"store.save({TOKEN!r}); store.save({TOKEN!r}, key='other'); print(store.load())"
    )
    with tempfile.TemporaryDirectory() as name:  # only its owner may enter tmp_path
        give(Path(name), STRANGER)
        command = [sys.executable, "-c", script, name]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
        assert result.stdout == TOKEN + "\n"
        assert whose(Path(name, "a", "secrets"))[2] == "0o700"


class TestTrust:
    """Which files make their server trusted."""

    @pytest.fixture
    def path(self, write: Write) -> Path:
        return write(f"{EVIL}-cave-secret.json", token=TOKEN)

    @pytest.fixture
    def trusted(self, store: TokenStore) -> Callable[[], bool]:
        def trusted() -> bool:
            doubts = store.doubtful()
            assert len(doubts) <= 1
            tokens_changed()  # a change is noticed within a second; a test can't wait
            is_trusted = CaveAuth().trusts(f"https://{EVIL}/")
            assert is_trusted is (not doubts) is (store.servers() == [EVIL])
            return is_trusted

        return trusted

    def test_our_own_file_is_trusted(self, path: Path, trusted: Callable[[], bool]) -> None:
        assert trusted()

    @pytest.mark.parametrize("mode", [0o600, 0o644, 0o660, 0o664])
    def test_a_group_writable_file_is_trusted(
        self, path: Path, trusted: Callable[[], bool], mode: int
    ) -> None:
        """Where each user has a private group, the umask is 002."""
        path.chmod(mode)
        path.parent.chmod(0o775)
        assert trusted()

    @pytest.mark.parametrize("place", ["file", "directory"])
    def test_a_world_writable_file_is_not_trusted(
        self, path: Path, trusted: Callable[[], bool], place: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        opened = path if place == "file" else path.parent
        opened.chmod(opened.stat().st_mode | 0o002)
        assert not trusted()
        (warning,) = [m for m in caplog.messages if EVIL in m and "does not make" in m]
        command = warning.partition("To fix that: ")[2]
        assert command == f"chmod o-w {opened}"
        subprocess.run(command, shell=True, check=True)
        assert trusted()

    def test_a_sticky_directory_is_trusted(self, path: Path, trusted: Callable[[], bool]) -> None:
        path.parent.chmod(0o1777)
        assert trusted()

    def test_a_hard_link_in_a_sticky_directory_is_not_trusted(
        self, path: Path, trusted: Callable[[], bool]
    ) -> None:
        """Everybody can make one, of a file with another name."""
        os.link(path, path.with_name("mine.json"))
        assert trusted()
        path.parent.chmod(0o1777)
        assert not trusted()

    @pytest.mark.parametrize("place", ["file", "directory"])
    def test_the_target_of_a_link_decides(
        self, path: Path, home: Path, trusted: Callable[[], bool], place: str
    ) -> None:
        target = home / "elsewhere" / "data"
        target.parent.mkdir()
        path.rename(target)
        path.symlink_to(target)
        assert trusted()
        opened = target if place == "file" else target.parent
        opened.chmod(opened.stat().st_mode | 0o002)
        assert not trusted()

    def test_a_dangling_link_is_not_trusted(self, path: Path, trusted: Callable[[], bool]) -> None:
        path.unlink()
        path.symlink_to("nowhere")
        assert not trusted()

    def test_a_secret_mounted_by_kubernetes_is_trusted(
        self,
        secrets: Path,
        home: Path,
        trusted: Callable[[], bool],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        data = secrets / "..2024_11_25"
        data.mkdir(parents=True)
        name = f"{EVIL}-cave-secret.json"
        (data / name).write_text(json.dumps({"token": TOKEN}))
        (data / name).chmod(0o644)
        secrets.chmod(0o1777)
        (secrets / "..data").symlink_to(data.name)
        (secrets / name).symlink_to(f"..data/{name}")
        assert trusted()
        assert CaveAuth().token_for(f"https://{EVIL}/") == TOKEN
        assert caplog.messages == []  # a chmod could not change it

    @as_root
    @pytest.mark.parametrize("place", ["file", "directory"])
    def test_a_file_of_another_user_is_not_trusted(
        self, path: Path, trusted: Callable[[], bool], place: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        give(path if place == "file" else path.parent, STRANGER)
        assert not trusted()
        (warning,) = [m for m in caplog.messages if "does not make" in m]
        assert f"uid {STRANGER}" in warning
        assert CaveAuth().token_for("https://global.daf-apis.com/") is None

    @as_root
    def test_a_link_made_by_another_user_is_not_trusted(
        self, path: Path, home: Path, trusted: Callable[[], bool]
    ) -> None:
        path.rename(home / "data")
        path.symlink_to(home / "data")
        path.parent.chmod(0o1777)
        give(path, STRANGER)
        assert not trusted()

    @as_root
    def test_the_files_of_the_owner_of_the_home_are_trusted(
        self, path: Path, home: Path, trusted: Callable[[], bool]
    ) -> None:
        """``docker -v $HOME:/root``, or sudo."""
        for place in (home, path.parent.parent, path.parent, path):
            give(place)
        assert trusted()

    @as_root
    def test_a_mounted_directory_of_another_user_is_trusted_below_our_home(
        self, path: Path, home: Path, trusted: Callable[[], bool]
    ) -> None:
        """``docker -v ~/.cloudvolume:/root/.cloudvolume``"""
        for place in (path.parent.parent, path.parent, path):
            give(place)
        assert trusted()
        home.chmod(0o1777)  # as /tmp, where a stranger can have made .cloudvolume
        assert not trusted()

    @as_root
    def test_a_directory_named_by_cloud_volume_dir_is_trusted(
        self, path: Path, trusted: Callable[[], bool], monkeypatch: pytest.MonkeyPatch, home: Path
    ) -> None:
        volume = home / "volume"
        path.parent.parent.rename(volume)
        for place in (volume, volume / "secrets", volume / "secrets" / path.name):
            give(place)
        monkeypatch.setenv("CLOUD_VOLUME_DIR", str(volume))
        assert trusted()

    def test_an_untrusted_file_still_serves_a_named_host(
        self, path: Path, trusted: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path.parent.chmod(0o777)
        assert not trusted()
        monkeypatch.setenv("CAVE_AUTH_HOSTS", EVIL)
        assert CaveAuth().token_for(f"https://{EVIL}/") == TOKEN
        assert CaveAuth(hosts=[EVIL]).token_for(f"https://{EVIL}/") == TOKEN


class TestExposed:
    """A file that others can read gives a warning where its owner can change that."""

    @pytest.mark.parametrize(("mode", "said"), [(0o644, 1), (0o604, 1), (0o660, 0), (0o600, 0)])
    def test_a_file_that_others_can_read_gives_a_warning(
        self,
        store: TokenStore,
        write: Write,
        caplog: pytest.LogCaptureFixture,
        mode: int,
        said: int,
    ) -> None:
        write("cave-secret.json", token=TOKEN).chmod(mode)
        assert store.load() == TOKEN
        assert len(caplog.messages) == said

    @as_root
    def test_another_users_file_gives_no_warning(
        self, store: TokenStore, write: Write, caplog: pytest.LogCaptureFixture
    ) -> None:
        give(write("cave-secret.json", token=TOKEN), mode=0o644)
        assert store.load() == TOKEN
        assert caplog.messages == []

    def test_a_file_on_a_read_only_mount_gives_no_warning(
        self,
        store: TokenStore,
        write: Write,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        path = write("cave-secret.json", token=TOKEN)
        path.chmod(0o644)
        real = os.statvfs(path)
        fields = [*real[:8], real.f_flag | os.ST_RDONLY, *real[9:]]
        monkeypatch.setattr(os, "statvfs", lambda place: os.statvfs_result(fields))
        assert store.load() == TOKEN
        assert caplog.messages == []
