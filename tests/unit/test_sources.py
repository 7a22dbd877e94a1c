"""Which source of a token wins for a host, and what happens when a source is bad."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cave_auth_adapter import (
    CaveAuth,
    CaveAuthError,
    InvalidToken,
    TokenFileError,
    TokenStore,
    tokens_changed,
)
from cave_auth_adapter.origins import Origin, parse_origin
from cave_auth_adapter.sources import Credentials
from cave_auth_adapter.watch import LOOK_INTERVAL

from ..support.credentials import AUTH, AUTH_SERVER, FILES, HOST, SOURCES, value
from ..support.stub import OTHER_TOKEN, TOKEN, Clock, Write

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


class TestSources:
    @pytest.mark.parametrize("source", SOURCES)
    def test_each_source_alone_is_enough(self, provide: Provide, source: str) -> None:
        assert value(provide({source: TOKEN})) == TOKEN

    @pytest.mark.parametrize(("higher", "lower"), list(pairwise(SOURCES)))
    def test_a_higher_source_outranks_a_lower_one(
        self, provide: Provide, higher: str, lower: str
    ) -> None:
        assert value(provide({lower: OTHER_TOKEN, higher: TOKEN})) == TOKEN

    @pytest.mark.parametrize("source", SOURCES)
    def test_repr_names_the_source_and_hides_the_token(self, provide: Provide, source: str) -> None:
        token = provide({source: TOKEN}).token_for(HOST)
        words = {"token=": "token= in code", "token_file=": "token_file.json"}
        assert words.get(source, source) in str(token.source)
        assert TOKEN not in repr(token) + str(token) + str(token.source)

    def test_without_a_source_there_is_no_token(self) -> None:
        assert value(Credentials()) is None

    def test_an_empty_variable_is_ignored(
        self, provide: Provide, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CAVE_TOKEN_FILE", "")
        assert value(provide({"CAVE_TOKEN": "", "cave-secret.json": TOKEN})) == TOKEN

    def test_a_file_is_for_one_port_of_its_host(self, write: Write) -> None:
        write(TokenStore().path_for("localhost:8443").name, token=TOKEN)
        write("localhost-cave-secret.json", token=OTHER_TOKEN)
        assert value(Credentials(), parse_origin("https://localhost:8443/")) == TOKEN
        assert value(Credentials(), parse_origin("https://localhost/")) == OTHER_TOKEN

    def test_the_file_of_another_deployment_is_not_for_this_host(self, write: Write) -> None:
        write("proofreading.zetta.ai-cave-secret.json", token=TOKEN)
        assert value(Credentials()) is None

    @pytest.mark.parametrize("file", ["cave-secret.json", "chunkedgraph-secret.json"])
    @pytest.mark.parametrize("named_by", ["hosts=", "CAVE_AUTH_HOSTS", ""])
    def test_a_named_host_without_a_deployment_gets_the_default_file(
        self, write: Write, monkeypatch: pytest.MonkeyPatch, file: str, named_by: str
    ) -> None:
        write(file, token=TOKEN)
        write(f"{AUTH_SERVER}-cave-secret.json", token=OTHER_TOKEN)
        host = "cave.example.org"
        if named_by.isupper():
            monkeypatch.setenv(named_by, host)
        auth = CaveAuth(hosts=[host] if named_by == "hosts=" else None)
        assert value(auth.credentials, Origin("https", host, 443)) == (TOKEN if named_by else None)

    def test_any_host_gets_a_default_file_of_unknown_origin(self, write: Write) -> None:
        write("cave-secret.json", token=TOKEN)
        assert value(Credentials(), parse_origin("https://cave.example.org/")) == TOKEN

    @pytest.mark.parametrize("owner", [AUTH_SERVER, "proofreading.zetta.ai", "cave.my-lab.org"])
    def test_the_default_file_serves_the_deployments_that_have_its_token(
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

    def test_a_change_of_another_deployments_file_is_noticed(
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

    def test_cloud_volume_dir_is_searched(
        self, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        write("cave-secret.json", token=OTHER_TOKEN)
        monkeypatch.setenv("CLOUD_VOLUME_DIR", str(tmp_path / "mine"))
        TokenStore().save(TOKEN)
        assert value(Credentials()) == TOKEN

    def test_a_tilde_in_a_file_name_is_expanded(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "mine.json").write_text(json.dumps({"token": TOKEN}))
        monkeypatch.setenv("CAVE_TOKEN_FILE", "~/mine.json")
        assert value(Credentials()) == TOKEN
        assert value(Credentials(token_file="~/mine.json")) == TOKEN

    def test_a_host_name_too_long_for_a_file_is_no_error(self, write: Write) -> None:
        write("cave-secret.json", token=TOKEN)
        labels = ".".join(["a" * 60] * 3 + ["a" * 50])
        assert value(Credentials(), parse_origin(f"https://{labels}.daf-apis.com/")) == TOKEN

    def test_the_deprecated_file_gives_one_warning(
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
    def test_token_key_is_looked_for_in_every_file(self, write: Write) -> None:
        write(f"{HOST.host}-cave-secret.json", token=OTHER_TOKEN)
        write("cave-secret.json", token=OTHER_TOKEN, minnie=TOKEN)
        assert value(Credentials(token_key="minnie")) == TOKEN

    def test_token_key_outranks_the_variable(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CAVE_TOKEN", OTHER_TOKEN)
        write("cave-secret.json", minnie=TOKEN)
        assert value(Credentials(token_key="minnie")) == TOKEN

    def test_token_key_works_with_token_file(self, tmp_path: Path) -> None:
        (tmp_path / "mine.json").write_text(json.dumps({"minnie": TOKEN, "token": OTHER_TOKEN}))
        assert value(Credentials(token_file=tmp_path / "mine.json", token_key="minnie")) == TOKEN

    def test_a_missing_key_is_an_error(self, write: Write) -> None:
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
    def test_the_account_selects_the_key(self, write: Write, file: str) -> None:
        write(file, token=OTHER_TOKEN, bot=TOKEN)
        token = Credentials().token_for(HOST)
        assert token is not None
        assert (token.value, token.source.key) == (TOKEN, "bot")

    def test_a_key_in_code_outranks_the_account(self, write: Write) -> None:
        write("cave-secret.json", bot=OTHER_TOKEN, minnie=TOKEN)
        assert value(Credentials(token_key="minnie")) == TOKEN

    def test_a_missing_account_is_an_error(self, write: Write) -> None:
        write("cave-secret.json", token=OTHER_TOKEN)
        with pytest.raises(TokenFileError, match="has no key 'bot'"):
            value(Credentials())

    def test_an_account_that_turns_out_to_be_another_deployments_is_used_no_more(
        self, write: Write
    ) -> None:
        write("cave-secret.json", bot=TOKEN)
        credentials = Credentials()
        assert value(credentials) == TOKEN
        write("cave.my-lab.org-cave-secret.json", bot=TOKEN)
        tokens_changed()
        with pytest.raises(TokenFileError, match="has no key 'bot'"):
            value(credentials)

    def test_an_account_beside_a_token_gives_one_warning(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("CAVE_TOKEN", TOKEN)
        assert value(Credentials()) == TOKEN
        assert value(Credentials(), AUTH) == TOKEN
        (warning,) = caplog.messages
        assert "CAVE_AUTH_ACCOUNT has no effect while CAVE_TOKEN is set" in warning

    def test_a_change_of_account_is_noticed_at_once(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write("cave-secret.json", token=OTHER_TOKEN, bot=TOKEN)
        credentials = Credentials()
        assert value(credentials) == TOKEN
        monkeypatch.delenv("CAVE_AUTH_ACCOUNT")
        assert value(credentials) == OTHER_TOKEN


class TestBadSources:
    @pytest.mark.parametrize("bad", [TOKEN + "\n", f"Bearer {TOKEN}", f"'{TOKEN}'"])
    def test_a_bad_variable_is_named_and_its_token_hidden(
        self, monkeypatch: pytest.MonkeyPatch, bad: str
    ) -> None:
        monkeypatch.setenv("CAVE_TOKEN", bad)
        with pytest.raises(InvalidToken, match="the variable CAVE_TOKEN has") as caught:
            value(Credentials())
        assert TOKEN not in str(caught.value)

    def test_a_bad_token_in_code_is_refused_at_once(self) -> None:
        with pytest.raises(InvalidToken, match="the token given in code has") as caught:
            Credentials(token=TOKEN + " ")
        assert TOKEN not in str(caught.value)

    @pytest.mark.parametrize(
        ("content", "problem"),
        [(None, "does not exist"), ({"other": TOKEN}, "no token under the key 'token'")],
    )
    @pytest.mark.parametrize("named_by", ["token_file=", "CAVE_TOKEN_FILE"])
    def test_a_named_file_without_a_token_is_an_error(
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
    def test_a_broken_file_is_an_error(self, write: Write, file: str) -> None:
        path = write(file, f'{{"token": "{TOKEN}"')
        with pytest.raises(TokenFileError, match="is not JSON") as caught:
            value(Credentials())
        assert str(path) in str(caught.value)
        assert TOKEN not in str(caught.value)

    def test_a_broken_file_of_lower_rank_does_not_matter(self, write: Write) -> None:
        write(f"{HOST.host}-cave-secret.json", token=TOKEN)
        write("cave-secret.json", "{")
        assert value(Credentials()) == TOKEN

    def test_a_repaired_file_is_used(self, write: Write) -> None:
        write("cave-secret.json", "{")
        credentials = Credentials()
        with pytest.raises(TokenFileError):
            value(credentials)
        write("cave-secret.json", token=TOKEN)
        assert value(credentials) == TOKEN

    @pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="no pipe has a name")
    def test_a_pipe_as_token_file_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """``CAVE_TOKEN_FILE=<(command)`` in a shell is a pipe, which can be read only once."""
        reading, writing = os.pipe()
        with open(writing, "w") as pipe:
            pipe.write(json.dumps({"token": TOKEN}))
        with open(reading):
            monkeypatch.setenv("CAVE_TOKEN_FILE", f"/dev/fd/{reading}")
            with pytest.raises(TokenFileError, match=r"a pipe .* variable CAVE_TOKEN"):
                value(Credentials())

    def test_an_unknown_home_directory_is_a_cave_auth_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CAVE_TOKEN_FILE", "~no-such-user/mine.json")
        with pytest.raises(CaveAuthError):
            value(Credentials())


@pytest.mark.parametrize(
    ("host", "gets_it"),
    [
        ("cave.my-lab.org", True),
        ("data.my-lab.org", True),  # of no known deployment, and without a file of its own
        (HOST.host, False),  # what a lab's info service calls its data server may be anybody's
        ("proofreading.zetta.ai", False),
    ],
)
def test_the_token_of_a_clients_server_goes_to_no_known_deployment(
    write: Write, host: str, gets_it: bool
) -> None:
    write("cave.my-lab.org-cave-secret.json", token=TOKEN)
    credentials = Credentials(server=Origin("https", "cave.my-lab.org", 443))
    assert value(credentials, Origin("https", host, 443)) == (TOKEN if gets_it else None)


def test_logs_hold_no_token(
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
