"""``AuthClient``: which token it has, and what it asks its server."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from cave_auth_adapter import InvalidHostSpec, InvalidToken, TokenFileError, TokenStore
from cave_auth_adapter.caveclient import AuthClient
from cave_auth_adapter.sandbox import Sandbox

from ..support.systems import needs_tools
from .conftest import Write, content

OLD, NEW, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2, "00112233445566778899aabbccddeeff"
SERVER = "global.daf-apis.com"


class TestToken:
    def test_without_a_token_it_is_none(self, secrets: Path) -> None:
        auth = AuthClient()
        assert auth.token is None
        assert auth.request_header == {}
        assert not secrets.parent.exists()

    def test_a_given_token_is_used(self, write: Write) -> None:
        write(token=OLD)
        assert AuthClient(token=NEW).token == NEW

    def test_the_file_of_the_server_comes_first(self, write: Write) -> None:
        write(token=OLD)
        write(f"{SERVER}-cave-secret.json", token=NEW)
        assert AuthClient().token == NEW
        assert AuthClient(server_address="https://other.example.org").token == OLD

    def test_another_file_and_key_can_be_named(self, write: Write, tmp_path: Path) -> None:
        path = write("../mine.json", token=OLD, lab=NEW)
        assert AuthClient(token_file=path).token == OLD
        assert AuthClient(token_file="~/.cloudvolume/mine.json", token_key="lab").token == NEW
        write(lab=OTHER)
        assert AuthClient(token_key="lab").token == OTHER

    @pytest.mark.parametrize(
        "arguments", [{"token_file": "~/x.json"}, {"token_key": "x"}, {"token_file": "~/y.json"}]
    )
    def test_a_missing_named_file_or_key_is_none_as_in_caveclient(
        self, write: Write, arguments: dict[str, str]
    ) -> None:
        write(token=OLD)
        write("../../y.json", other=NEW)
        auth = AuthClient(**arguments)
        assert auth.token is None
        assert auth.request_header == {}
        with pytest.raises(TokenFileError):  # but a request says what is wrong
            auth.get_tokens()

    @pytest.mark.parametrize("arguments", [{}, {"token_file": "~/.cloudvolume/secrets/x.json"}])
    @pytest.mark.parametrize("text", ["", "{", "[]", '{"token": 1}'])
    def test_a_malformed_file_is_a_token_file_error(
        self, write: Write, arguments: dict[str, str], text: str
    ) -> None:
        for name in ("cave-secret.json", "x.json"):
            write(name).write_text(text)
        with pytest.raises(TokenFileError, match=r"secret\.json: |x\.json: "):
            print(AuthClient(**arguments).token)

    def test_a_changed_file_is_noticed(self, write: Write) -> None:
        write(token=OLD)
        auth = AuthClient()
        assert auth.token == OLD
        TokenStore().save(NEW, overwrite=True)
        assert auth.token == NEW

    def test_cloud_volume_dir_is_used(
        self, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(token=OLD)
        monkeypatch.setenv("CLOUD_VOLUME_DIR", str(tmp_path / "elsewhere"))
        auth = AuthClient(local_server="minnie.microns-daf.com")
        assert auth.token is None
        auth.save_token(NEW)
        assert AuthClient().token == NEW
        assert auth.local_server_filepath == str(
            tmp_path / "elsewhere" / "secrets" / "minnie.microns-daf.com-cave-secret.json"
        )
        assert content(tmp_path / ".cloudvolume" / "secrets" / "cave-secret.json") == {"token": OLD}

    def test_variables_are_used(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        write(token=OLD)
        monkeypatch.setenv("CAVE_TOKEN", NEW)
        assert AuthClient().token == NEW

    def test_a_token_set_in_code_is_used(self, write: Write) -> None:
        path = write(token=OLD)
        auth = AuthClient()
        auth.token = NEW
        assert auth.request_header == {"Authorization": f"Bearer {NEW}"}
        assert content(path) == {"token": OLD}
        auth.token = None
        assert auth.token == OLD

    def test_a_malformed_token_is_refused(self) -> None:
        auth = AuthClient(token=OLD)
        with pytest.raises(InvalidToken) as caught:
            auth.token = f'"{NEW}"'
        assert NEW not in str(caught.value)
        assert auth.token == OLD
        with pytest.raises(ValueError, match="white space"):
            AuthClient(token="a b")

    def test_get_token_takes_the_token_under_a_key_of_the_file(self, write: Write) -> None:
        write(token=OLD, lab=NEW)
        auth = AuthClient(token=OTHER)
        auth.get_token("lab")
        assert auth.token == NEW
        auth.get_token()
        assert auth.token == OLD
        auth.get_token("missing")
        assert auth.token is None

    def test_the_deprecated_file_is_read_with_one_warning(
        self, write: Write, caplog: pytest.LogCaptureFixture
    ) -> None:
        write("chunkedgraph-secret.json", token=OLD)
        for _ in range(2):
            assert AuthClient().token == OLD
        assert ["deprecated" in message for message in caplog.messages] == [True]

    def test_the_deprecated_file_does_not_replace_a_named_one(self, write: Write) -> None:
        write("chunkedgraph-secret.json", token=OLD)
        assert AuthClient(token_file="~/mine.json").token is None

    @pytest.mark.parametrize("address", ["http://example.org", "*.example.org", ""])
    def test_a_malformed_server_is_refused(self, address: str) -> None:
        with pytest.raises(InvalidHostSpec):
            AuthClient(server_address=address)


class TestHidden:
    def test_repr_hides_the_token(self) -> None:
        auth = AuthClient("~/f.json", "lab", NEW, "cave.example.org", "https://local.example.org")
        assert repr(auth) == (
            "AuthClient(token='<hidden>', token_file='~/f.json', token_key='lab', "
            "server_address='https://cave.example.org', local_server='https://local.example.org')"
        )
        assert NEW not in repr(vars(auth))

    @pytest.mark.parametrize(
        "duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
    )
    def test_copies_and_pickles_work(self, duplicate: Callable[[AuthClient], AuthClient]) -> None:
        auth = AuthClient(None, "lab", NEW, "cave.example.org", "https://local.example.org")
        twin = duplicate(auth)
        assert repr(twin) == repr(auth)
        assert twin.token == NEW
        twin.token = OLD
        assert auth.token == NEW

    def test_a_token_from_a_file_is_not_pickled(self, write: Write) -> None:
        write(token=OLD)
        auth = AuthClient()
        assert auth.token == OLD
        assert OLD.encode() not in pickle.dumps(auth)


class TestServer:
    def test_get_tokens_lists_the_tokens(self, sandbox: Sandbox) -> None:
        auth = AuthClient(token=sandbox.token, server_address=sandbox.auth_server)
        records = auth.get_tokens()
        assert sandbox.token in {record["token"] for record in records}
        assert {record["user_id"] for record in records} == {sandbox.user}
        assert sandbox.token not in repr(records)
        assert json.loads(json.dumps(records)) == records

    @needs_tools
    def test_get_tokens_returns_what_caveclient_gets(self, sandbox: Sandbox) -> None:
        from caveclient.auth import AuthClient as TheirAuthClient

        token = sandbox.create_token(sandbox.create_user("Admin", groups=["all"], admin=True))
        ours, theirs = (
            cls(token=token, server_address=sandbox.auth_server)
            for cls in (AuthClient, TheirAuthClient)
        )
        for record, record_of_theirs in zip(ours.get_tokens(), theirs.get_tokens(), strict=True):
            del record["last_used"], record_of_theirs["last_used"]
            assert dict(record) == record_of_theirs
        ids = [sandbox.user]
        assert ours.get_user_information(ids) == theirs.get_user_information(ids)
        for group in range(1, 5):
            assert ours.get_group_users(group) == theirs.get_group_users(group)

    def test_only_the_server_gets_a_token(self, sandbox: Sandbox) -> None:
        auth = AuthClient(token=sandbox.token, server_address=sandbox.auth_server)
        trusts = auth._auth.trusts
        assert trusts(sandbox.auth_server + "/auth")
        assert not trusts(sandbox.data_server)
        assert not trusts("https://global.daf-apis.com")


def test_get_new_token_prints_instructions(
    capsys: pytest.CaptureFixture[str], opened: list[str]
) -> None:
    auth = AuthClient()
    auth.get_new_token(no_text=True)
    assert (capsys.readouterr().out, opened) == ("", [])
    auth.get_new_token()
    auth.setup_token(open=False)
    out = capsys.readouterr().out
    assert out.count("https://global.daf-apis.com/auth/api/v1/create_token") == 2
    assert "client.auth.save_token(token=" in out
    auth.setup_token(make_new=False)
    assert opened == ["https://global.daf-apis.com/sticky_auth/settings/tokens"]


def test_normal_use_logs_nothing(caplog: pytest.LogCaptureFixture, write: Write) -> None:
    caplog.set_level(logging.DEBUG)
    auth = AuthClient()
    auth.save_token(NEW)
    assert auth.token == NEW
    assert [record for record in caplog.records if record.name == "cave_auth_adapter"] == []
