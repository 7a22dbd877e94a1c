"""Reading, locking and replacing a file on systems that deny, lack or limit something."""

from __future__ import annotations

import errno
import json
import logging
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest

from cave_auth_adapter import TokenFileError, TokenStore, runtime
from cave_auth_adapter.store import files

from ..support.stub import OTHER_TOKEN, TOKEN, Write
from ..support.systems import needs_links, posix_only

Refuse = Callable[..., list[int]]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """Let a function of ``os`` fail, some times or always; the list grows with each call."""

    def refuse(name: str, code: int, times: float, owner: Any = os) -> list[int]:
        real = getattr(owner, name)
        calls: list[int] = []

        def function(*args: Any, **keywords: Any) -> Any:
            calls.append(len(calls))
            if len(calls) <= times:
                raise OSError(code, os.strerror(code))
            return real(*args, **keywords)

        monkeypatch.setattr(owner, name, function)
        return calls

    return refuse


class TestTemporaryDenial:
    """Windows denies access while another process reads, scans or replaces a file."""

    def test_replacing_is_tried_again(self, store: TokenStore, refuse: Refuse) -> None:
        store.save(TOKEN)
        calls = refuse("replace", errno.EACCES, 3)
        store.save(OTHER_TOKEN, overwrite=True)
        assert (len(calls), store.load()) == (4, OTHER_TOKEN)

    def test_reading_is_tried_again(self, store: TokenStore, refuse: Refuse) -> None:
        store.save(TOKEN)
        calls = refuse("open", errno.EACCES, 3)
        assert (store.load(), len(calls)) == (TOKEN, 4)

    def test_removing_is_tried_again(self, store: TokenStore, refuse: Refuse) -> None:
        path = store.save(TOKEN)
        refuse("unlink", errno.EACCES, 3)
        assert store.delete()
        assert not path.exists()

    @pytest.mark.parametrize("function", ["replace", "open"])
    def test_a_lasting_denial_is_an_error(
        self, store: TokenStore, refuse: Refuse, monkeypatch: pytest.MonkeyPatch, function: str
    ) -> None:
        monkeypatch.setattr(files, "_PATIENCE", 0.05)
        path = store.save(TOKEN)
        calls = refuse(function, errno.EACCES, float("inf"))
        with pytest.raises(TokenFileError, match=r"cave-secret\.json: .*permission denied"):
            store.load() if function == "open" else store.save(OTHER_TOKEN, overwrite=True)
        assert len(calls) > 1
        monkeypatch.undo()
        assert json.loads(path.read_text()) == {"token": TOKEN}
        assert not [name for name in os.listdir(path.parent) if ".new-" in name]

    def test_a_file_without_permission_is_an_error_at_once(
        self, store: TokenStore, refuse: Refuse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.save(TOKEN)
        calls = refuse("open", errno.EACCES, float("inf"))
        monkeypatch.setattr(os, "access", lambda *args: False)
        with pytest.raises(TokenFileError, match="permission denied"):
            store.load()
        assert len(calls) == 1


class TestLimitedFileSystems:
    @pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
    def test_saving_works_without_fsync(self, store: TokenStore, refuse: Refuse, code: int) -> None:
        refuse("fsync", code, float("inf"))
        store.save(TOKEN)
        assert store.load() == TOKEN

    @posix_only  # flock
    @pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
    def test_saving_works_without_flock(self, store: TokenStore, refuse: Refuse, code: int) -> None:
        import fcntl

        refuse("flock", code, float("inf"), fcntl)
        started = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # filelock warns where it uses another kind of lock
            path = store.save(TOKEN)
            store.save(OTHER_TOKEN, key="other")
        assert time.monotonic() - started < 5
        assert json.loads(path.read_text()) == {"token": TOKEN, "other": OTHER_TOKEN}
        assert not path.with_name(f".{path.name}.held").exists()

    @posix_only  # flock
    def test_without_flock_writers_wait_for_a_lock_file(
        self, store: TokenStore, refuse: Refuse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import fcntl

        refuse("flock", errno.ENOLCK, float("inf"), fcntl)
        monkeypatch.setattr(files, "_LOCK_TIMEOUT", 0.05)
        held = store.save(TOKEN).with_name(".cave-secret.json.held")
        with filelock.SoftFileLock(held), pytest.raises(TokenFileError) as caught:
            store.save(OTHER_TOKEN, overwrite=True)
        assert str(caught.value).endswith(f"rm {held}")
        assert store.load() == TOKEN

    @posix_only  # flock
    def test_any_other_failure_of_flock_is_an_error_at_once(
        self, store: TokenStore, refuse: Refuse
    ) -> None:
        import fcntl

        refuse("flock", errno.EIO, float("inf"), fcntl)
        started = time.monotonic()
        with pytest.raises(TokenFileError):
            store.save(TOKEN)
        assert time.monotonic() - started < 5


@posix_only  # the warning is about a mode
def test_a_log_handler_may_save_a_token(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LOCK_TIMEOUT", 0.5)

    class Saving(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            store.save(OTHER_TOKEN, key="by the handler")

    handler = Saving()
    runtime.logger.addHandler(handler)
    try:
        for change in (store.delete, lambda: store.save(TOKEN, key="b", overwrite=True)):
            runtime._given.clear()
            store.save(TOKEN).chmod(0o644)
            change()
            store.load()
    finally:
        runtime.logger.removeHandler(handler)
    assert store.load(key="by the handler") == OTHER_TOKEN


class TestNames:
    @pytest.mark.parametrize("call", ["load", "delete", "servers", "save"])
    def test_a_nul_in_a_path_is_an_error(self, call: str) -> None:
        store = TokenStore("no\0where")
        with pytest.raises(TokenFileError, match="NUL"):
            store.save(TOKEN) if call == "save" else getattr(store, call)()

    @pytest.mark.parametrize(
        "name",
        [
            "\u202egnp.exe",
            *(
                pytest.param(n, marks=posix_only)
                for n in ("\x1b]0;owned\x07", "two\nlines", "\udcff")
            ),
        ],
    )
    def test_messages_hold_no_control_characters(
        self, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = TokenStore(tmp_path / name)
        path = store.save(TOKEN)
        path.chmod(0o644)
        store.load()
        with pytest.raises(TokenFileError) as caught:
            store.save(OTHER_TOKEN)
        assert caught.value.filename == str(path)
        for said in (str(caught.value), *caplog.messages):
            assert said.isprintable()


@needs_links
def test_saving_through_a_loop_of_links_is_an_error(store: TokenStore, secrets: Path) -> None:
    secrets.mkdir(parents=True)
    (secrets / "cave-secret.json").symlink_to("cave-secret.json")
    with pytest.raises(TokenFileError, match="symbolic links"):
        store.save(TOKEN)


def test_a_repeated_key_is_an_error_and_nothing_changes(store: TokenStore, write: Write) -> None:
    content = f'{{"token": "{TOKEN}", "a": 1,\n "a": 2}}'
    path = write("cave-secret.json", content)
    assert store.load() == TOKEN
    for change in (lambda: store.save(OTHER_TOKEN, overwrite=True), store.delete):
        with pytest.raises(TokenFileError, match=r"same key twice \(line 2\)") as caught:
            change()
        assert TOKEN not in str(caught.value)
    assert path.read_text() == content


SET_TO_A_WHOLE_PATH = (
    r"\$env:CLOUD_VOLUME_DIR = '[A-Z]:" if os.name == "nt" else "export CLOUD_VOLUME_DIR='?/"
)


class TestCloudVolumeDir:
    def test_a_tilde_is_expanded(
        self, store: TokenStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("CLOUD_VOLUME_DIR", "~/volumes")
        assert store.directory == tmp_path / "volumes" / "secrets"

    @pytest.mark.parametrize("named", ["volumes", "./volumes", "~nobody-here/volumes"])
    def test_a_relative_directory_is_refused(
        self, store: TokenStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        TokenStore(Path(named) / "secrets").save(TOKEN, "evil.example")
        monkeypatch.setenv("CLOUD_VOLUME_DIR", named)
        for call in (store.path_for, store.load, store.servers, store.delete):
            with pytest.raises(TokenFileError, match=f"relative .* {SET_TO_A_WHOLE_PATH}"):
                call()
        with pytest.raises(TokenFileError):
            store.save(TOKEN)

    def test_a_relative_directory_does_not_affect_other_hosts(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from cave_auth_adapter import CaveAuth

        monkeypatch.setenv("CLOUD_VOLUME_DIR", "volumes")
        assert not CaveAuth().trusts("https://example.org/")
        with pytest.raises(TokenFileError, match="relative"):
            CaveAuth().token_for("https://global.daf-apis.com/")


class TestWindowsNames:
    """A file name on Windows can't hold a colon."""

    @pytest.fixture(autouse=True)
    def windows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("cave_auth_adapter.store._COLON", "@")

    @pytest.mark.parametrize("server", ["localhost:8443", "[::1]:8443", "cave.example.org"])
    def test_a_port_follows_an_at_sign(self, store: TokenStore, server: str) -> None:
        path = store.save(TOKEN, server)
        assert path.name == f"{server.replace(':', '@')}-cave-secret.json"
        assert store.load(server) == TOKEN
        assert store.servers() == [server]
        assert store.delete(server)
        assert store.servers() == []


@posix_only
def test_a_file_name_with_an_at_sign_is_ignored_on_posix(store: TokenStore, write: Write) -> None:
    write("localhost@8443-cave-secret.json", token=TOKEN)
    assert store.servers() == []
