"""``AuthClient.save_token``: which files get a token, and what stays."""

from __future__ import annotations

import errno
import os
import traceback
from pathlib import Path

import pytest

from cave_auth_adapter import InvalidToken, TokenFileError, TokenStore
from cave_auth_adapter.caveclient import AuthClient
from cave_auth_adapter.errors import TokenExists

from .conftest import Write, content

OLD, NEW, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2, "00112233445566778899aabbccddeeff"
SERVER = "global.daf-apis.com"


class TestSaveToken:
    def test_a_token_is_saved_for_the_server_and_as_default(self, secrets: Path) -> None:
        auth = AuthClient()
        auth.save_token(NEW)
        for name in ("cave-secret.json", f"{SERVER}-cave-secret.json"):
            assert content(secrets / name) == {"token": NEW}
            if os.name == "posix":  # Windows has no modes
                assert (secrets / name).stat().st_mode & 0o777 == 0o600
        assert auth.token == AuthClient().token == NEW

    def test_a_token_is_saved_to_the_file_named_in_the_constructor(
        self, secrets: Path, tmp_path: Path
    ) -> None:
        AuthClient(token_file="~/mine.json").save_token(NEW, write_to_server_file=False)
        assert content(tmp_path / "mine.json") == {"token": NEW}
        assert not secrets.exists()

    def test_a_token_is_saved_to_the_file_named_in_the_call(
        self, secrets: Path, tmp_path: Path
    ) -> None:
        auth = AuthClient()
        auth.save_token(NEW, "lab", token_file="~/mine.json")
        assert content(tmp_path / "mine.json") == {"lab": NEW}
        assert content(secrets / f"{SERVER}-cave-secret.json") == {"lab": NEW}
        assert not (secrets / "cave-secret.json").exists()
        assert auth.token == NEW
        auth.save_token(OTHER)  # goes on there, as with CAVEclient
        assert content(tmp_path / "mine.json") == {"lab": NEW, "token": OTHER}

    def test_the_token_in_use_is_saved(self, tmp_path: Path) -> None:
        AuthClient(token=NEW).save_token(token_file=tmp_path / "mine.json")
        assert content(tmp_path / "mine.json") == {"token": NEW}

    def test_without_a_token_saving_is_an_error(self, secrets: Path) -> None:
        with pytest.raises(InvalidToken, match="There is no token to save"):
            AuthClient().save_token()
        assert not secrets.exists()

    def test_other_keys_are_kept(self, write: Write) -> None:
        path = write(b=OLD, a=None, z={"x": 1})
        AuthClient().save_token(NEW)
        expected = {"b": OLD, "a": None, "z": {"x": 1}, "token": NEW}
        assert list(content(path).items()) == list(expected.items())

    @pytest.mark.parametrize(
        "name", ["cave-secret.json", f"{SERVER}-cave-secret.json", "../mine.json"]
    )
    def test_another_token_is_not_replaced_without_overwrite(
        self, write: Write, secrets: Path, name: str
    ) -> None:
        path = write(name, token=OLD)
        token_file = path if name == "../mine.json" else None
        for error in (TokenFileError, ValueError, TokenExists):
            with pytest.raises(error, match="overwrite=True") as caught:
                AuthClient().save_token(NEW, token_file=token_file)
            shown = "".join(traceback.format_exception(caught.value))
            assert OLD not in shown
            assert NEW not in shown
        assert content(path) == {"token": OLD}
        others = [each for each in secrets.glob("*.json") if each != path]
        assert others == []  # none of the files is written if one can't be

    def test_with_overwrite_another_token_is_replaced_for_every_tool(
        self, write: Write, secrets: Path
    ) -> None:
        for overwritten in (OLD, OTHER, NEW):
            AuthClient().save_token(overwritten, overwrite=True)
            for name in ("cave-secret.json", f"{SERVER}-cave-secret.json"):
                assert content(secrets / name) == {"token": overwritten}

    def test_the_same_client_can_save_again(self, secrets: Path) -> None:
        auth = AuthClient()
        auth.save_token(OLD)
        auth.save_token(NEW, overwrite=True)
        assert content(secrets / "cave-secret.json") == {"token": NEW}
        assert auth.token == NEW

    def test_the_token_of_another_server_is_kept(self, write: Write, secrets: Path) -> None:
        """A person with two deployments loses neither token."""
        AuthClient().save_token(OLD)
        other = AuthClient(server_address="https://cave.example.org")
        other.save_token(NEW)
        other.save_token(OTHER, overwrite=True)
        assert AuthClient().token == OLD
        assert content(secrets / "cave-secret.json") == {"token": OLD}
        assert AuthClient(server_address="cave.example.org").token == OTHER

    def test_the_default_file_gets_another_servers_token_on_request_only(
        self, secrets: Path
    ) -> None:
        other = AuthClient(server_address="https://cave.example.org")
        other.save_token(NEW, write_to_server_file=False)
        assert content(secrets / "cave-secret.json") == {"token": NEW}
        for overwrite in (True, False):
            with pytest.raises(TokenExists, match="token_file="):
                AuthClient(server_address="https://cave2.example.org").save_token(
                    OTHER, write_to_server_file=False, overwrite=overwrite
                )
        assert content(secrets / "cave-secret.json") == {"token": NEW}
        assert len(list(secrets.glob("*.json"))) == 1

    def test_a_copy_of_the_old_token_in_the_default_file_is_replaced(
        self, write: Write, secrets: Path
    ) -> None:
        for name in ("cave-secret.json", "proofreading.zetta.ai-cave-secret.json"):
            write(name, token=OLD)
        AuthClient(server_address="proofreading.zetta.ai").save_token(NEW, overwrite=True)
        assert content(secrets / "cave-secret.json") == {"token": NEW}

    def test_a_stale_default_file_gets_the_default_servers_token(
        self, write: Write, secrets: Path
    ) -> None:
        """CAVEclient renews only the own file once both are there."""
        write(token=OLD)
        write(f"{SERVER}-cave-secret.json", token=OTHER)
        AuthClient().save_token(NEW, overwrite=True)
        assert content(secrets / "cave-secret.json") == {"token": NEW}
        assert content(secrets / f"{SERVER}-cave-secret.json") == {"token": NEW}

    def test_with_switch_token_false_the_token_in_use_stays(self, secrets: Path) -> None:
        auth = AuthClient(token=OLD)
        auth.save_token(NEW, switch_token=False)
        assert auth.token == OLD
        assert AuthClient().token == NEW

    def test_a_saved_token_outranks_the_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CAVE_TOKEN", OLD)
        auth = AuthClient()
        auth.save_token(NEW)
        assert auth.token == NEW

    @pytest.mark.parametrize("bad", ["", f"'{NEW}'", NEW + "\n", "<html></html>", "Bearer x"])
    def test_a_malformed_token_replaces_nothing(self, write: Write, bad: str) -> None:
        path = write(token=OLD)
        with pytest.raises(InvalidToken):
            AuthClient().save_token(bad, overwrite=True)
        assert content(path) == {"token": OLD}

    def test_a_malformed_file_is_left_unchanged(self, write: Write, secrets: Path) -> None:
        path = write()
        path.write_text('{"token": ')
        for overwrite in (True, False):
            with pytest.raises(TokenFileError, match="not JSON"):
                AuthClient().save_token(NEW, overwrite=overwrite)
        assert path.read_text() == '{"token": '
        assert not (secrets / f"{SERVER}-cave-secret.json").exists()

    @pytest.mark.parametrize("reason", [errno.EROFS, errno.EACCES])
    def test_an_unwritable_place_is_an_error(
        self,
        secrets: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        reason: int,
    ) -> None:
        def fail(**keywords: object) -> None:
            raise OSError(reason, os.strerror(reason))

        auth = AuthClient()
        with monkeypatch.context() as patch:
            patch.setattr("tempfile.mkstemp", fail)
            with pytest.raises(TokenFileError):
                auth.save_token(NEW, ignore_readonly=False)
            assert auth.token is None
            auth.save_token(NEW)
        assert auth.token == NEW
        assert "CLOUD_VOLUME_DIR" in caplog.text
        assert NEW not in caplog.text
        assert AuthClient().token is None

    def test_a_full_disk_is_an_error(self, monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
        path = write(token=OLD)

        def fail(*args: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(TokenFileError, match="no space left"):
            AuthClient().save_token(NEW, overwrite=True)
        assert content(path) == {"token": OLD}


class TestLocalServer:
    def test_a_trusted_local_server_gets_a_file_too(self, secrets: Path) -> None:
        AuthClient(local_server="https://minnie.microns-daf.com").save_token(NEW)
        assert TokenStore().load("minnie.microns-daf.com") == NEW

    def test_the_file_of_the_local_server_is_updated(self) -> None:
        TokenStore().save(OLD, "local.example.org:8443")
        auth = AuthClient(local_server="https://local.example.org:8443")
        auth.save_token(NEW)
        assert TokenStore().load("local.example.org:8443") == NEW

    def test_the_file_of_the_local_server_is_left_alone_on_request(self) -> None:
        auth = AuthClient(local_server="https://minnie.microns-daf.com")
        auth.save_token(NEW, local_server=False)
        assert TokenStore().load("minnie.microns-daf.com") is None

    def test_a_local_server_of_another_deployment_keeps_its_token(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        for present in (None, OLD):
            if present:
                TokenStore().save(present, "proofreading.zetta.ai")
            auth = AuthClient(local_server="https://proofreading.zetta.ai")
            auth.save_token(NEW, overwrite=True)
            assert TokenStore().load("proofreading.zetta.ai") == present
        assert "cave-auth trust https://proofreading.zetta.ai" in caplog.text

    def test_saving_does_not_make_a_local_server_trusted(
        self, secrets: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        auth = AuthClient()
        auth.local_server = "https://evil.example.org"  # as CAVEclient sets what a server said
        auth.save_token(NEW)
        auth.save_token(NEW)
        assert not list(secrets.glob("evil*"))
        assert caplog.text.count("TokenStore().save(token, 'evil.example.org')") == 1
        assert NEW not in caplog.text
