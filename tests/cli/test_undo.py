"""The commands that `cave-auth doctor` and docs/undo.md name remove everything."""

from __future__ import annotations

import fnmatch
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from keyring import get_keyring, set_keyring

from cave_auth_adapter import TokenStore, programs
from cave_auth_adapter.bridges import keyring
from cave_auth_adapter.diagnose.status import Holding, Status
from cave_auth_adapter.diagnose.written import look_at_what_was_written
from cave_auth_adapter.sandbox import Sandbox
from cave_auth_adapter.service import AuthServer
from cave_auth_adapter.service.keynames import key_name, was_made_here
from cave_auth_adapter.sources.endings import note_end
from cave_auth_adapter.tokens import Source, Token

from ..support.sandbox import is_alive
from ..support.systems import posix_only
from .conftest import Run, host, parsed

POWERSHELL = shutil.which("pwsh")


@pytest.fixture
def keyring_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A keyring that is a file in this test's home directory, in this process and in others."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyrings.alt.file.PlaintextKeyring")
    monkeypatch.setenv("CAVE_AUTH_KEYRING", "1")
    alt = pytest.importorskip("keyrings.alt.file", reason="keyrings.alt is not installed")
    before, backend = get_keyring(), alt.PlaintextKeyring()
    set_keyring(backend)
    yield Path(backend.file_path)
    set_keyring(before)


def listing(*places: Path) -> set[Path]:
    return {path for place in places for path in place.rglob("*") if not path.is_dir()}


def commands(run: Run) -> list[str]:
    """What doctor says removes each thing."""
    texts = [each["text"] for each in parsed(run("doctor", "--json"))]
    return [found[1] for text in texts if (found := re.search(r"To (?:remove|end) it: (.+)", text))]


@posix_only  # the commands are those of its shells
def test_following_doctor_leaves_nothing(
    run: Run,
    sandbox: Sandbox,
    tmp_path: Path,
    keyring_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setattr(programs, "hook_file", lambda: site / "zz-cave-auth-adapter.pth")
    before = listing(tmp_path)
    token, server = sandbox.create_token(), host(sandbox.auth_server)
    assert run("login", server, "--token-stdin", input=token).exit_code == 0
    programs.enable()
    keyring.save(token)
    keyring.save(token, server)
    TokenStore().save(token)
    note_end(token, 3600)
    bob = sandbox.create_token(sandbox.create_user("Bob"))
    TokenStore().save(bob, server, "bob's")
    made_here = AuthServer(server).create_key(key_name())
    elsewhere = AuthServer(server).create_key("nightly job")
    assert len(listing(tmp_path) - before) >= 8

    for _ in range(3):  # a command may leave a lock file, which is listed then
        for command in commands(run):
            program, *arguments = shlex.split(command)
            if program == "cave-auth":
                run(*arguments)
            elif program == "keyring":
                program = f"{sys.executable} -m keyring"
                subprocess.run([*program.split(), *arguments], check=True, timeout=60)
            else:
                subprocess.run([program, *arguments], check=False, timeout=20)
    assert commands(run) == []
    assert listing(tmp_path) - before == {keyring_file}
    assert token not in keyring_file.read_text()
    assert [is_alive(sandbox, each) for each in (token, made_here, bob, elsewhere)] == [0, 0, 0, 1]
    assert (tmp_path / ".cloudvolume" / "secrets").is_dir()


def lines_of_the_page(program: str) -> list[str]:
    """The commands of a shell in docs/undo.md."""
    page = (Path(__file__).parents[2] / "docs" / "undo.md").read_text("utf-8")
    return re.findall(rf"`({program} [^`]+)`", page)


def write_all_files() -> None:
    for server in (None, "cave.my-lab.org", "127.0.0.1:443"):
        TokenStore().save("0123456789abcdef", server)
    note_end("0123456789abcdef", 3600)


def test_the_page_names_each_of_these() -> None:
    page = (Path(__file__).parents[2] / "docs" / "undo.md").read_text("utf-8")
    for command in ("logout --revoke", "keys list", "disable", f"keyring del {keyring.SERVICE}"):
        assert command in page


@posix_only
def test_the_lines_of_the_page_remove_what_they_say(secrets: Path) -> None:
    write_all_files()
    for line in lines_of_the_page("rm"):
        subprocess.run(["sh", "-ec", line], check=True, timeout=20)
    assert {path.name for path in secrets.iterdir()} == {
        *("cave-secret.json", "cave.my-lab.org-cave-secret.json"),
        TokenStore().path_for("127.0.0.1:443").name,
    }


def test_powershell_has_the_same_lines(secrets: Path) -> None:
    """Its patterns are those of `fnmatch`, as far as they are used here (about_Wildcards)."""
    write_all_files()
    in_sh = [line.partition(" ")[2] for line in lines_of_the_page("rm")]
    patterns = [line.partition(" ")[2] for line in lines_of_the_page("Remove-Item")]
    assert [pattern.replace("\\", "/") for pattern in patterns] == in_sh
    names = {path.name for path in secrets.iterdir()}
    gone = {each for pattern in in_sh for each in fnmatch.filter(names, Path(pattern).name)}
    assert {name for name in names - gone if not name.endswith("cave-secret.json")} == set()
    assert len(names - gone) == 3


@pytest.mark.skipif(POWERSHELL is None, reason="there is no PowerShell here")
def test_powershell_removes_it(secrets: Path) -> None:
    write_all_files()
    for line in lines_of_the_page("Remove-Item"):
        subprocess.run([str(POWERSHELL), "-NoProfile", "-Command", line], check=True, timeout=120)
    assert len([*secrets.iterdir()]) == 3


def at_the_server(run: Run) -> list[str]:
    """What doctor says of keys at the server."""
    return [
        text
        for each in parsed(run("doctor", "--json"))
        if re.search("^Your keys|a key that|more key|^This computer uses", text := each["text"])
    ]


def test_keys_at_the_server_are_listed(run: Run, logged_in: Sandbox) -> None:
    server = host(logged_in.auth_server)
    auth = AuthServer(server)
    others = sum(not was_made_here(key.description) for key in auth.api_keys()) - 1
    auth.create_key(name := key_name())
    auth.create_key("nightly job")
    auth.create_key(f"{key_name()}'. To end it: rm -r ~")  # nobody is to paste another's command
    [number] = [key.id for key in auth.api_keys() if key.description == name]
    told = at_the_server(run)
    end = f"To end it: cave-auth keys revoke {number} --server {server}"
    assert f"{server} has a key that was made here, {name!r}. {end}" in told
    more = [text for text in told if f"{others + 2} more key" in text]
    assert more[0].endswith(f"To list them: cave-auth keys list --server {server}")
    (in_use,) = [text for text in told if text.startswith("This computer uses the API key ")]
    assert in_use.endswith(f"To end it: cave-auth logout {server} --revoke")
    assert told[-1] == in_use  # to end the others takes a token


def test_a_login_token_in_use_is_listed(run: Run, sandbox: Sandbox) -> None:
    TokenStore().save(sandbox.create_token(ttl=7000), sandbox.auth_server)
    server = host(sandbox.auth_server)
    (text,) = [text for text in at_the_server(run) if "login token" in text]
    assert text.startswith("This computer uses the login token, for 116 minutes more, at ")
    assert text.endswith(f"To end it: cave-auth logout {server} --revoke")


def test_keys_that_cant_be_listed(run: Run, sandbox: Sandbox) -> None:
    TokenStore().save(token := sandbox.create_token(), sandbox.auth_server)
    server = host(sandbox.auth_server)
    cant = f"Your keys at {server} can't be listed now."
    with sandbox.auth_service_down():
        assert at_the_server(run) == [
            f"{cant} To list them later: cave-auth keys list --server {server}"
        ]
    sandbox.revoke(token)
    page = f"https://{server}/sticky_auth/settings/tokens"
    assert at_the_server(run) == [f"{cant} They are on this page: {page}"]


def test_keys_at_a_server_that_is_off(run: Run) -> None:
    TokenStore().save("0123456789abcdef", server := "127.0.0.1:9")
    later = f"To list them later: cave-auth keys list --server {server}"
    assert at_the_server(run) == [f"Your keys at {server} can't be listed now. {later}"]


def test_logging_out_ends_the_key_that_is_listed() -> None:
    """Where the auth server's own file has another key, its name would select that one."""
    data, auth = "minnie.microns-daf.com", "global.daf-apis.com"
    holding = Holding((data,), Token("0123456789abcdef", Source("login")))
    found = look_at_what_was_written(TokenStore(), [(holding, Status(auth, key="x", key_id=1))])
    assert any(each.text.endswith(f"cave-auth logout {data} --revoke") for each in found)
