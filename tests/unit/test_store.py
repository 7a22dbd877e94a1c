"""The secret files: read, write, delete."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from cave_auth_adapter import CaveAuth, InvalidHostSpec, InvalidToken, TokenFileError, TokenStore
from cave_auth_adapter import store as store_module
from cave_auth_adapter.store import files, read_named, read_secrets
from cave_auth_adapter.tokens import check_token

from ..support.processes import run_at_once
from ..support.stub import OTHER_TOKEN, TOKEN, Write
from ..support.systems import COLON, needs_links, posix_only

SERVER = "global.daf-apis.com"

# What a secret file can be that is none, each with the token in it.
BROKEN = {
    "cut off": f'{{"token": "{TOKEN}"',
    "not JSON": f"token={TOKEN}",
    "only the token": TOKEN,
    "single quotes": f"{{'token': '{TOKEN}'}}",
    "empty": "",
    "white space": " \n",
    "a list": f'["{TOKEN}"]',
    "a string": f'"{TOKEN}"',
    "null": "null",
    "two objects": f'{{"token": "{TOKEN}"}}{{"token": "{TOKEN}"}}',
    "not UTF-8": b'{"token": "\xff\xfe' + TOKEN.encode() + b'"}',
    "deeply nested": f'{{"token": "{TOKEN}", "x": ' + "[" * 200_000,
    "a huge number": f'{{"token": "{TOKEN}", "x": {"1" * 5000}}}',
    "too large": f'{{"token": "{TOKEN}", "x": "{"x" * (1 << 20)}"}}',
}
# What can be under the key that is no token.
NO_TOKENS = {
    "a number": 1234,
    "a list": [TOKEN],
    "an object": {"token": TOKEN},
    "true": True,
    "a space behind": TOKEN + " ",
    "a line break behind": TOKEN + "\n",
    "a header injection": TOKEN + "\r\nX-Evil: 1",
    "quotes around": f'"{TOKEN}"',
    "typographic quotes": f"“{TOKEN}”",
    "the scheme before": f"Bearer {TOKEN}",
    "non-ASCII": TOKEN + "ü",
    "a no-break space": TOKEN + "\xa0",
    "a NUL": TOKEN + "\0",
}


def lines_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def residue(directory: Path) -> list[str]:
    """The files in a directory but for the secret files and their locks."""
    kept = ("-secret.json", ".lock")
    return [name for name in os.listdir(directory) if not name.endswith(kept)]


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
    def test_the_file_of_a_server(
        self, store: TokenStore, secrets: Path, server: str | None, name: str
    ) -> None:
        assert store.path_for(server) == secrets / name

    @pytest.mark.parametrize(
        "server", ["../evil", "a/b", "/etc/passwd", "*.example.org", "", "a b"]
    )
    def test_what_is_no_server_has_no_file(self, store: TokenStore, server: str) -> None:
        with pytest.raises(InvalidHostSpec):
            store.path_for(server)

    def test_cloud_volume_dir(self, store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
        scratch = Path.cwd() / "scratch"
        monkeypatch.setenv("CLOUD_VOLUME_DIR", str(scratch))
        assert store.path_for() == scratch / "secrets" / "cave-secret.json"

    def test_an_empty_cloud_volume_dir_is_none(
        self, store: TokenStore, secrets: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLOUD_VOLUME_DIR", "")
        assert store.directory == secrets

    def test_a_directory_given_in_code_is_the_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLOUD_VOLUME_DIR", "/scratch/me")
        assert TokenStore(tmp_path / "mine").directory == tmp_path / "mine"
        assert TokenStore("~/mine").directory == tmp_path / "mine"

    def test_a_home_that_is_nowhere_is_no_crash(self) -> None:
        assert TokenStore("~no-such-user/mine").load() is None

    @posix_only
    def test_without_a_home_the_current_directory_is_none(
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

    def test_a_store_makes_nothing_by_itself(self, store: TokenStore, secrets: Path) -> None:
        assert store.load() is None
        assert store.servers() == []
        assert not secrets.parent.exists()


class TestServers:
    def test_each_has_a_file_of_its_own(self, store: TokenStore) -> None:
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
    def test_other_files_make_none(self, store: TokenStore, write: Write, name: str) -> None:
        write(name, token=TOKEN)
        assert store.servers() == []


class TestLoad:
    def test_what_was_saved(self, store: TokenStore) -> None:
        store.save(TOKEN, SERVER, "minnie65_public")
        assert store.load(SERVER, "minnie65_public") == TOKEN

    def test_no_file(self, store: TokenStore) -> None:
        assert store.load(SERVER) is None

    def test_no_such_key(self, store: TokenStore, write: Write) -> None:
        write("cave-secret.json", other=TOKEN)
        assert store.load() is None

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_nothing_under_the_key(self, store: TokenStore, write: Write, nothing: object) -> None:
        write("cave-secret.json", token=nothing)
        assert store.load() is None

    @pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
    def test_a_broken_file_is_named(
        self, store: TokenStore, secrets: Path, content: str | bytes
    ) -> None:
        secrets.mkdir(parents=True)
        path = secrets / "cave-secret.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

        with pytest.raises(TokenFileError) as caught:
            store.load()
        assert str(caught.value).startswith(f"{path}: ")
        assert caught.value.filename == str(path)
        assert "cave-auth login" in str(caught.value)
        assert TOKEN not in lines_of(caught.value)
        assert caught.value.__cause__ is None  # a JSONDecodeError has the whole document

    def test_a_file_too_large_is_not_read(
        self, store: TokenStore, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store_module, "_MAX_BYTES", 100)
        write("cave-secret.json", token=TOKEN, other="x" * 100)
        with pytest.raises(TokenFileError, match="has more than 100 bytes"):
            store.load()

    @pytest.mark.parametrize("value", NO_TOKENS.values(), ids=NO_TOKENS)
    def test_what_is_no_token_is_named_by_its_key(
        self, store: TokenStore, write: Write, value: object
    ) -> None:
        path = write("cave-secret.json", mine=value)

        with pytest.raises(TokenFileError) as caught:
            store.load(key="mine")
        assert str(caught.value).startswith(f"{path}: the value of 'mine' ")
        assert TOKEN not in lines_of(caught.value)

    def test_a_directory_in_place_of_the_file(self, store: TokenStore, secrets: Path) -> None:
        path = secrets / "cave-secret.json"
        path.mkdir(parents=True)
        with pytest.raises(TokenFileError, match="is a directory"):
            store.load()

    @posix_only
    def test_a_named_pipe_in_place_of_the_file_is_not_waited_for(
        self, store: TokenStore, secrets: Path
    ) -> None:
        secrets.mkdir(parents=True)
        os.mkfifo(secrets / "cave-secret.json")
        load = "import cave_auth_adapter as c, sys; c.TokenStore(sys.argv[1]).load()"
        command = [sys.executable, "-c", load, str(secrets)]

        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert "is not a file but a pipe or a device" in ended.stderr

    @posix_only
    def test_a_device_in_place_of_the_file(self, store: TokenStore, secrets: Path) -> None:
        secrets.mkdir(parents=True)
        (secrets / "cave-secret.json").symlink_to("/dev/zero")
        with pytest.raises(TokenFileError, match="is not a file but a pipe or a device"):
            store.load()

    def test_a_file_in_place_of_the_directory(self, store: TokenStore, secrets: Path) -> None:
        secrets.parent.write_text("")
        with pytest.raises(TokenFileError, match="not a directory"):
            store.load()

    @needs_links
    def test_a_loop_of_links(self, store: TokenStore, secrets: Path) -> None:
        secrets.mkdir(parents=True)
        (secrets / "cave-secret.json").symlink_to("cave-secret.json")
        with pytest.raises(TokenFileError, match=r"cave-secret\.json: can't be used"):
            store.load()

    def test_a_name_too_long_for_a_file_is_no_file(self, store: TokenStore) -> None:
        store.save(TOKEN)
        server = ".".join(["a" * 60] * 4)
        assert store.load(server) is None


class TestNamedFiles:
    """A file that the caller named may hold the token and nothing else."""

    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_the_bare_token(self, tmp_path: Path, end: str, encoding: str) -> None:
        path = tmp_path / "token"
        path.write_bytes((TOKEN + end).encode(encoding))
        assert read_named(path) == {"token": TOKEN}

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_a_secret_file(self, tmp_path: Path, encoding: str) -> None:
        path = tmp_path / "token"
        path.write_bytes(f'\n {{"mine": "{TOKEN}"}}\n'.encode(encoding))
        assert read_named(path) == read_secrets(path) == {"mine": TOKEN}

    def test_no_file(self, tmp_path: Path) -> None:
        assert read_named(tmp_path / "token") is None

    @pytest.mark.parametrize(
        "content", ["", "\n", f"token={TOKEN}\n\n1", f'"{TOKEN}"', f"[{TOKEN}]", f"<b>{TOKEN}", "{"]
    )
    def test_something_else(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "token"
        path.write_text(content)
        with pytest.raises(TokenFileError) as caught:
            read_named(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert '{"token": "…"}' in str(caught.value)
        assert TOKEN not in lines_of(caught.value)

    @pytest.mark.parametrize("variable", [True, False])
    def test_it_signs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: bool
    ) -> None:
        path = tmp_path / "token"
        path.write_text(TOKEN + "\n")
        if variable:
            monkeypatch.setenv("CAVE_TOKEN_FILE", str(path))
        auth = CaveAuth(token_file=None if variable else path)
        assert auth.token_for(f"https://{SERVER}/") == TOKEN


class TestSave:
    def test_the_path_is_returned(self, store: TokenStore, secrets: Path) -> None:
        assert store.save(TOKEN, SERVER) == secrets / f"{SERVER}-cave-secret.json"

    @posix_only  # modes
    def test_the_file_is_the_owners_alone(self, store: TokenStore, secrets: Path) -> None:
        umask = os.umask(0)
        try:
            path = store.save(TOKEN)
        finally:
            os.umask(umask)
        assert (mode(path), mode(secrets)) == (0o600, 0o700)

    @posix_only  # modes
    @pytest.mark.parametrize("before", [0o600, 0o640, 0o660, 0o400, 0o644, 0o666, 0o777])
    def test_an_existing_file_keeps_its_mode_less_others_bits(
        self, store: TokenStore, write: Write, before: int
    ) -> None:
        path = write("cave-secret.json", token=OTHER_TOKEN)
        path.chmod(before)
        store.save(TOKEN, overwrite=True)
        store.save(TOKEN, key="again")
        assert mode(path) == before & 0o770

    @posix_only  # modes
    @pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
    def test_each_directory_that_is_made_is_the_owners_alone(
        self, tmp_path: Path, umask: int
    ) -> None:
        old = os.umask(umask)
        try:
            TokenStore(tmp_path / "a" / "b" / "secrets").save(TOKEN)
        finally:
            os.umask(old)
        made = [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "secrets"]
        assert [mode(path) for path in made] == [0o700] * 3

    def test_other_keys_are_kept_in_their_order(self, store: TokenStore, write: Write) -> None:
        others = {"zebra": OTHER_TOKEN, "ünï": None, "token": OTHER_TOKEN, "a": {"b": [1, 2.5, ""]}}
        path = write("cave-secret.json", **others)
        store.save(TOKEN, overwrite=True)
        store.save(TOKEN, key="new")
        kept = json.loads(path.read_text())
        assert list(kept.items()) == list({**others, "token": TOKEN, "new": TOKEN}.items())

    def test_another_token_is_not_replaced_unasked(self, store: TokenStore) -> None:
        path = store.save(TOKEN)
        with pytest.raises(TokenFileError, match="overwrite=True") as caught:
            store.save(OTHER_TOKEN)
        assert store.load() == TOKEN
        assert str(path) in str(caught.value)
        assert not any(token in lines_of(caught.value) for token in (TOKEN, OTHER_TOKEN))

    def test_another_token_is_replaced_when_asked(self, store: TokenStore) -> None:
        store.save(TOKEN)
        store.save(OTHER_TOKEN, overwrite=True)
        assert store.load() == OTHER_TOKEN

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_nothing_is_no_token_to_protect(
        self, store: TokenStore, write: Write, nothing: object
    ) -> None:
        write("cave-secret.json", token=nothing)
        store.save(TOKEN)
        assert store.load() == TOKEN

    def test_saving_what_is_there_changes_nothing(self, store: TokenStore) -> None:
        before = store.save(TOKEN).stat()
        after = store.save(TOKEN).stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    @pytest.mark.parametrize("value", [*NO_TOKENS.values(), "", None, b"0123"])
    def test_what_is_no_token_is_not_saved(
        self, store: TokenStore, secrets: Path, value: str
    ) -> None:
        with pytest.raises(InvalidToken) as caught:
            store.save(value)
        assert TOKEN not in lines_of(caught.value)
        assert not secrets.exists()

    @pytest.mark.parametrize("content", ["[]", "{", "null"])
    def test_a_broken_file_is_not_replaced(
        self, store: TokenStore, write: Write, content: str
    ) -> None:
        path = write("cave-secret.json", content)
        with pytest.raises(TokenFileError):
            store.save(TOKEN, overwrite=True)
        assert path.read_text() == content
        assert residue(path.parent) == []

    @pytest.mark.parametrize("depth", [100, 900, 950, 980, 1500, 3000])
    def test_whatever_can_be_read_is_written_again_or_refused(
        self, store: TokenStore, write: Write, depth: int
    ) -> None:
        """The interpreter's limits for reading and for writing nested JSON are not the same."""
        content = f'{{"other": {"[" * depth}{"]" * depth}}}'
        path = write("cave-secret.json", content)
        try:
            store.save(TOKEN)
        except TokenFileError:
            assert path.read_text() == content
        else:
            assert path.read_text() == content.replace("}", f', "token": "{TOKEN}"}}')

    @needs_links
    def test_a_link_stays_a_link(self, store: TokenStore, secrets: Path, tmp_path: Path) -> None:
        target = tmp_path / "mount" / "data"
        target.parent.mkdir()
        target.write_text(json.dumps({"other": OTHER_TOKEN}))
        secrets.mkdir(parents=True)
        (secrets / "middle").symlink_to(target)
        link = secrets / "cave-secret.json"
        link.symlink_to("middle")

        assert store.save(TOKEN) == link
        assert os.readlink(link) == "middle"
        assert json.loads(target.read_text()) == {"other": OTHER_TOKEN, "token": TOKEN}

    @needs_links
    def test_a_link_to_nothing_yet_makes_its_target(
        self, store: TokenStore, secrets: Path, tmp_path: Path
    ) -> None:
        secrets.mkdir(parents=True)
        (secrets / "cave-secret.json").symlink_to(tmp_path / "later" / "data")
        store.save(TOKEN)
        assert json.loads((tmp_path / "later" / "data").read_text()) == {"token": TOKEN}


class TestInterruptedWrites:
    @pytest.mark.parametrize("function", ["replace", "fsync"])
    @pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
    def test_the_old_file_stands(
        self,
        store: TokenStore,
        monkeypatch: pytest.MonkeyPatch,
        function: str,
        error: BaseException,
    ) -> None:
        path = store.save(TOKEN)

        def fail(*args: object) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(os, function, fail)
            with pytest.raises((TokenFileError, KeyboardInterrupt)) as caught:
                store.save(OTHER_TOKEN, overwrite=True)
        assert json.loads(path.read_text()) == {"token": TOKEN}
        assert residue(path.parent) == []
        assert OTHER_TOKEN not in lines_of(caught.value)

    def test_a_full_disk_is_said(self, store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(TokenFileError, match=r"cave-secret\.json: .*no space left"):
            store.save(TOKEN)

    def test_a_directory_that_cannot_be_synced_is_no_failure(
        self, store: TokenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some network file systems can't; the new file is in place by then."""
        fsync = os.fsync

        def fail_for_directories(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", fail_for_directories)
        store.save(TOKEN)
        assert store.load() == TOKEN

    def test_what_a_killed_writer_left_is_removed(self, store: TokenStore, write: Write) -> None:
        stale = write(".cave-secret.json.new-abc", token=TOKEN)
        another = write(f".{SERVER}-cave-secret.json.new-abc", token=TOKEN)
        store.save(TOKEN)
        assert not stale.exists()
        assert another.exists()  # of another file, whose lock we don't hold

    def test_the_new_content_is_on_disk_before_its_name(
        self, store: TokenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done: list[str] = []
        for name in ("fsync", "replace"):
            original = getattr(os, name)
            monkeypatch.setattr(
                os,
                name,
                lambda *a, name=name, f=original: done.append(name) or f(*a),  # type: ignore[func-returns-value]
            )
        store.save(TOKEN)
        assert done[:2] == ["fsync", "replace"]


class TestLock:
    def test_a_lock_held_for_too_long_is_said(
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
    def test_a_link_and_its_target_have_one_lock(
        self, store: TokenStore, secrets: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(files, "_LOCK_TIMEOUT", 0.05)
        secrets.mkdir(parents=True)
        (secrets / "cave-secret.json").symlink_to(tmp_path / "data")
        with FileLock(tmp_path / ".data.lock"), pytest.raises(TokenFileError, match="its lock"):
            store.save(TOKEN)

    def test_reading_needs_no_lock(self, store: TokenStore) -> None:
        path = store.save(TOKEN)
        with FileLock(path.with_name(f".{path.name}.lock")):
            assert store.load() == TOKEN

    def test_threads_lose_nothing(self, store: TokenStore) -> None:
        def save(worker: int) -> None:
            for n in range(5):
                store.save(TOKEN, key=f"{worker}-{n}")

        threads = [threading.Thread(target=save, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(json.loads(store.path_for().read_text())) == 40

    def test_processes_lose_nothing(self, store: TokenStore) -> None:
        code = f"""
            from cave_auth_adapter import TokenStore
            for n in range(10):
                TokenStore().save("{TOKEN}", key=f"{{sys.argv[1]}}-{{n}}")
        """
        assert run_at_once(code, 4) == [("", 0)] * 4
        assert len(json.loads(store.path_for().read_text())) == 40


class TestDelete:
    def test_other_keys_are_kept(self, store: TokenStore, write: Write) -> None:
        path = write("cave-secret.json", a="1", token=TOKEN, b="2")
        assert store.delete()
        assert json.loads(path.read_text()) == {"a": "1", "b": "2"}

    def test_the_file_goes_with_its_last_key(self, store: TokenStore) -> None:
        path = store.save(TOKEN, SERVER)
        assert store.delete(SERVER)
        assert not path.exists()
        assert store.servers() == []

    @pytest.mark.parametrize("saved", [True, False])
    def test_nothing_to_delete(self, store: TokenStore, secrets: Path, saved: bool) -> None:
        if saved:
            store.save(TOKEN, key="another")
        assert not store.delete()
        assert secrets.exists() is saved

    def test_a_broken_file_stays(self, store: TokenStore, write: Write) -> None:
        path = write("cave-secret.json", "[]")
        with pytest.raises(TokenFileError):
            store.delete()
        assert path.read_text() == "[]"

    @needs_links
    def test_a_link_leaves_no_token_at_its_target(
        self, store: TokenStore, secrets: Path, tmp_path: Path
    ) -> None:
        secrets.mkdir(parents=True)
        (secrets / "cave-secret.json").symlink_to(tmp_path / "data")
        store.save(TOKEN)
        store.delete()
        assert TOKEN not in (tmp_path / "data").read_text()


AsNobody = Callable[[str], str]


class TestForbidden:
    """Files and directories of somebody else."""

    @pytest.fixture
    def directory(self) -> Iterator[Path]:
        # Not below tmp_path, which only its owner may enter.
        with tempfile.TemporaryDirectory() as name:
            Path(name).chmod(0o755)
            (Path(name) / "cave-secret.json").write_text(json.dumps({"token": TOKEN}))
            yield Path(name)

    @pytest.fixture
    def as_nobody(self, directory: Path) -> AsNobody:
        """Evaluate an expression about ``store`` as a user without any right; the error, if any."""
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
    def test_a_file_that_cannot_be_read(
        self, directory: Path, as_nobody: AsNobody, call: str
    ) -> None:
        (directory / "cave-secret.json").chmod(0o600)
        said = as_nobody(f"store.{call}")
        assert said.startswith(f"TokenFileError {directory}/cave-secret.json: ")
        assert "permission denied" in said

    @pytest.mark.parametrize("call", ["delete()", f"save('{OTHER_TOKEN}', overwrite=True)"])
    def test_a_directory_that_cannot_be_written(
        self, directory: Path, as_nobody: AsNobody, call: str
    ) -> None:
        said = as_nobody(f"store.{call}")
        assert said.startswith(f"TokenFileError {directory}/cave-secret.json: ")
        assert "CLOUD_VOLUME_DIR" in said
        assert json.loads((directory / "cave-secret.json").read_text()) == {"token": TOKEN}

    @pytest.mark.parametrize("call", ["load()", "delete()", f"save('{OTHER_TOKEN}')", "servers()"])
    def test_a_directory_that_cannot_be_entered(
        self, directory: Path, as_nobody: AsNobody, call: str
    ) -> None:
        directory.chmod(0o700)
        assert as_nobody(f"store.{call}").startswith(f"TokenFileError {directory}")


@pytest.mark.parametrize("token", [TOKEN, "a", "aA0-._~+/", "abc==", "x" * 4096])
def test_what_a_token_can_be(token: str) -> None:
    assert check_token(token, "this test") == token


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        (None, "is not a string but NoneType"),
        ("", "is empty"),
        (TOKEN + "\n", "has a line break in it"),
        (TOKEN + " ", "has white space in it"),
        (f"'{TOKEN}'", "has quotes in it"),
        ("=" + TOKEN, "has characters in it that no bearer token has"),
    ],
)
def test_what_is_wrong_with_a_token_is_said(token: object, problem: str) -> None:
    with pytest.raises(InvalidToken, match=f"^this test {problem}") as caught:
        check_token(token, "this test")
    assert TOKEN not in lines_of(caught.value)


class TestWarnings:
    @posix_only  # modes
    def test_a_file_that_others_can_read_is_said_once_with_the_remedy(
        self, store: TokenStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = store.save(TOKEN)
        path.chmod(0o644)
        assert [store.load(), store.load()] == [TOKEN, TOKEN]
        (warning,) = caplog.messages
        assert warning == f"{path} can be read by others. Keep it to yourself: chmod 600 {path}"

    @pytest.mark.parametrize("token", [TOKEN, "dG9rZW4rL2Zvbw==", "ABCDEF"])
    def test_a_token_that_cloudvolume_takes_is_no_reason_for_one(
        self, store: TokenStore, caplog: pytest.LogCaptureFixture, token: str
    ) -> None:
        store.save(token)
        assert caplog.messages == []

    def test_a_token_that_cloudvolume_refuses_is_saved_and_said(
        self, store: TokenStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        store.save("another_fake_token_678")
        (warning,) = caplog.messages
        assert "CloudVolume will refuse it" in warning
        assert "another_fake_token_678" not in warning


def test_an_empty_directory_is_not_the_current_one() -> None:
    with pytest.raises(ValueError, match="directory is empty"):
        TokenStore("")
