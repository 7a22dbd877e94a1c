"""Reading a secret file: what is found, and what is wrong with a bad one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cave_auth_adapter import CaveAuth, TokenFileError, TokenStore
from cave_auth_adapter.store.content import read_named, read_secrets

from ..support.secret_files import BROKEN, NO_TOKENS, SERVER, lines_of
from ..support.stub import TOKEN, Write
from ..support.systems import needs_links, posix_only


class TestLoad:
    def test_a_saved_token_is_loaded(self, store: TokenStore) -> None:
        store.save(TOKEN, SERVER, "minnie65_public")
        assert store.load(SERVER, "minnie65_public") == TOKEN

    def test_without_a_file_nothing_is_loaded(self, store: TokenStore) -> None:
        assert store.load(SERVER) is None

    def test_without_the_key_nothing_is_loaded(self, store: TokenStore, write: Write) -> None:
        write("cave-secret.json", other=TOKEN)
        assert store.load() is None

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_an_empty_value_is_no_token(
        self, store: TokenStore, write: Write, nothing: object
    ) -> None:
        write("cave-secret.json", token=nothing)
        assert store.load() is None

    @pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
    def test_a_broken_file_is_an_error_that_names_it(
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

    def test_too_large_a_file_is_refused(self, store: TokenStore, write: Write) -> None:
        write("cave-secret.json", token=TOKEN, other="x" * (1 << 20))
        with pytest.raises(TokenFileError, match="has more than 1 MiB"):
            store.load()

    @pytest.mark.parametrize("value", NO_TOKENS.values(), ids=NO_TOKENS)
    def test_a_malformed_token_is_an_error_that_names_the_key(
        self, store: TokenStore, write: Write, value: object
    ) -> None:
        path = write("cave-secret.json", mine=value)

        with pytest.raises(TokenFileError) as caught:
            store.load(key="mine")
        assert str(caught.value).startswith(f"{path}: the value of 'mine' ")
        assert TOKEN not in lines_of(caught.value)

    def test_a_directory_in_place_of_the_file_is_an_error(
        self, store: TokenStore, secrets: Path
    ) -> None:
        path = secrets / "cave-secret.json"
        path.mkdir(parents=True)
        with pytest.raises(TokenFileError, match="is a directory"):
            store.load()

    @posix_only
    def test_a_pipe_in_place_of_the_file_is_refused_at_once(
        self, store: TokenStore, secrets: Path
    ) -> None:
        secrets.mkdir(parents=True)
        os.mkfifo(secrets / "cave-secret.json")
        load = "import cave_auth_adapter as c, sys; c.TokenStore(sys.argv[1]).load()"
        command = [sys.executable, "-c", load, str(secrets)]

        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert "is not a file but a pipe or a device" in ended.stderr

    @posix_only
    def test_a_device_in_place_of_the_file_is_an_error(
        self, store: TokenStore, secrets: Path
    ) -> None:
        secrets.mkdir(parents=True)
        (secrets / "cave-secret.json").symlink_to("/dev/zero")
        with pytest.raises(TokenFileError, match="is not a file but a pipe or a device"):
            store.load()

    def test_a_file_in_place_of_the_directory_is_an_error(
        self, store: TokenStore, secrets: Path
    ) -> None:
        secrets.parent.write_text("")
        with pytest.raises(TokenFileError, match="not a directory"):
            store.load()

    @needs_links
    def test_a_loop_of_links_is_an_error(self, store: TokenStore, secrets: Path) -> None:
        secrets.mkdir(parents=True)
        (secrets / "cave-secret.json").symlink_to("cave-secret.json")
        with pytest.raises(TokenFileError, match=r"cave-secret\.json: can't be used"):
            store.load()

    def test_a_server_name_too_long_for_a_file_loads_nothing(self, store: TokenStore) -> None:
        store.save(TOKEN)
        server = ".".join(["a" * 60] * 4)
        assert store.load(server) is None


class TestNamedFiles:
    """A file that the caller names may hold the bare token."""

    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_a_named_file_may_hold_the_bare_token(
        self, tmp_path: Path, end: str, encoding: str
    ) -> None:
        path = tmp_path / "token"
        path.write_bytes((TOKEN + end).encode(encoding))
        assert read_named(path) == {"token": TOKEN}

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_a_named_file_may_be_a_secret_file(self, tmp_path: Path, encoding: str) -> None:
        path = tmp_path / "token"
        path.write_bytes(f'\n {{"mine": "{TOKEN}"}}\n'.encode(encoding))
        assert read_named(path) == read_secrets(path) == {"mine": TOKEN}

    def test_without_a_file_nothing_is_loaded(self, tmp_path: Path) -> None:
        assert read_named(tmp_path / "token") is None

    @pytest.mark.parametrize(
        "content", ["", "\n", f"token={TOKEN}\n\n1", f'"{TOKEN}"', f"[{TOKEN}]", f"<b>{TOKEN}", "{"]
    )
    def test_any_other_content_is_an_error(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "token"
        path.write_text(content)
        with pytest.raises(TokenFileError) as caught:
            read_named(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert '{"token": "…"}' in str(caught.value)
        assert TOKEN not in lines_of(caught.value)

    @pytest.mark.parametrize("variable", [True, False])
    def test_a_named_file_gives_the_token(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: bool
    ) -> None:
        path = tmp_path / "token"
        path.write_text(TOKEN + "\n")
        if variable:
            monkeypatch.setenv("CAVE_TOKEN_FILE", str(path))
        auth = CaveAuth(token_file=None if variable else path)
        assert auth.token_for(f"https://{SERVER}/") == TOKEN
