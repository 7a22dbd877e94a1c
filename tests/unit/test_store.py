"""Where the store keeps a server's token; locking, deleting, and permissions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from cave_auth_adapter import CaveAuth, InvalidHostSpec, TokenFileError, TokenStore
from cave_auth_adapter.store import files

from ..support.processes import run_at_once
from ..support.secret_files import SERVER
from ..support.stub import OTHER_TOKEN, TOKEN, Write
from ..support.systems import COLON, needs_links, posix_only


class TestPlaces:
    @pytest.mark.parametrize(
        ("server", "name"),
        [
            (None, "cave-secret.json"),
            (SERVER, f"{SERVER}-cave-secret.json"),
            (f"https://{SERVER}", f"{SERVER}-cave-secret.json"),
            (f"https://{SERVER}:443/", f"{SERVER}-cave-secret.json"),
            (SERVER.upper(), f"{SERVER}-cave-secret.json"),
            ("localhost:8443", f"localhost{COLON}8443-cave-secret.json"),
        ],
    )
    def test_each_server_has_its_file(
        self, store: TokenStore, secrets: Path, server: str | None, name: str
    ) -> None:
        assert store.path_for(server) == secrets / name

    @pytest.mark.parametrize(
        "server", ["../evil", "a/b", "/etc/passwd", "*.example.org", "", "a b"]
    )
    def test_a_malformed_server_is_refused(self, store: TokenStore, server: str) -> None:
        with pytest.raises(InvalidHostSpec):
            store.path_for(server)

    def test_cloud_volume_dir_is_used(
        self, store: TokenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scratch = Path.cwd() / "scratch"
        monkeypatch.setenv("CLOUD_VOLUME_DIR", str(scratch))
        assert store.path_for() == scratch / "secrets" / "cave-secret.json"

    def test_an_empty_cloud_volume_dir_is_ignored(
        self, store: TokenStore, secrets: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLOUD_VOLUME_DIR", "")
        assert store.directory == secrets

    def test_a_directory_in_code_outranks_the_variable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLOUD_VOLUME_DIR", "/scratch/me")
        assert TokenStore(tmp_path / "mine").directory == tmp_path / "mine"
        assert TokenStore("~/mine").directory == tmp_path / "mine"

    def test_an_unknown_home_directory_loads_nothing(self) -> None:
        assert TokenStore("~no-such-user/mine").load() is None

    @posix_only
    def test_without_a_home_the_current_directory_is_not_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import pwd

        planted = tmp_path / "~" / ".cloudvolume" / "secrets"
        TokenStore(planted).save("0123456789abcdef", "evil.example")
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("HOME")
        monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
        assert TokenStore().directory.is_absolute()
        assert TokenStore().load("evil.example") is None
        assert not CaveAuth().trusts("https://evil.example/")

    def test_reading_creates_no_directory(self, store: TokenStore, secrets: Path) -> None:
        assert store.load() is None
        assert store.servers() == []
        assert not secrets.parent.exists()


class TestServers:
    def test_servers_lists_the_servers_with_a_file(self, store: TokenStore) -> None:
        for server in ("localhost:8443", SERVER, None):
            store.save(TOKEN, server)
        assert store.servers() == [SERVER, "localhost:8443"]

    @pytest.mark.parametrize(
        "name",
        [
            "dynamicannotationframework.com-cave-secret.json",
            "global.dynamicannotationframework.com-cave-secret.json",
            pytest.param("*.example.org-cave-secret.json", marks=posix_only),
            "-cave-secret.json",
            "a_b-cave-secret.json",
            "example.org-cave-secret.json.bak",
            ".example.org-cave-secret.json.lock",
            "example.org-secret.json",
        ],
    )
    def test_servers_ignores_other_files(self, store: TokenStore, write: Write, name: str) -> None:
        write(name, token=TOKEN)
        assert store.servers() == []


class TestLock:
    def test_a_lock_held_for_too_long_is_an_error(
        self, store: TokenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files, "_LOCK_TIMEOUT", 0.05)
        path = store.save(TOKEN)
        lock = path.with_name(f".{path.name}.lock")
        with FileLock(lock), pytest.raises(TokenFileError) as caught:
            store.save(OTHER_TOKEN, overwrite=True)
        assert str(caught.value).startswith(f"{path}: another process has held its lock")
        assert store.load() == TOKEN

    @needs_links
    def test_a_link_shares_the_lock_of_its_target(
        self, store: TokenStore, secrets: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(files, "_LOCK_TIMEOUT", 0.05)
        secrets.mkdir(parents=True)
        (secrets / "cave-secret.json").symlink_to(tmp_path / "data")
        with FileLock(tmp_path / ".data.lock"), pytest.raises(TokenFileError, match="its lock"):
            store.save(TOKEN)

    def test_loading_needs_no_lock(self, store: TokenStore) -> None:
        path = store.save(TOKEN)
        with FileLock(path.with_name(f".{path.name}.lock")):
            assert store.load() == TOKEN

    def test_concurrent_threads_lose_no_key(self, store: TokenStore) -> None:
        def save(worker: int) -> None:
            for n in range(5):
                store.save(TOKEN, key=f"{worker}-{n}")

        threads = [threading.Thread(target=save, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(json.loads(store.path_for().read_text())) == 40

    def test_concurrent_processes_lose_no_key(self, store: TokenStore) -> None:
        code = f"""
            from cave_auth_adapter import TokenStore
            for n in range(10):
                TokenStore().save("{TOKEN}", key=f"{{sys.argv[1]}}-{{n}}")
        """
        assert run_at_once(code, 4) == [("", 0)] * 4
        assert len(json.loads(store.path_for().read_text())) == 40


class TestDelete:
    def test_deleting_keeps_other_keys(self, store: TokenStore, write: Write) -> None:
        path = write("cave-secret.json", a="1", token=TOKEN, b="2")
        assert store.delete()
        assert json.loads(path.read_text()) == {"a": "1", "b": "2"}

    def test_deleting_the_last_key_deletes_the_file(self, store: TokenStore) -> None:
        path = store.save(TOKEN, SERVER)
        assert store.delete(SERVER)
        assert not path.exists()
        assert store.servers() == []

    @pytest.mark.parametrize("saved", [True, False])
    def test_deleting_returns_false_where_there_is_no_token(
        self, store: TokenStore, secrets: Path, saved: bool
    ) -> None:
        if saved:
            store.save(TOKEN, key="another")
        assert not store.delete()
        assert secrets.exists() is saved

    def test_deleting_leaves_a_broken_file(self, store: TokenStore, write: Write) -> None:
        path = write("cave-secret.json", "[]")
        with pytest.raises(TokenFileError):
            store.delete()
        assert path.read_text() == "[]"

    @needs_links
    def test_deleting_clears_the_target_of_a_link(
        self, store: TokenStore, secrets: Path, tmp_path: Path
    ) -> None:
        secrets.mkdir(parents=True)
        (secrets / "cave-secret.json").symlink_to(tmp_path / "data")
        store.save(TOKEN)
        store.delete()
        assert TOKEN not in (tmp_path / "data").read_text()


AsNobody = Callable[[str], str]


class TestForbidden:
    """Files and directories of another user."""

    @pytest.fixture
    def directory(self) -> Iterator[Path]:
        # Not below tmp_path, which only its owner may enter.
        with tempfile.TemporaryDirectory() as name:
            Path(name).chmod(0o755)
            (Path(name) / "cave-secret.json").write_text(json.dumps({"token": TOKEN}))
            yield Path(name)

    @pytest.fixture
    def as_nobody(self, directory: Path) -> AsNobody:
        """Evaluate an expression about ``store`` as a user without rights; return the error."""
        if not hasattr(os, "setuid") or os.getuid() != 0:
            pytest.skip("only root can become nobody")

        def run(expression: str) -> str:
            script = (
                "import os, filelock\n"
                "from cave_auth_adapter import TokenFileError, TokenStore\n"
                f"store = TokenStore({str(directory)!r})\n"
                "os.setgid(65534); os.setgroups([]); os.setuid(65534)\n"
                f"try: print('no error:', {expression})\n"
                "except Exception as error: print(type(error).__name__, error)"
            )
            command = [sys.executable, "-c", script]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        return run

    @pytest.mark.parametrize("call", ["load()", "delete()", f"save('{OTHER_TOKEN}')"])
    def test_an_unreadable_file_is_an_error(
        self, directory: Path, as_nobody: AsNobody, call: str
    ) -> None:
        (directory / "cave-secret.json").chmod(0o600)
        said = as_nobody(f"store.{call}")
        assert said.startswith(f"TokenFileError {directory}/cave-secret.json: ")
        assert "permission denied" in said

    @pytest.mark.parametrize("call", ["delete()", f"save('{OTHER_TOKEN}', overwrite=True)"])
    def test_an_unwritable_directory_is_an_error(
        self, directory: Path, as_nobody: AsNobody, call: str
    ) -> None:
        said = as_nobody(f"store.{call}")
        assert said.startswith(f"TokenFileError {directory}/cave-secret.json: ")
        assert "CLOUD_VOLUME_DIR" in said
        assert json.loads((directory / "cave-secret.json").read_text()) == {"token": TOKEN}

    @pytest.mark.parametrize("call", ["load()", "delete()", f"save('{OTHER_TOKEN}')", "servers()"])
    def test_a_closed_directory_is_an_error(
        self, directory: Path, as_nobody: AsNobody, call: str
    ) -> None:
        directory.chmod(0o700)
        assert as_nobody(f"store.{call}").startswith(f"TokenFileError {directory}")


class TestWarnings:
    @posix_only  # modes
    def test_a_file_that_others_can_read_gives_one_warning_with_the_remedy(
        self, store: TokenStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = store.save(TOKEN)
        path.chmod(0o644)
        assert [store.load(), store.load()] == [TOKEN, TOKEN]
        (warning,) = caplog.messages
        assert warning == f"Other users can read {path}. To make it private: chmod 600 {path}"

    @pytest.mark.parametrize("token", [TOKEN, "dG9rZW4rL2Zvbw==", "ABCDEF"])
    def test_a_token_that_cloudvolume_accepts_gives_no_warning(
        self, store: TokenStore, caplog: pytest.LogCaptureFixture, token: str
    ) -> None:
        store.save(token)
        assert caplog.messages == []

    def test_a_token_that_cloudvolume_refuses_is_saved_with_a_warning(
        self, store: TokenStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        store.save("another_fake_token_678")
        (warning,) = caplog.messages
        assert "CloudVolume will refuse it" in warning
        assert "another_fake_token_678" not in warning


def test_an_empty_directory_is_refused() -> None:
    with pytest.raises(ValueError, match="directory is empty"):
        TokenStore("")
