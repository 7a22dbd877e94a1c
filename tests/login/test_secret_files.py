"""Messages about secret files: docs/secret-file-messages.md is tested row by row."""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from cave_auth_adapter import CaveAuth, InvalidToken, TokenFileError, TokenStore
from cave_auth_adapter.caveclient import AuthClient
from cave_auth_adapter.runtime import logger
from cave_auth_adapter.store import files

from ..support.systems import needs_links

TOKEN, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2
CAVE = "https://global.daf-apis.com"
DOC = Path(__file__).parents[2] / "docs" / "secret-file-messages.md"

Case = Callable[["Bench"], Any]
CASES: dict[str, Case] = {}


def case(title: str) -> Callable[[Case], Case]:
    def register(function: Case) -> Case:
        assert title not in CASES
        CASES[title] = function
        return function

    return register


class Bench:
    """A directory of secret files for bad content."""

    def __init__(self, secrets: Path, monkeypatch: pytest.MonkeyPatch):
        self.file = secrets / "cave-secret.json"
        self.store = TokenStore()
        self.monkeypatch = monkeypatch
        secrets.mkdir(parents=True)

    def load(self, content: str | bytes) -> None:
        self.file.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.store.load()

    def save(self, token: Any = OTHER, **options: Any) -> None:
        self.store.save(token, **options)

    @contextmanager
    def failing(self, owner: Any, name: str, reason: int) -> Iterator[None]:
        def fail(*args: object, **keywords: object) -> None:
            raise OSError(reason, os.strerror(reason))

        with self.monkeypatch.context() as patch:
            patch.setattr(owner, name, fail)
            yield


@case("empty")
def _(bench: Bench) -> None:
    bench.load("")


@case("the token alone, without the rest")
def _(bench: Bench) -> None:
    bench.load(OTHER)


@case("cut off")
def _(bench: Bench) -> None:
    bench.load(f'{{"token": "{TOKEN[:5]}')


@case("single quotes")
def _(bench: Bench) -> None:
    bench.load(f"{{'token': '{TOKEN}'}}")


@case("two objects, one after the other")
def _(bench: Bench) -> None:
    bench.load(f'{{"token": "{TOKEN}"}}\n{{"token": "{TOKEN}"}}')


@case("not text in UTF-8")
def _(bench: Bench) -> None:
    bench.load(b'{"token": "\xff"}')


@case("a list")
def _(bench: Bench) -> None:
    bench.load(f'["{TOKEN}"]')


@case("a string")
def _(bench: Bench) -> None:
    bench.load(f'"{TOKEN}"')


@case("huge")
def _(bench: Bench) -> None:
    bench.load(json.dumps({"token": TOKEN, "x": "x" * 2**20}))


@case("a number in place of the token")
def _(bench: Bench) -> None:
    bench.load('{"token": 1234}')


@case("quotes pasted along")
def _(bench: Bench) -> None:
    bench.load(json.dumps({"token": f"'{TOKEN}'"}))


@case("a space pasted along")
def _(bench: Bench) -> None:
    bench.load(json.dumps({"token": TOKEN + " "}))


@case("a line break pasted along")
def _(bench: Bench) -> None:
    bench.load(json.dumps({"token": TOKEN + "\n"}))


@case("other characters that no token has")
def _(bench: Bench) -> None:
    bench.load(json.dumps({"token": TOKEN + "<br>"}))


@case("a directory")
def _(bench: Bench) -> None:
    bench.file.mkdir()
    bench.store.load()


CIRCLE = "a link that leads in a circle"


@case(CIRCLE)
def _(bench: Bench) -> None:
    bench.file.symlink_to(bench.file)
    bench.store.load()


@case("somebody else's")
def _(bench: Bench) -> None:
    with bench.failing(os, "open", errno.EACCES):
        bench.store.load()


@case("the directory of secrets is a file")
def _(bench: Bench) -> None:
    bench.file.parent.rmdir()
    bench.file.parent.write_text("")
    bench.store.load()


@case("a place where you can't write")
def _(bench: Bench) -> None:
    with bench.failing(tempfile, "mkstemp", errno.EACCES):
        bench.save()


@case("a read-only file system")
def _(bench: Bench) -> None:
    with bench.failing(tempfile, "mkstemp", errno.EROFS):
        bench.save()


@case("a full disk")
def _(bench: Bench) -> None:
    with bench.failing(os, "fsync", errno.ENOSPC):
        bench.save()


@case("a key is there twice")
def _(bench: Bench) -> None:
    bench.file.write_text(f'{{"a": 1, "a": 2, "token": "{TOKEN}"}}')
    bench.save(overwrite=True)


@case("another process writes it and does not end")
def _(bench: Bench) -> None:
    bench.monkeypatch.setattr(files, "_LOCK_TIMEOUT", 0.01)
    # The message names the time of the real limit.
    lock = FileLock(bench.file.with_name(f".{bench.file.name}.lock"))
    with lock:
        bench.save()


@case("another token is there, says `TokenStore.save()`")
def _(bench: Bench) -> None:
    bench.save(TOKEN)
    bench.save(OTHER)


@case("another token is there, says `AuthClient.save_token()`")
def _(bench: Bench) -> None:
    bench.save(TOKEN)
    AuthClient().save_token(OTHER)


@case("a file that you named is not there")
def _(bench: Bench) -> None:
    CaveAuth(token_file=bench.file).token_for(CAVE)


@case("a file that you named does not have the key")
def _(bench: Bench) -> None:
    bench.save(TOKEN)
    CaveAuth(token_file=bench.file, token_key="my_key").token_for(CAVE)


@case("a file that `CAVE_TOKEN_FILE` names is not there")
def _(bench: Bench) -> None:
    bench.monkeypatch.setenv("CAVE_TOKEN_FILE", str(bench.file))
    CaveAuth().token_for(CAVE)


@case("a file that you named holds something else")
def _(bench: Bench) -> None:
    bench.file.write_text(f'"{TOKEN}"')
    CaveAuth(token_file=bench.file).token_for(CAVE)


@case("no file has the key that you named")
def _(bench: Bench) -> None:
    CaveAuth(token_key="my_key").token_for(CAVE)


# Not a TokenFileError, because no file is at fault; the message names none.


@case("you save a token with quotes around it")
def _(bench: Bench) -> None:
    bench.save(f'"{OTHER}"', overwrite=True)


@case("you save a token with a space in it")
def _(bench: Bench) -> None:
    bench.save(f"Bearer {OTHER}", overwrite=True)


@case("you save a page in place of the token")
def _(bench: Bench) -> None:
    bench.save("<!doctype html>\n<html></html>", overwrite=True)


@case("you save an empty token")
def _(bench: Bench) -> None:
    bench.save("", overwrite=True)


@case("you save `None`")
def _(bench: Bench) -> None:
    bench.save(None, overwrite=True)


def rows() -> dict[str, str]:
    """What is wrong -> the message, of every table in the documentation."""
    found = re.findall(r"^\| (.+?) \| `(.+?)` \| (.+?) \|$", DOC.read_text("utf-8"), re.MULTILINE)
    assert len({title for title, _, _ in found}) == len(found)
    return {title: f"{problem}. {remedy}" for title, problem, remedy in found}


def test_every_row_of_the_page_has_a_test() -> None:
    assert rows().keys() == CASES.keys()


def marked(titles: Iterable[str]) -> list[Any]:
    return [
        pytest.param(title, marks=needs_links) if title == CIRCLE else title for title in titles
    ]


@pytest.mark.parametrize("title", marked(CASES))
def test_the_row_of_the_page_is_true(
    title: str, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(secrets, monkeypatch)
    with pytest.raises((TokenFileError, InvalidToken)) as caught:
        CASES[title](bench)

    said = str(caught.value)
    if isinstance(caught.value, TokenFileError):
        assert said.startswith(f"{bench.file}: ")
        assert caught.value.filename == str(bench.file)
        said = said.removeprefix(f"{bench.file}: ")
    said = said.replace(str(secrets), "~/.cloudvolume/secrets").replace(" 0 seconds", " 30 seconds")
    promised = re.sub(r"`(.+?)`", r"\1", rows()[title])
    if os.name == "nt":  # which has no such command
        promised = promised.replace(" (chmod u+rw)", "")
    assert said == promised
    assert not any(token in said for token in (TOKEN, OTHER))


@pytest.mark.parametrize("title", marked(title for title in CASES if "named" not in title))
def test_the_old_content_is_kept(
    title: str, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saving over any bad file fails or works, and loses nothing."""
    bench = Bench(secrets, monkeypatch)
    with pytest.raises((TokenFileError, InvalidToken)):
        CASES[title](bench)
    if not bench.file.is_file():
        return
    before = bench.file.read_bytes()
    try:
        bench.store.save(TOKEN, key="another key")
    except TokenFileError:
        assert bench.file.read_bytes() == before
    else:
        kept = json.loads(bench.file.read_text())
        kept.pop("another key")
        assert kept == json.loads(before)
    assert [name for name in os.listdir(secrets) if ".new-" in name] == []


@pytest.mark.parametrize(
    ("server", "home"),
    [
        ("cave.example.org", "cave.example.org"),
        ("localhost:8443", "localhost:8443"),
        ("minnie.microns-daf.com", "global.daf-apis.com"),  # a data server has no login page
    ],
)
def test_the_file_of_a_server_is_replaced_by_a_login_there(
    server: str, home: str, secrets: Path
) -> None:
    path = TokenStore().save(TOKEN, server)
    path.write_text("{")
    with pytest.raises(TokenFileError, match=rf"log in again: cave-auth login {home}$"):
        CaveAuth().token_for(f"https://{server}")


def test_a_repaired_file_works_again(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(secrets, monkeypatch)
    auth = AuthClient()
    with pytest.raises(TokenFileError):
        bench.load('{"token"')
    with pytest.raises(TokenFileError):
        print(auth.token)
    bench.file.write_text(json.dumps({"token": TOKEN}))
    assert auth.token == TOKEN


def test_the_old_name_gives_a_warning(
    secrets: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(secrets, monkeypatch)
    old = secrets / "chunkedgraph-secret.json"
    old.write_text(json.dumps({"token": TOKEN}))
    old.chmod(0o600)
    assert CaveAuth().token_for(CAVE) == TOKEN
    (said,) = caplog.messages
    assert caplog.records[0].name == logger.name
    text = said.replace(str(bench.file.parent) + os.sep, "~/.cloudvolume/secrets/")
    assert text in " ".join(DOC.read_text("utf-8").replace("\n> ", " ").split())
