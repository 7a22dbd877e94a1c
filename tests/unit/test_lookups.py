"""How often files are looked at and read, and how much is kept in memory."""

from __future__ import annotations

import gc
import os
import time
import weakref
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from cave_auth_adapter import CaveAuth
from cave_auth_adapter.origins import Origin
from cave_auth_adapter.sources import Credentials, memory, reading
from cave_auth_adapter.store.content import read_secrets
from cave_auth_adapter.watch import LOOK_INTERVAL

from ..support.credentials import AUTH, HOST, value
from ..support.stub import OTHER_TOKEN, TOKEN, Clock, Write
from ..support.threads import at_once


class TestLookups:
    @pytest.fixture
    def stats(self, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
        """How often each path was looked at."""
        count: Counter[str] = Counter()
        original = os.stat

        def stat(path: Any, *args: Any, **kwargs: Any) -> os.stat_result:
            count[str(path)] += 1
            return original(path, *args, **kwargs)

        monkeypatch.setattr(os, "stat", stat)
        return count

    @pytest.fixture
    def reads(self, monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
        """How often each file was read."""
        count: Counter[Path] = Counter()
        original = read_secrets

        def read(path: Path) -> object:
            count[path] += 1
            time.sleep(0.01)  # so that concurrent threads overlap
            return original(path)

        monkeypatch.setattr(reading, "read_secrets", read)
        return count

    def test_making_the_objects_reads_nothing(
        self, stats: Counter[str], reads: Counter[Path]
    ) -> None:
        CaveAuth()
        Credentials(token_file="/no/such/file")
        assert not stats
        assert not reads

    def test_with_a_token_in_code_no_file_is_read(
        self, stats: Counter[str], reads: Counter[Path]
    ) -> None:
        value(Credentials(token=TOKEN))
        assert not stats
        assert not reads

    def test_one_stat_per_path_and_interval_at_most(
        self, write: Write, clock: Clock, stats: Counter[str]
    ) -> None:
        path = write("cave-secret.json", token=TOKEN)
        credentials = Credentials()
        value(credentials)
        for _ in range(10):
            stats.clear()
            clock.advance(LOOK_INTERVAL)
            for _ in range(10):
                value(credentials)
            assert stats[str(path)] == 1
            assert set(stats.values()) == {1}

    def test_an_unchanged_file_is_read_once(
        self, write: Write, clock: Clock, reads: Counter[Path]
    ) -> None:
        path = write("cave-secret.json", token=TOKEN)
        credentials = Credentials()
        for _ in range(10):
            value(credentials)
            clock.advance(LOOK_INTERVAL)
        assert reads[path] == 1

    def test_threads_read_a_file_once(self, write: Write, reads: Counter[Path]) -> None:
        path = write("cave-secret.json", token=TOKEN)
        credentials = Credentials()
        assert at_once([lambda: value(credentials)] * 32) == [TOKEN] * 32
        assert reads[path] == 1

    def test_threads_that_look_and_threads_that_were_refused_read_a_file_once(
        self, write: Write, clock: Clock, reads: Counter[Path]
    ) -> None:
        path = write("cave-secret.json", token=OTHER_TOKEN)
        credentials = Credentials()
        refused = credentials.token_for(HOST)
        write("cave-secret.json", token=TOKEN)
        clock.advance(LOOK_INTERVAL)
        reads.clear()
        found = at_once(
            [
                lambda: credentials.token_for(HOST),
                lambda: credentials.after_refusal(HOST, refused),
            ]
            * 16
        )
        # A thread that looks may still get the former token, while another one looks.
        assert [token and token.value for token in found[1::2]] == [TOKEN] * 16
        assert reads[path] == 1

    def test_a_refused_token_is_looked_up_again_once(
        self, write: Write, clock: Clock, reads: Counter[Path]
    ) -> None:
        path = write("cave-secret.json", token=TOKEN)
        credentials = Credentials()
        refused = credentials.token_for(HOST)
        reads.clear()
        assert [credentials.after_refusal(HOST, refused) for _ in range(100)] == [None] * 100
        assert reads[path] == 1

    def test_a_look_continues_when_another_thread_reports_its_token_refused(
        self, write: Write, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        newest = "00112233445566778899aabbccddeeff"
        write("cave-secret.json", token=OTHER_TOKEN)
        credentials, look = Credentials(), Credentials._look
        refused = credentials.token_for(HOST)
        write("cave-secret.json", token=TOKEN)

        def overtaken(self: Credentials, *args: Any, **kwargs: Any) -> Any:
            found = look(self, *args, **kwargs)
            if found and found.value == TOKEN:
                credentials._memory.note_refusal(HOST, found)
                write("cave-secret.json", token=newest)
            return found

        monkeypatch.setattr(Credentials, "_look", overtaken)
        token = credentials.after_refusal(HOST, refused)
        assert token is not None
        assert token.value == newest

    def test_alternating_refused_tokens_do_not_loop_for_ever(self) -> None:
        turns = cycle([TOKEN, OTHER_TOKEN])
        credentials = Credentials(source=lambda server, refused: next(turns))
        first = credentials.token_for(HOST)
        second = credentials.after_refusal(HOST, first)
        assert second is not None
        assert second != first
        credentials._memory.note_refusal(HOST, second)
        assert credentials.after_refusal(HOST, second) is None

    def test_a_refused_token_is_looked_up_again_after_a_while(
        self, write: Write, clock: Clock, reads: Counter[Path]
    ) -> None:
        path = write("cave-secret.json", token=TOKEN)
        credentials = Credentials()
        refused = credentials.token_for(HOST)
        credentials.after_refusal(HOST, refused)
        reads.clear()
        clock.advance(60)
        credentials.after_refusal(HOST, refused)
        assert reads[path] == 1

    def test_after_a_refusal_only_existing_files_are_opened(
        self, write: Write, clock: Clock, reads: Counter[Path]
    ) -> None:
        path = write("cave-secret.json", token=TOKEN)
        os.utime(path.parent, (1, 1))  # older than the time stamp resolution of any file system
        credentials = Credentials()
        refused = credentials.token_for(HOST)
        reads.clear()
        for _ in range(3):
            credentials.after_refusal(HOST, refused)
            clock.advance(100)
        assert reads == {path: 3}

    def test_a_new_file_is_opened(self, write: Write, clock: Clock) -> None:
        path = write("cave-secret.json", token=OTHER_TOKEN)
        os.utime(path.parent, (1, 1))
        credentials = Credentials()
        refused = credentials.token_for(HOST)
        write(f"{HOST.host}-cave-secret.json", token=TOKEN)
        token = credentials.after_refusal(HOST, refused)
        assert token is not None
        assert token.value == TOKEN

    def test_a_new_file_is_opened_even_if_the_directory_time_is_unchanged(
        self, write: Write, clock: Clock
    ) -> None:
        directory = write("cave-secret.json", token=OTHER_TOKEN).parent
        before = os.stat(directory)
        credentials = Credentials()
        refused = credentials.token_for(HOST)
        write(f"{HOST.host}-cave-secret.json", token=TOKEN)
        os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))
        token = credentials.after_refusal(HOST, refused)
        assert token is not None
        assert token.value == TOKEN

    def test_a_directory_that_cannot_be_listed_is_searched_by_name(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write("cave-secret.json", token=OTHER_TOKEN)
        write(f"{HOST.host}-cave-secret.json", token=TOKEN)

        def refuse(path: object) -> list[str]:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "listdir", refuse)
        assert value(Credentials()) == TOKEN
        assert value(Credentials(), AUTH) == OTHER_TOKEN

    def test_equal_objects_read_a_file_once(
        self, write: Write, reads: Counter[Path], stats: Counter[str]
    ) -> None:
        path = write("cave-secret.json", token=TOKEN)
        url = f"https://{HOST.host}/"
        assert CaveAuth().token_for(url) == TOKEN
        stats.clear()
        assert [CaveAuth().token_for(url) for _ in range(100)] == [TOKEN] * 100
        assert [CaveAuth(raise_errors=True).token_for(url) for _ in range(100)] == [TOKEN] * 100
        assert reads[path] == 1
        assert len(stats) <= 4  # if an interval ended meanwhile

    @pytest.mark.parametrize(
        "other", [{"hosts": ["*.microns-daf.com"]}, {"token_file": "file"}, {"token_key": "key"}]
    )
    def test_different_objects_share_no_memory(
        self, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, Any]
    ) -> None:
        write("cave-secret.json", token=OTHER_TOKEN, key=TOKEN)
        monkeypatch.chdir(tmp_path)
        Path("file").write_text(TOKEN)
        url = f"https://{HOST.host}/"
        assert CaveAuth().token_for(url) == OTHER_TOKEN
        assert CaveAuth(**other).token_for(url) == (OTHER_TOKEN if "hosts" in other else TOKEN)
        assert CaveAuth(**other).credentials._memory is not CaveAuth().credentials._memory
        assert CaveAuth(**other).credentials._memory is CaveAuth(**other).credentials._memory

    def test_a_relative_token_file_is_resolved_when_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, token in (("one", TOKEN), ("other", OTHER_TOKEN)):
            (tmp_path / name).mkdir()
            (tmp_path / name / "file").write_text(token)
        url, auths = f"https://{HOST.host}/", []
        for name in ("one", "other"):
            monkeypatch.chdir(tmp_path / name)
            auths.append(CaveAuth(token_file="file"))
        assert [auth.token_for(url) for auth in auths] == [TOKEN, OTHER_TOKEN]

    def test_memories_are_bounded_and_keep_no_auth_alive(self, write: Write) -> None:
        write("cave-secret.json", token=TOKEN)
        auths = [CaveAuth(hosts=[f"{HOST.host}:{port}"]) for port in range(1, 600)]
        assert {auth.token_for(f"https://{HOST.host}:1/") for auth in auths[:1]} == {TOKEN}
        assert len(memory._memories) <= 256
        left = [weakref.ref(auth) for auth in auths]
        del auths
        gc.collect()
        assert [auth for auth in left if auth() is not None] == []

    def test_the_size_of_a_memory_is_bounded(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(memory, "_HOSTS", 8)
        path = write("cave-secret.json", token=TOKEN)
        credentials = Credentials()
        for n in range(50):
            origin = Origin("https", f"host{n}.daf-apis.com", 443)
            credentials.after_refusal(origin, credentials.token_for(origin))
        path.write_text("{}")
        held: Any = credentials._memory
        assert max(map(len, (held.found, held.given_out, held._refused, held._rests))) <= 8
