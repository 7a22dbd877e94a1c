"""A changed token is noticed, whether it is in a file, in a variable, or saved by this process."""

from __future__ import annotations

import json
import os
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cave_auth_adapter import TokenFileError, TokenStore, watch
from cave_auth_adapter.sources import Credentials, reading
from cave_auth_adapter.watch import LOOK_INTERVAL

from ..support.credentials import FILES, HOST, value
from ..support.stub import OTHER_TOKEN, TOKEN, Clock, Write

STAT = os.stat


class TestChanges:
    def test_a_changed_file_is_noticed_within_the_interval(
        self, write: Write, clock: Clock
    ) -> None:
        write("cave-secret.json", token=OTHER_TOKEN)
        credentials = Credentials()
        value(credentials)
        write("cave-secret.json", token=TOKEN)
        clock.advance(LOOK_INTERVAL)
        assert value(credentials) == TOKEN

    def test_a_slow_stat_delays_the_next_look_by_a_minute_at_most(
        self, write: Write, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def hang(*args: Any, **kwargs: Any) -> os.stat_result:
            clock.advance(10)
            return STAT(*args, **kwargs)

        write("cave-secret.json", token=OTHER_TOKEN)
        credentials = Credentials()
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", hang)
            assert value(credentials) == OTHER_TOKEN
        write("cave-secret.json", token=TOKEN)
        clock.advance(60)
        assert value(credentials) == TOKEN

    def test_a_save_is_noticed_at_once_while_another_thread_looks(
        self, store: TokenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.save(OTHER_TOKEN)
        credentials = Credentials()
        value(credentials)
        looking, looked = threading.Event(), threading.Event()

        def look_slowly(*args: Any, **kwargs: Any) -> os.stat_result:
            found = STAT(*args, **kwargs)
            if threading.current_thread() is thread and not looking.is_set():
                looking.set()
                assert looked.wait(10)
            return found

        monkeypatch.setattr(os, "stat", look_slowly)
        thread = threading.Thread(target=value, args=[credentials])
        store.save(TOKEN, HOST.server)
        thread.start()
        assert looking.wait(10)
        try:
            assert value(credentials) == TOKEN
        finally:
            looked.set()
            thread.join()

    def test_a_changed_file_is_noticed_in_real_time(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watch, "LOOK_INTERVAL", 0.01)
        monkeypatch.setattr(watch, "_LOOK_SHARE", 1.0)
        write("cave-secret.json", token=OTHER_TOKEN, other="longer than before")
        some = Credentials()
        value(some)
        write("cave-secret.json", token=TOKEN)
        time.sleep(0.02)
        assert value(some) == TOKEN

    @pytest.mark.parametrize(("higher", "lower"), list(pairwise(FILES)))
    def test_a_new_file_of_higher_rank_is_noticed(
        self, write: Write, clock: Clock, higher: str, lower: str
    ) -> None:
        write(lower, token=OTHER_TOKEN)
        os.utime(write(lower, token=OTHER_TOKEN).parent, (1, 1))
        credentials = Credentials()
        value(credentials)
        write(higher, token=TOKEN)
        clock.advance(LOOK_INTERVAL)
        assert value(credentials) == TOKEN

    def test_a_new_directory_is_noticed(self, write: Write, clock: Clock) -> None:
        credentials = Credentials()
        assert value(credentials) is None
        write("cave-secret.json", token=TOKEN)
        clock.advance(LOOK_INTERVAL)
        assert value(credentials) == TOKEN

    def test_a_deleted_file_is_noticed(self, write: Write, clock: Clock) -> None:
        path = write("cave-secret.json", token=TOKEN)
        os.utime(path.parent, (1, 1))
        credentials = Credentials()
        value(credentials)
        path.unlink()
        clock.advance(LOOK_INTERVAL)
        assert value(credentials) is None

    @pytest.mark.parametrize("key", ["token", "another"])
    def test_saving_in_this_process_is_noticed_at_once(self, clock: Clock, key: str) -> None:
        store = TokenStore()
        store.save(OTHER_TOKEN, key=key)
        credentials = Credentials(token_key=key)
        value(credentials)
        store.save(TOKEN, key=key, overwrite=True)
        assert value(credentials) == TOKEN

    def test_deleting_in_this_process_is_noticed_at_once(self, clock: Clock) -> None:
        TokenStore().save(TOKEN)
        credentials = Credentials()
        value(credentials)
        TokenStore().delete()
        assert value(credentials) is None

    @pytest.mark.parametrize("name", ["CAVE_TOKEN", "CAVE_TOKEN_FILE", "CLOUD_VOLUME_DIR"])
    def test_a_changed_variable_is_noticed_at_once(
        self, write: Write, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
    ) -> None:
        write("cave-secret.json", token=OTHER_TOKEN)
        credentials = Credentials()
        value(credentials)
        file = tmp_path / "secrets" / "cave-secret.json"
        file.parent.mkdir()
        file.write_text(json.dumps({"token": TOKEN}))
        values = {"CAVE_TOKEN": TOKEN, "CAVE_TOKEN_FILE": file, "CLOUD_VOLUME_DIR": tmp_path}
        monkeypatch.setenv(name, str(values[name]))
        assert value(credentials) == TOKEN

    def test_a_change_that_stat_does_not_show_is_found_after_a_refusal(
        self, write: Write, clock: Clock
    ) -> None:
        path = write("cave-secret.json", token=OTHER_TOKEN)
        os.utime(path, (1, 1))
        credentials = Credentials()
        refused = credentials.token_for(HOST)
        path.write_text(json.dumps({"token": TOKEN}))  # in place, with the same size
        os.utime(path, (1, 1))
        assert credentials.after_refusal(HOST, refused).value == TOKEN

    def test_a_file_that_breaks_leaves_the_former_token_in_use(
        self, write: Write, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        write("cave-secret.json", token=TOKEN)
        credentials = Credentials()
        value(credentials)
        path = write("cave-secret.json", "{")
        clock.advance(LOOK_INTERVAL)
        assert [value(credentials) for _ in range(3)] == [TOKEN] * 3
        (warning,) = caplog.messages
        assert str(path) in warning

    def test_a_file_repaired_right_after_a_read_is_noticed(
        self, write: Write, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write("cave-secret.json", token=OTHER_TOKEN)
        credentials = Credentials()
        value(credentials)
        path, real, reads = write("cave-secret.json", "{"), reading.read_secrets, []

        def read(path: Path) -> Any:
            reads.append(path)
            try:
                return real(path)
            finally:
                if len(reads) == 4:  # the last look for now
                    write("cave-secret.json", token=TOKEN)

        monkeypatch.setattr(reading, "read_secrets", read)
        clock.advance(LOOK_INTERVAL)
        assert value(credentials) == OTHER_TOKEN
        assert reads == [path] * 4
        clock.advance(LOOK_INTERVAL)
        assert value(credentials) == TOKEN

    def test_a_variable_that_names_a_missing_file_is_an_error(
        self, write: Write, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Who sets a variable wants another account, and must not silently keep the former one."""
        write("cave-secret.json", token=OTHER_TOKEN)
        credentials = Credentials()
        value(credentials)
        monkeypatch.setenv("CAVE_TOKEN_FILE", str(tmp_path / "missing.json"))
        with pytest.raises(TokenFileError, match="is named by CAVE_TOKEN_FILE"):
            value(credentials)
