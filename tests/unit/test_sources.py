"""Which token a host gets, and when to look again."""

from __future__ import annotations

import faulthandler
import functools
import gc
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections import Counter
from collections.abc import Callable
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from cave_auth_adapter import (
    CaveAuth,
    CaveAuthError,
    InvalidToken,
    TokenFileError,
    TokenStore,
    tokens_changed,
    watch,
)
from cave_auth_adapter.bridges import keyring
from cave_auth_adapter.origins import Origin, parse_origin
from cave_auth_adapter.sources import Credentials, memory, reading, turns
from cave_auth_adapter.store import read_secrets
from cave_auth_adapter.watch import LOOK_INTERVAL

from ..support.stub import OTHER_TOKEN, TOKEN, Clock, Write
from ..support.systems import home_at

HOST = Origin("https", "minnie.microns-daf.com", 443)
AUTH_SERVER = "global.daf-apis.com"
AUTH = Origin("https", AUTH_SERVER, 443)

# Each source of a token, highest rank first, as what puts it in place.
SOURCES = [
    "token=",
    "token_file=",
    "CAVE_TOKEN",
    "CAVE_TOKEN_FILE",
    f"{HOST.host}-cave-secret.json",
    f"{AUTH_SERVER}-cave-secret.json",
    "cave-secret.json",
    "chunkedgraph-secret.json",
]
FILES = [source for source in SOURCES if source.endswith(".json")]


Provide = Callable[[dict[str, str]], Credentials]


@pytest.fixture
def provide(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Provide:
    """Put a token into each of some sources, and return the credentials that go with it."""

    def provide(tokens: dict[str, str]) -> Credentials:
        arguments: dict[str, Any] = {}
        for source, token in tokens.items():
            file = tmp_path / f"{source.strip('=')}.json"
            if source == "token=":
                arguments["token"] = token
            elif source == "CAVE_TOKEN":
                monkeypatch.setenv(source, token)
            elif source.endswith(".json"):
                write(source, token=token)
            else:
                file.write_text(json.dumps({"token": token}))
                if source == "token_file=":
                    arguments["token_file"] = str(file)
                else:
                    monkeypatch.setenv(source, str(file))
        return Credentials(**arguments)

    return provide


def value(credentials: Credentials, origin: Origin | None = HOST) -> str | None:
    assert origin is not None
    token = credentials.token_for(origin)
    return token.value if token else None


def bounded(test: Any) -> Any:
    """End the process with all its stacks if a test waits for itself."""

    @functools.wraps(test)
    def within(*args: Any, **kwargs: Any) -> None:
        faulthandler.dump_traceback_later(20, exit=True)
        try:
            test(*args, **kwargs)
        finally:
            faulthandler.cancel_dump_traceback_later()

    return within


class TestSources:
    @pytest.mark.parametrize("source", SOURCES)
    def test_each_alone_is_enough(self, provide: Provide, source: str) -> None:
        assert value(provide({source: TOKEN})) == TOKEN

    @pytest.mark.parametrize(("higher", "lower"), list(pairwise(SOURCES)))
    def test_the_higher_outranks_the_lower(self, provide: Provide, higher: str, lower: str) -> None:
        assert value(provide({lower: OTHER_TOKEN, higher: TOKEN})) == TOKEN

    @pytest.mark.parametrize("source", SOURCES)
    def test_each_is_named_and_its_token_is_not_shown(self, provide: Provide, source: str) -> None:
        token = provide({source: TOKEN}).token_for(HOST)
        words = {"token=": "token= in code", "token_file=": "token_file.json"}
        assert words.get(source, source) in str(token.source)
        assert TOKEN not in repr(token) + str(token) + str(token.source)

    def test_none(self) -> None:
        assert value(Credentials()) is None

    def test_an_empty_variable_is_none(
        self, provide: Provide, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CAVE_TOKEN_FILE", "")
        assert value(provide({"CAVE_TOKEN": "", "cave-secret.json": TOKEN})) == TOKEN

    def test_a_file_with_the_port_of_the_host(self, write: Write) -> None:
        write(TokenStore().path_for("localhost:8443").name, token=TOKEN)
        write("localhost-cave-secret.json", token=OTHER_TOKEN)
        assert value(Credentials(), parse_origin("https://localhost:8443/")) == TOKEN
        assert value(Credentials(), parse_origin("https://localhost/")) == OTHER_TOKEN

    def test_the_file_of_another_deployment_is_not_for_this_host(self, write: Write) -> None:
        write("proofreading.zetta.ai-cave-secret.json", token=TOKEN)
        assert value(Credentials()) is None

    @pytest.mark.parametrize("file", ["cave-secret.json", "chunkedgraph-secret.json"])
    @pytest.mark.parametrize("named_by", ["hosts=", "CAVE_AUTH_HOSTS", ""])
    def test_a_host_of_no_deployment_gets_the_default_file_if_it_is_named(
        self, write: Write, monkeypatch: pytest.MonkeyPatch, file: str, named_by: str
    ) -> None:
        write(file, token=TOKEN)
        write(f"{AUTH_SERVER}-cave-secret.json", token=OTHER_TOKEN)
        host = "cave.example.org"
        if named_by.isupper():
            monkeypatch.setenv(named_by, host)
        auth = CaveAuth(hosts=[host] if named_by == "hosts=" else None)
        assert value(auth.credentials, Origin("https", host, 443)) == (TOKEN if named_by else None)

    def test_a_host_of_no_deployment_gets_the_default_file_if_nobody_knows_whose_it_is(
        self, write: Write
    ) -> None:
        write("cave-secret.json", token=TOKEN)
        assert value(Credentials(), parse_origin("https://cave.example.org/")) == TOKEN

    @pytest.mark.parametrize("owner", [AUTH_SERVER, "proofreading.zetta.ai", "cave.my-lab.org"])
    def test_the_default_file_is_for_the_deployments_that_have_its_token(
        self, write: Write, owner: str
    ) -> None:
        write("cave-secret.json", token=TOKEN)
        write(f"{owner}-cave-secret.json", token=TOKEN)
        hosts = (
            HOST.host,
            "data.proofreading.zetta.ai",
            "cave.my-lab.org",
            "h.brain-wire-test.org",
        )
        got = {h for h in hosts if value(Credentials(), Origin("https", h, 443))}
        expected = {AUTH_SERVER: hosts[0], "proofreading.zetta.ai": hosts[1], hosts[2]: hosts[2]}
        assert got == {expected[owner]}

    def test_an_owners_file_that_changes_in_place_is_noticed(
        self, write: Write, clock: Clock
    ) -> None:
        write("cave-secret.json", token=TOKEN)
        path = write("proofreading.zetta.ai-cave-secret.json", token=OTHER_TOKEN)
        v1dd = Origin("https", "global.em.brain.allentech.org", 443)
        credentials = Credentials()
        assert value(credentials, v1dd) == TOKEN
        path.write_text(json.dumps({"token": TOKEN}))
        clock.advance(LOOK_INTERVAL)
        assert value(credentials, v1dd) is None

    def test_a_file_without_the_key_is_passed_over(self, write: Write) -> None:
        write(f"{HOST.host}-cave-secret.json", other=OTHER_TOKEN)
        write("cave-secret.json", token=TOKEN)
        assert value(Credentials()) == TOKEN

    def test_cloud_volume_dir(
        self, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        write("cave-secret.json", token=OTHER_TOKEN)
        monkeypatch.setenv("CLOUD_VOLUME_DIR", str(tmp_path / "mine"))
        TokenStore().save(TOKEN)
        assert value(Credentials()) == TOKEN

    def test_a_tilde_in_a_name_is_the_home(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "mine.json").write_text(json.dumps({"token": TOKEN}))
        monkeypatch.setenv("CAVE_TOKEN_FILE", "~/mine.json")
        assert value(Credentials()) == TOKEN
        assert value(Credentials(token_file="~/mine.json")) == TOKEN

    def test_a_host_name_too_long_for_a_file_name(self, write: Write) -> None:
        write("cave-secret.json", token=TOKEN)
        labels = ".".join(["a" * 60] * 3 + ["a" * 50])
        assert value(Credentials(), parse_origin(f"https://{labels}.daf-apis.com/")) == TOKEN

    def test_the_deprecated_file_is_warned_of_once(
        self, write: Write, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = write("chunkedgraph-secret.json", token=TOKEN)
        for _ in range(3):
            value(Credentials())
        (warning,) = caplog.messages
        assert str(path) in warning
        assert str(path.with_name("cave-secret.json")) in warning
        assert TOKEN not in warning


class TestTokenKey:
    def test_a_key_in_any_of_the_files(self, write: Write) -> None:
        write(f"{HOST.host}-cave-secret.json", token=OTHER_TOKEN)
        write("cave-secret.json", token=OTHER_TOKEN, minnie=TOKEN)
        assert value(Credentials(token_key="minnie")) == TOKEN

    def test_it_outranks_the_variable(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CAVE_TOKEN", OTHER_TOKEN)
        write("cave-secret.json", minnie=TOKEN)
        assert value(Credentials(token_key="minnie")) == TOKEN

    def test_in_a_file_given_in_code(self, tmp_path: Path) -> None:
        (tmp_path / "mine.json").write_text(json.dumps({"minnie": TOKEN, "token": OTHER_TOKEN}))
        assert value(Credentials(token_file=tmp_path / "mine.json", token_key="minnie")) == TOKEN

    def test_a_key_that_is_nowhere_is_an_error(self, write: Write) -> None:
        path = write("cave-secret.json", token=TOKEN)
        with pytest.raises(TokenFileError, match="has no key 'minnie'") as caught:
            value(Credentials(token_key="minnie"))
        assert str(path) in str(caught.value)
        assert "key='minnie'" in str(caught.value)


class TestAccount:
    """CAVE_AUTH_ACCOUNT selects the key in the secret files."""

    @pytest.fixture(autouse=True)
    def bot(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CAVE_AUTH_ACCOUNT", "bot")

    @pytest.mark.parametrize("file", [f"{HOST.host}-cave-secret.json", "cave-secret.json"])
    def test_it_selects_the_key(self, write: Write, file: str) -> None:
        write(file, token=OTHER_TOKEN, bot=TOKEN)
        token = Credentials().token_for(HOST)
        assert token is not None
        assert (token.value, token.source.key) == (TOKEN, "bot")

    def test_a_key_in_code_outranks_it(self, write: Write) -> None:
        write("cave-secret.json", bot=OTHER_TOKEN, minnie=TOKEN)
        assert value(Credentials(token_key="minnie")) == TOKEN

    def test_no_other_account_stands_in_for_it(self, write: Write) -> None:
        write("cave-secret.json", token=OTHER_TOKEN)
        with pytest.raises(TokenFileError, match="has no key 'bot'"):
            value(Credentials())

    def test_beside_a_token_it_is_one_warning(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("CAVE_TOKEN", TOKEN)
        assert value(Credentials()) == TOKEN
        assert value(Credentials(), AUTH) == TOKEN
        (warning,) = caplog.messages
        assert "CAVE_AUTH_ACCOUNT has no effect beside CAVE_TOKEN" in warning

    def test_a_change_of_it_is_noticed_at_once(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write("cave-secret.json", token=OTHER_TOKEN, bot=TOKEN)
        credentials = Credentials()
        assert value(credentials) == TOKEN
        monkeypatch.delenv("CAVE_AUTH_ACCOUNT")
        assert value(credentials) == OTHER_TOKEN


class TestStaleFile:
    """A file's token that is refused gives way to that of the next file of its deployment."""

    OWN, HOME = f"{HOST.host}-cave-secret.json", f"{AUTH_SERVER}-cave-secret.json"
    ZETTA = Origin("https", "data.proofreading.zetta.ai", 443)

    def refuse(self, credentials: Credentials, origin: Origin = HOST) -> str | None:
        token = credentials.after_refusal(origin, credentials.token_for(origin))
        return token.value if token else None

    def test_the_next_file_of_the_deployment_follows(
        self, write: Write, caplog: pytest.LogCaptureFixture, clock: Clock
    ) -> None:
        path = write(self.OWN, token=OTHER_TOKEN)
        write(self.HOME, token=TOKEN)
        credentials = Credentials()
        assert self.refuse(credentials) == TOKEN
        clock.advance(100)
        assert value(credentials) == TOKEN  # from now on
        assert value(Credentials()) == TOKEN  # for each object
        (warning,) = caplog.messages
        assert f"{HOST.host} refuses the token from the file {path}" in warning
        assert "cave-auth doctor" in warning
        assert TOKEN not in warning
        assert OTHER_TOKEN not in warning

    @pytest.mark.parametrize(
        ("files", "origin", "follows"),
        [
            ({OWN: OTHER_TOKEN, "cave-secret.json": TOKEN}, HOST, True),
            ({OWN: OTHER_TOKEN, HOME: TOKEN, "cave-secret.json": TOKEN}, HOST, True),
            ({HOME: OTHER_TOKEN, "chunkedgraph-secret.json": TOKEN}, HOST, True),
            # of another deployment, by the file that it has
            (
                {
                    OWN: OTHER_TOKEN,
                    "proofreading.zetta.ai-cave-secret.json": TOKEN,
                    "cave-secret.json": TOKEN,
                },
                HOST,
                False,
            ),
            # of nobody knows whom, and not for the default deployment
            (
                {"proofreading.zetta.ai-cave-secret.json": OTHER_TOKEN, "cave-secret.json": TOKEN},
                ZETTA,
                False,
            ),
            (
                {
                    "data.proofreading.zetta.ai-cave-secret.json": OTHER_TOKEN,
                    "proofreading.zetta.ai-cave-secret.json": TOKEN,
                    "cave-secret.json": TOKEN,
                },
                ZETTA,
                True,
            ),
        ],
    )
    def test_only_a_file_of_the_same_deployment_follows(
        self, write: Write, files: dict[str, str], origin: Origin, follows: bool
    ) -> None:
        for name, token in files.items():
            write(name, token=token)
        credentials = Credentials()
        assert value(credentials, origin) == OTHER_TOKEN
        assert self.refuse(credentials, origin) == (TOKEN if follows else None)

    @pytest.mark.parametrize("kind", ["CAVE_TOKEN", "CAVE_TOKEN_FILE", "token_file=", "key"])
    def test_nothing_follows_what_was_chosen(
        self, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
    ) -> None:
        write(self.OWN, token=TOKEN, key=OTHER_TOKEN)
        write(self.HOME, token=TOKEN, key=TOKEN)
        named = tmp_path / "named"
        named.write_text(OTHER_TOKEN)
        if kind.isupper():
            monkeypatch.setenv(kind, OTHER_TOKEN if kind == "CAVE_TOKEN" else str(named))
        given: Any = {"token_file=": {"token_file": named}, "key": {"token_key": "key"}}.get(
            kind, {}
        )
        credentials = Credentials(**given)
        assert value(credentials) == OTHER_TOKEN
        assert self.refuse(credentials) is None

    def test_if_all_are_refused_the_first_is_used_again(self, write: Write, clock: Clock) -> None:
        write(self.OWN, token=OTHER_TOKEN)
        write(self.HOME, token=TOKEN)
        credentials = Credentials()
        assert [self.refuse(credentials) for _ in range(3)] == [TOKEN, None, None]
        assert value(credentials) == OTHER_TOKEN
        write(self.OWN, token="ab" * 16)
        clock.advance(LOOK_INTERVAL)
        assert value(credentials) == "ab" * 16

    def test_a_request_without_a_token_gets_what_was_refused_before(self, write: Write) -> None:
        write(self.OWN, token=TOKEN)
        credentials = Credentials()
        assert self.refuse(credentials) is None
        token = credentials.after_refusal(HOST, None)
        assert token is not None
        assert token.value == TOKEN

    def test_it_is_tried_again_when_somebody_says_that_tokens_changed(self, write: Write) -> None:
        write(self.OWN, token=OTHER_TOKEN)
        write(self.HOME, token=TOKEN)
        credentials = Credentials()
        assert self.refuse(credentials) == TOKEN
        tokens_changed()
        assert value(credentials) == OTHER_TOKEN

    def test_another_host_still_gets_it(self, write: Write) -> None:
        write(self.HOME, token=OTHER_TOKEN)
        write("cave-secret.json", token=TOKEN)
        credentials = Credentials()
        assert self.refuse(credentials) == TOKEN
        assert value(credentials, AUTH) == OTHER_TOKEN

    def test_a_broken_file_does_not_follow(self, write: Write) -> None:
        write(self.OWN, token=OTHER_TOKEN)
        write(self.HOME, "{")
        credentials = Credentials()
        assert self.refuse(credentials) is None
        assert value(credentials) == OTHER_TOKEN

    def test_32_threads_are_one_refusal_and_one_warning(
        self, write: Write, caplog: pytest.LogCaptureFixture
    ) -> None:
        write(self.OWN, token=OTHER_TOKEN)
        write(self.HOME, token=TOKEN)
        credentials, start = Credentials(), threading.Barrier(32)
        refused, found = credentials.token_for(HOST), []

        def refuse() -> None:
            start.wait()
            found.append(credentials.after_refusal(HOST, refused))

        threads = [threading.Thread(target=refuse) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {token.value for token in found if token} == {TOKEN}
        assert len(found) == 32
        assert len(caplog.messages) == 1


class TestBadSources:
    @pytest.mark.parametrize("bad", [TOKEN + "\n", f"Bearer {TOKEN}", f"'{TOKEN}'"])
    def test_a_bad_variable_is_named_and_its_token_is_not(
        self, monkeypatch: pytest.MonkeyPatch, bad: str
    ) -> None:
        monkeypatch.setenv("CAVE_TOKEN", bad)
        with pytest.raises(InvalidToken, match="the variable CAVE_TOKEN has") as caught:
            value(Credentials())
        assert TOKEN not in str(caught.value)

    def test_a_bad_token_in_code_is_known_at_once(self) -> None:
        with pytest.raises(InvalidToken, match="the token given in code has") as caught:
            Credentials(token=TOKEN + " ")
        assert TOKEN not in str(caught.value)

    @pytest.mark.parametrize(
        ("content", "problem"),
        [(None, "does not exist"), ({"other": TOKEN}, "no token under the key 'token'")],
    )
    @pytest.mark.parametrize("named_by", ["token_file=", "CAVE_TOKEN_FILE"])
    def test_a_file_that_was_named_must_have_the_token(
        self,
        write: Write,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        named_by: str,
        content: dict[str, str] | None,
        problem: str,
    ) -> None:
        write("cave-secret.json", token=OTHER_TOKEN)  # must not stand in for it
        path = tmp_path / "mine.json"
        if content is not None:
            path.write_text(json.dumps(content))
        in_code = path if named_by == "token_file=" else None
        if in_code is None:
            monkeypatch.setenv(named_by, str(path))

        with pytest.raises(TokenFileError, match=problem) as caught:
            value(Credentials(token_file=in_code))
        assert str(path) in str(caught.value)
        assert named_by in str(caught.value)
        assert TOKEN not in str(caught.value)

    @pytest.mark.parametrize("file", FILES)
    def test_a_broken_file_is_not_passed_over(self, write: Write, file: str) -> None:
        path = write(file, f'{{"token": "{TOKEN}"')
        with pytest.raises(TokenFileError, match="is not JSON") as caught:
            value(Credentials())
        assert str(path) in str(caught.value)
        assert TOKEN not in str(caught.value)

    def test_a_broken_file_below_the_one_that_counts_does_not_matter(self, write: Write) -> None:
        write(f"{HOST.host}-cave-secret.json", token=TOKEN)
        write("cave-secret.json", "{")
        assert value(Credentials()) == TOKEN

    def test_a_broken_file_that_is_mended(self, write: Write) -> None:
        write("cave-secret.json", "{")
        credentials = Credentials()
        with pytest.raises(TokenFileError):
            value(credentials)
        write("cave-secret.json", token=TOKEN)
        assert value(credentials) == TOKEN

    @pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="no pipe has a name")
    def test_the_output_of_a_command_is_no_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """CAVE_TOKEN_FILE=<(command), as shells have it: it can be read but once."""
        reading, writing = os.pipe()
        with open(writing, "w") as pipe:
            pipe.write(json.dumps({"token": TOKEN}))
        with open(reading):
            monkeypatch.setenv("CAVE_TOKEN_FILE", f"/dev/fd/{reading}")
            with pytest.raises(TokenFileError, match=r"a pipe .* variable CAVE_TOKEN"):
                value(Credentials())

    def test_a_home_of_nobody_is_an_error_of_ours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CAVE_TOKEN_FILE", "~no-such-user/mine.json")
        with pytest.raises(CaveAuthError):
            value(Credentials())


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

    def test_a_look_that_hung_for_long_is_repeated_within_a_minute(
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

    def test_a_write_is_seen_at_once_though_another_thread_is_still_looking(
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

    def test_without_the_clock(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(watch, "LOOK_INTERVAL", 0.01)
        monkeypatch.setattr(watch, "_LOOK_SHARE", 1.0)
        write("cave-secret.json", token=OTHER_TOKEN, other="longer than before")
        some = Credentials()
        value(some)
        write("cave-secret.json", token=TOKEN)
        time.sleep(0.02)
        assert value(some) == TOKEN

    @pytest.mark.parametrize(("higher", "lower"), list(pairwise(FILES)))
    def test_a_higher_ranked_file_that_appears(
        self, write: Write, clock: Clock, higher: str, lower: str
    ) -> None:
        write(lower, token=OTHER_TOKEN)
        os.utime(write(lower, token=OTHER_TOKEN).parent, (1, 1))
        credentials = Credentials()
        value(credentials)
        write(higher, token=TOKEN)
        clock.advance(LOOK_INTERVAL)
        assert value(credentials) == TOKEN

    def test_a_directory_that_appears(self, write: Write, clock: Clock) -> None:
        credentials = Credentials()
        assert value(credentials) is None
        write("cave-secret.json", token=TOKEN)
        clock.advance(LOOK_INTERVAL)
        assert value(credentials) == TOKEN

    def test_a_file_that_goes(self, write: Write, clock: Clock) -> None:
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

    def test_a_rewrite_that_no_stat_shows_is_found_after_a_refusal(
        self, write: Write, clock: Clock
    ) -> None:
        path = write("cave-secret.json", token=OTHER_TOKEN)
        os.utime(path, (1, 1))
        credentials = Credentials()
        refused = credentials.token_for(HOST)
        path.write_text(json.dumps({"token": TOKEN}))  # in place, with the same size
        os.utime(path, (1, 1))
        assert credentials.after_refusal(HOST, refused).value == TOKEN

    def test_a_file_that_breaks_meanwhile_does_not_stop_what_runs(
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

    def test_a_file_that_is_whole_again_just_after_it_was_read_is_noticed(
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

    def test_a_variable_that_names_a_broken_file_is_not_answered_with_the_token_before(
        self, write: Write, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Whoever sets a variable wants another identity, and not silently the former one."""
        write("cave-secret.json", token=OTHER_TOKEN)
        credentials = Credentials()
        value(credentials)
        monkeypatch.setenv("CAVE_TOKEN_FILE", str(tmp_path / "missing.json"))
        with pytest.raises(TokenFileError, match="is named by CAVE_TOKEN_FILE"):
            value(credentials)


class TestThrift:
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
            time.sleep(0.01)  # so that threads that look at the same time do meet
            return original(path)

        monkeypatch.setattr(reading, "read_secrets", read)
        return count

    def test_nothing_is_looked_at_before_it_is_needed(
        self, stats: Counter[str], reads: Counter[Path]
    ) -> None:
        CaveAuth()
        Credentials(token_file="/no/such/file")
        assert not stats
        assert not reads

    def test_a_given_token_needs_no_file(self, stats: Counter[str], reads: Counter[Path]) -> None:
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
        credentials, start = Credentials(), threading.Barrier(32)
        found: list[str | None] = []

        def find() -> None:
            start.wait()
            found.append(value(credentials))

        threads = [threading.Thread(target=find) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [TOKEN] * 32
        assert reads[path] == 1

    def test_threads_of_which_some_were_refused_read_a_file_once(
        self, write: Write, clock: Clock, reads: Counter[Path]
    ) -> None:
        path = write("cave-secret.json", token=OTHER_TOKEN)
        credentials, start = Credentials(), threading.Barrier(32)
        refused = credentials.token_for(HOST)
        write("cave-secret.json", token=TOKEN)
        clock.advance(LOOK_INTERVAL)
        reads.clear()
        found: list[str | None] = []

        def find() -> None:
            start.wait()
            credentials.token_for(HOST)

        def refuse() -> None:
            start.wait()
            token = credentials.after_refusal(HOST, refused)
            found.append(token.value if token else None)

        threads = [threading.Thread(target=act) for act in [find, refuse] * 16]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [TOKEN] * 16
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

    def test_a_look_goes_on_where_another_thread_saw_its_token_refused_meanwhile(
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

    def test_sources_that_give_refused_tokens_by_turns_come_to_an_end(self) -> None:
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

    def test_after_a_refusal_only_files_that_are_there_are_opened(
        self, write: Write, clock: Clock, reads: Counter[Path]
    ) -> None:
        path = write("cave-secret.json", token=TOKEN)
        os.utime(path.parent, (1, 1))  # its time stamp is older than the grain of any file system
        credentials = Credentials()
        refused = credentials.token_for(HOST)
        reads.clear()
        for _ in range(3):
            credentials.after_refusal(HOST, refused)
            clock.advance(100)
        assert reads == {path: 3}

    def test_a_file_that_appears_is_opened(self, write: Write, clock: Clock) -> None:
        path = write("cave-secret.json", token=OTHER_TOKEN)
        os.utime(path.parent, (1, 1))
        credentials = Credentials()
        refused = credentials.token_for(HOST)
        write(f"{HOST.host}-cave-secret.json", token=TOKEN)
        token = credentials.after_refusal(HOST, refused)
        assert token is not None
        assert token.value == TOKEN

    def test_a_file_that_appears_within_the_grain_of_a_time_stamp_is_opened(
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

    def test_a_directory_that_can_not_be_listed_is_searched(
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
        assert len(stats) <= 4  # where an interval was over meanwhile

    @pytest.mark.parametrize(
        "other", [{"hosts": ["*.microns-daf.com"]}, {"token_file": "file"}, {"token_key": "key"}]
    )
    def test_other_objects_share_nothing(
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

    def test_a_relative_file_is_that_of_the_directory_where_it_was_named(
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

    def test_memories_are_bounded_and_keep_no_object(self, write: Write) -> None:
        write("cave-secret.json", token=TOKEN)
        auths = [CaveAuth(hosts=[f"{HOST.host}:{port}"]) for port in range(1, 600)]
        assert {auth.token_for(f"https://{HOST.host}:1/") for auth in auths[:1]} == {TOKEN}
        assert len(memory._memories) <= 256
        left = [weakref.ref(auth) for auth in auths]
        del auths
        gc.collect()
        assert [auth for auth in left if auth() is not None] == []

    def test_what_a_memory_knows_is_bounded(
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


class TestQuietTime:
    """After a look in vain, the sources are left in peace for a while."""

    @pytest.fixture
    def credentials(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Credentials:
        """Those whose token comes from a source without a watch."""
        monkeypatch.setenv("CAVE_AUTH_KEYRING", "1")
        monkeypatch.setattr(keyring, "_call", self.call)
        self.asked: list[float] = []
        self.present, self.clock = OTHER_TOKEN, clock
        return Credentials()

    def call(self, function: str, server: str) -> str | None:
        if server != keyring.ANY_SERVER:
            return None
        self.asked.append(self.clock.now)
        return self.present

    def refused_for(self, credentials: Credentials, seconds: int) -> list[float]:
        """When the sources are asked while a refused request is repeated each second."""
        start, token = self.clock.now, credentials.token_for(HOST)
        self.asked.clear()
        for _ in range(seconds):
            credentials.after_refusal(HOST, token)
            self.clock.advance(1)
        return [at - start for at in self.asked]

    def test_it_grows_from_10_to_60_seconds_more_or_less(self, credentials: Credentials) -> None:
        asked = self.refused_for(credentials, 600)
        spans = [after - before for before, after in pairwise(asked)]
        assert 4 <= spans[0] <= 17
        assert 8 <= spans[1] <= 33
        assert all(span <= 61 for span in spans)
        assert 10 <= len(asked) <= 25

    def test_it_is_not_the_same_for_all(
        self, credentials: Credentials, clock: Clock, write: Write
    ) -> None:
        ends = set()
        for _ in range(20):
            memory._forget()
            others = Credentials()
            others.after_refusal(HOST, others.token_for(HOST))
            ends.add(others._memory._rests[HOST].quiet_until)
        assert max(ends) - min(ends) > 2

    def test_it_takes_nothing_from_the_random_numbers_of_the_program(
        self, credentials: Credentials
    ) -> None:
        random.seed(1)
        before = random.getstate()
        self.refused_for(credentials, 100)
        assert random.getstate() == before

    def test_it_ends_when_somebody_says_that_tokens_changed(self, credentials: Credentials) -> None:
        refused = credentials.token_for(HOST)
        assert credentials.after_refusal(HOST, refused) is None
        tokens_changed()
        self.asked.clear()
        assert credentials.after_refusal(HOST, refused) is None
        assert len(self.asked) == 2  # since somebody said so, and since it was refused again
        self.present = TOKEN
        self.clock.advance(2)
        assert credentials.after_refusal(HOST, refused) is None
        tokens_changed()
        token = credentials.after_refusal(HOST, refused)
        assert token is not None
        assert token.value == TOKEN

    def test_it_is_for_one_host_and_one_token(
        self, credentials: Credentials, write: Write, store: TokenStore
    ) -> None:
        self.refused_for(credentials, 3)
        assert len(self.asked) == 1
        credentials.after_refusal(AUTH, credentials.token_for(AUTH))
        assert len(self.asked) == 3  # at first need, and after the refusal
        self.present = TOKEN
        tokens_changed()
        assert value(credentials) == TOKEN
        assert self.refused_for(credentials, 1) == [0]  # this one was not refused before

    def test_a_new_outbreak_begins_with_10_seconds(self, credentials: Credentials) -> None:
        self.refused_for(credentials, 300)
        self.clock.advance(3600)
        asked = self.refused_for(credentials, 40)
        assert asked[0] == 0
        assert 4 <= asked[1] <= 17


class TestCodeOfOthers:
    """Log handlers, keyrings and signal handlers may need the token that is being looked for."""

    class Handler(logging.Handler):
        """A log handler that reports to a host for which it needs a token."""

        def __init__(self, credentials: Credentials):
            super().__init__()
            self.credentials = credentials
            self.found: list[str | None] = []

        def emit(self, record: logging.LogRecord) -> None:
            self.found.append(value(self.credentials))

    @pytest.fixture
    def warned(self, write: Write) -> None:
        write("chunkedgraph-secret.json", token=TOKEN)  # a deprecated name is one warning

    @bounded
    def test_a_log_handler_gets_the_token(self, warned: None) -> None:
        credentials = Credentials()
        handler = self.Handler(credentials)
        logging.getLogger().addHandler(handler)
        try:
            assert value(credentials) == TOKEN
        finally:
            logging.getLogger().removeHandler(handler)
        assert handler.found == [TOKEN]  # the look is over by then

    @bounded
    def test_a_log_handler_that_another_thread_holds_is_not_waited_for_in_a_look(
        self, warned: None
    ) -> None:
        credentials = Credentials()
        handler = self.Handler(credentials)
        logging.getLogger().addHandler(handler)
        try:
            handler.acquire()
            try:
                other = threading.Thread(target=value, args=(credentials,))
                other.start()
                time.sleep(0.05)
                assert value(credentials) == TOKEN
            finally:
                handler.release()
            other.join()
        finally:
            logging.getLogger().removeHandler(handler)

    @bounded
    def test_a_keyring_that_makes_a_request_gets_the_last_answer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        credentials, found = Credentials(), []

        def call(function: str, server: str) -> str:
            found.append(value(credentials))
            return TOKEN

        monkeypatch.setenv("CAVE_AUTH_KEYRING", "1")
        monkeypatch.setattr(keyring, "_call", call)
        assert value(credentials) == TOKEN
        assert found == [None]

    @pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs SIGALRM")
    @bounded
    def test_a_signal_handler_that_makes_a_request_gets_the_last_answer(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write("cave-secret.json", token=TOKEN)
        credentials, found, real = Credentials(), [], reading.read_secrets

        def read(path: Path) -> Any:
            signal.raise_signal(signal.SIGALRM)
            return real(path)

        monkeypatch.setattr(reading, "read_secrets", read)
        before = signal.signal(signal.SIGALRM, lambda *_: found.append(value(credentials)))
        try:
            assert value(credentials) == TOKEN
        finally:
            signal.signal(signal.SIGALRM, before)
        assert found == [None]

    def test_other_threads_wait_for_a_limited_time(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(turns, "PATIENCE", 0.05)
        write("cave-secret.json", token=TOKEN)
        credentials, looking, go = Credentials(), threading.Event(), threading.Event()
        real = reading.read_secrets

        def hang(path: Path) -> Any:
            looking.set()
            go.wait(30)
            return real(path)

        monkeypatch.setattr(reading, "read_secrets", hang)
        other = threading.Thread(target=value, args=(credentials,))
        other.start()
        looking.wait()
        assert value(credentials) is None
        go.set()
        other.join()
        assert value(credentials) == TOKEN


class TestRecognition:
    def test_a_token_given_out_for_a_host_is_recognised(self, store: TokenStore) -> None:
        store.save(OTHER_TOKEN)
        credentials = Credentials()
        value(credentials)
        store.save(TOKEN, overwrite=True)
        value(credentials)
        assert credentials.recognise(HOST, TOKEN).value == TOKEN
        assert credentials.recognise(HOST, OTHER_TOKEN).value == OTHER_TOKEN

    def test_one_given_out_many_tokens_ago_is_recognised(self, store: TokenStore) -> None:
        """As in the header of a volume that was built weeks ago."""
        credentials = Credentials()
        tokens = [f"{number:032x}" for number in range(1, 101)]
        for token in tokens:
            store.save(token, overwrite=True)
            assert value(credentials) == token
        assert all(credentials.recognise(HOST, token) for token in tokens)
        assert credentials.known() == set(tokens)

    def test_a_token_of_another_host_is_not(self, write: Write) -> None:
        write("cave.example.org-cave-secret.json", token=TOKEN)
        credentials = Credentials()
        value(credentials, parse_origin("https://cave.example.org/"))
        assert credentials.recognise(HOST, TOKEN) is None

    def test_a_foreign_token_is_not(self, write: Write) -> None:
        write("cave-secret.json", token=TOKEN)
        credentials = Credentials()
        value(credentials)
        assert credentials.recognise(HOST, OTHER_TOKEN) is None

    def test_a_token_that_the_store_gave_to_another_object_is_recognised(
        self, store: TokenStore
    ) -> None:
        """As after ``uninstall()`` and ``install()``, for a volume that was built before."""
        store.save(OTHER_TOKEN)
        value(Credentials())
        store.save(TOKEN, overwrite=True)
        again = Credentials()
        value(again)
        assert again.recognise(HOST, OTHER_TOKEN) is not None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_fork_forgets_the_look_under_way(write: Write) -> None:
    write("cave-secret.json", token=TOKEN)
    credentials = Credentials()
    looking, go = threading.Event(), threading.Event()

    def look() -> None:
        looking.set()
        go.wait()

    other = threading.Thread(target=credentials._memory.turns.take, args=(HOST, look))
    other.start()
    looking.wait()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
            child = os.fork()
        if child == 0:
            signal.alarm(5)
            os._exit(0 if value(credentials) == TOKEN else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        go.set()
        other.join()


class TestKnownHosts:
    """The hosts that are trusted without being named in code."""

    @pytest.mark.parametrize(
        "url",
        [
            "https://global.daf-apis.com/auth",
            "https://minnie.microns-daf.com/x",
            "https://prodv1.flywire-daf.com/x",
            "https://cave.fanc-fly.com/x",
            "https://globalv1.em.brain.allentech.org/x",
            "https://proofreading.zetta.ai/x",
        ],
    )
    def test_the_known_deployments(self, url: str) -> None:
        assert CaveAuth().trusts(url)

    @pytest.mark.parametrize(
        "url",
        [
            "http://global.daf-apis.com/auth",
            "https://global.daf-apis.com:8443/auth",
            "https://global.daf-apis.com.evil.example/auth",
            "https://daf-apis.com.evil.example/",
            "https://evil-daf-apis.com/",
            "https://evil.fanc-fly.com/",
            "https://accounts.google.com/",
            "https://global.dynamicannotationframework.com/auth",
            "https://localhost/",
        ],
    )
    def test_no_other(self, url: str) -> None:
        assert not CaveAuth().trusts(url)

    def test_a_server_with_a_file_of_its_own(self, store: TokenStore) -> None:
        auth = CaveAuth()
        assert not auth.trusts("https://localhost:8443/")
        store.save(TOKEN, "localhost:8443")
        assert auth.trusts("https://localhost:8443/")
        assert not auth.trusts("https://localhost/")
        assert not auth.trusts("http://localhost:8443/")
        store.delete("localhost:8443")
        assert not auth.trusts("https://localhost:8443/")

    def test_a_file_that_another_process_wrote(self, write: Write, clock: Clock) -> None:
        auth = CaveAuth()
        assert not auth.trusts("https://cave.example.org/")
        write("cave.example.org-cave-secret.json", token=TOKEN)
        clock.advance(LOOK_INTERVAL)
        assert auth.trusts("https://cave.example.org/")

    def test_a_left_over_file_does_not_revive_the_retired_domain(self, write: Write) -> None:
        write("global.dynamicannotationframework.com-cave-secret.json", token=TOKEN)
        assert not CaveAuth().trusts("https://global.dynamicannotationframework.com/")

    def test_the_retired_domain_can_be_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CAVE_AUTH_HOSTS", "*.dynamicannotationframework.com")
        assert CaveAuth().trusts("https://global.dynamicannotationframework.com/")

    def test_the_variable_adds_hosts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CAVE_AUTH_HOSTS", " a.example.org,*.b.example.org ,, localhost:8443,")
        auth = CaveAuth()
        urls = ["a.example.org", "x.b.example.org", "localhost:8443", "global.daf-apis.com"]
        assert all(auth.trusts(f"https://{url}/") for url in urls)
        assert not auth.trusts("https://b.example.org/")

    def test_the_variable_is_looked_at_each_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        auth = CaveAuth()
        answers = []
        for hosts in ("a.example.org", "b.example.org", "a.example.org"):
            monkeypatch.setenv("CAVE_AUTH_HOSTS", hosts)
            answers.append(auth.trusts("https://a.example.org/"))
        assert answers == [True, False, True]

    @pytest.mark.parametrize("bad", ["https://", "a b", "http://cave.example.org", "*"])
    def test_a_bad_entry_is_left_out_with_one_warning(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, bad: str
    ) -> None:
        monkeypatch.setenv("CAVE_AUTH_HOSTS", f"a.example.org,{bad},b.example.org")
        trusted = [
            auth.trusts(f"https://{host}.example.org/")
            for auth in (CaveAuth(), CaveAuth())
            for host in ("a", "b", "cave")
        ]
        assert trusted == [True, True, False] * 2
        (message,) = caplog.messages
        assert message.startswith(f"The variable CAVE_AUTH_HOSTS: {bad!r}")
        assert "https" in message  # the forms that are allowed

    @pytest.mark.parametrize("environ", ["changed", "cleared", "replaced", "replaced by a copy"])
    def test_a_change_of_the_environment_is_noticed_at_once(
        self, monkeypatch: pytest.MonkeyPatch, write: Write, environ: str
    ) -> None:
        write("cave-secret.json", token=TOKEN)
        auth, url = CaveAuth(), "https://a.example.org/"
        assert not auth.trusts(url)
        new = {**home_at(os.environ["HOME"]), "CAVE_AUTH_HOSTS": "a.example.org"}
        new["CAVE_TOKEN"] = OTHER_TOKEN
        if environ == "changed":
            patch: Any = mock.patch.dict(os.environ, new)
        elif environ == "cleared":
            patch = mock.patch.dict(os.environ, new, clear=True)
        elif environ == "replaced":
            patch = mock.patch("os.environ", new)
        else:
            patch = mock.patch("os.environ", {**os.environ, **new})
        for _ in range(2):
            with patch:
                assert auth.token_for(url) == OTHER_TOKEN
            assert auth.token_for(url) is None
            assert auth.token_for(f"https://{AUTH_SERVER}/") == TOKEN

    def test_another_home_is_noticed_at_once(
        self, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        write("cave-secret.json", token=TOKEN)
        auth, url = CaveAuth(), f"https://{AUTH_SERVER}/"
        assert auth.token_for(url) == TOKEN

        monkeypatch.setattr(os, "environ", dict(os.environ))  # as in tests of other people
        for name in ("HOME", "USERPROFILE"):
            monkeypatch.setitem(os.environ, name, str(tmp_path / "another"))
        assert auth.token_for(url) is None
        TokenStore().save(OTHER_TOKEN, "saved.example.org")
        assert auth.token_for("https://saved.example.org/") == OTHER_TOKEN

    def test_an_environment_that_was_replaced_does_not_fail_our_import(self) -> None:
        code = """if True:
            import os

            kept, os.environ = os.environ, dict(os.environ)
            from cave_auth_adapter import CaveAuth

            os.environ, auth, url = kept, CaveAuth(), "https://named.example.org/"
            print(auth.trusts(url))
            os.environ["CAVE_AUTH_HOSTS"] = "named.example.org"
            print(auth.trusts(url))
        """
        command = [sys.executable, "-c", code]
        assert subprocess.run(command, capture_output=True, text=True).stdout == "False\nTrue\n"

    def test_hosts_in_code_are_exactly_those(
        self, store: TokenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.save(TOKEN, "saved.example.org")
        monkeypatch.setenv("CAVE_AUTH_HOSTS", "named.example.org")
        auth = CaveAuth(hosts=["given.example.org"])
        hosts = ["given.example.org", "saved.example.org", "named.example.org", AUTH_SERVER]
        assert [auth.trusts(f"https://{host}/") for host in hosts] == [True, False, False, False]


def test_no_token_in_a_log(
    write: Write, caplog: pytest.LogCaptureFixture, clock: Clock, store: TokenStore
) -> None:
    caplog.set_level(logging.DEBUG)
    write("chunkedgraph-secret.json", token=TOKEN)
    credentials = Credentials()
    refused = credentials.token_for(HOST)
    credentials.after_refusal(HOST, refused)
    store.save(OTHER_TOKEN)
    credentials.after_refusal(HOST, refused)
    assert caplog.messages
    assert TOKEN not in caplog.text
    assert OTHER_TOKEN not in caplog.text
