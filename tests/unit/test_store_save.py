"""Writing a secret file: what is kept, and what an interrupted write leaves."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from cave_auth_adapter import InvalidToken, TokenFileError, TokenStore

from ..support.secret_files import NO_TOKENS, SERVER, lines_of, mode, residue
from ..support.stub import OTHER_TOKEN, TOKEN, Write
from ..support.systems import needs_links, posix_only


class TestSave:
    def test_save_returns_the_path(self, store: TokenStore, secrets: Path) -> None:
        assert store.save(TOKEN, SERVER) == secrets / f"{SERVER}-cave-secret.json"

    @posix_only  # modes
    def test_a_new_file_is_readable_by_its_owner_only(
        self, store: TokenStore, secrets: Path
    ) -> None:
        umask = os.umask(0)
        try:
            path = store.save(TOKEN)
        finally:
            os.umask(umask)
        assert (mode(path), mode(secrets)) == (0o600, 0o700)

    @posix_only  # modes
    @pytest.mark.parametrize("before", [0o600, 0o640, 0o660, 0o400, 0o644, 0o666, 0o777])
    def test_an_existing_file_keeps_its_mode_without_the_bits_of_others(
        self, store: TokenStore, write: Write, before: int
    ) -> None:
        path = write("cave-secret.json", token=OTHER_TOKEN)
        path.chmod(before)
        store.save(TOKEN, overwrite=True)
        store.save(TOKEN, key="again")
        assert mode(path) == before & 0o770

    @posix_only  # modes
    @pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
    def test_new_directories_are_open_to_their_owner_only(self, tmp_path: Path, umask: int) -> None:
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

    def test_another_token_is_not_replaced_without_overwrite(self, store: TokenStore) -> None:
        path = store.save(TOKEN)
        with pytest.raises(TokenFileError, match="overwrite=True") as caught:
            store.save(OTHER_TOKEN)
        assert store.load() == TOKEN
        assert str(path) in str(caught.value)
        assert not any(token in lines_of(caught.value) for token in (TOKEN, OTHER_TOKEN))

    def test_another_token_is_replaced_with_overwrite(self, store: TokenStore) -> None:
        store.save(TOKEN)
        store.save(OTHER_TOKEN, overwrite=True)
        assert store.load() == OTHER_TOKEN

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_an_empty_value_is_replaced(
        self, store: TokenStore, write: Write, nothing: object
    ) -> None:
        write("cave-secret.json", token=nothing)
        store.save(TOKEN)
        assert store.load() == TOKEN

    def test_saving_the_same_token_writes_nothing(self, store: TokenStore) -> None:
        before = store.save(TOKEN).stat()
        after = store.save(TOKEN).stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    @pytest.mark.parametrize("value", [*NO_TOKENS.values(), "", None, b"0123"])
    def test_a_malformed_token_is_not_saved(
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
    def test_nested_json_is_written_back_or_refused(
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
    def test_saving_through_a_link_keeps_the_link(
        self, store: TokenStore, secrets: Path, tmp_path: Path
    ) -> None:
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
    def test_saving_through_a_dangling_link_creates_its_target(
        self, store: TokenStore, secrets: Path, tmp_path: Path
    ) -> None:
        secrets.mkdir(parents=True)
        (secrets / "cave-secret.json").symlink_to(tmp_path / "later" / "data")
        store.save(TOKEN)
        assert json.loads((tmp_path / "later" / "data").read_text()) == {"token": TOKEN}


class TestInterruptedWrites:
    @pytest.mark.parametrize("function", ["replace", "fsync"])
    @pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
    def test_a_failed_write_leaves_the_old_file(
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

    def test_a_full_disk_is_an_error(
        self, store: TokenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
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

    def test_leftovers_of_a_killed_writer_are_removed(
        self, store: TokenStore, write: Write
    ) -> None:
        stale = write(".cave-secret.json.new-abc", token=TOKEN)
        another = write(f".{SERVER}-cave-secret.json.new-abc", token=TOKEN)
        store.save(TOKEN)
        assert not stale.exists()
        assert another.exists()  # of another file, whose lock we don't hold

    def test_the_new_content_is_synced_before_it_replaces_the_old(
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
