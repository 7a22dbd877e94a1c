"""`cave-auth doctor`: each thing that it looks at, good and bad, and what it may mend."""

from __future__ import annotations

import json
import os
import stat
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from cave_auth_adapter import TokenStore, programs
from cave_auth_adapter.sandbox import Sandbox

from ..support.answering import StubServer
from ..support.sandbox import saved
from .conftest import Run, parsed

TOKEN = "0123456789abcdef"


def told(run: Run, *options: str) -> dict[str, str]:
    """What was found: text -> level."""
    result = run("doctor", "--json", *options)
    found = {each["text"]: each["level"] for each in parsed(result)}
    assert result.exit_code == ("problem" in found.values())
    assert TOKEN not in result.output
    return found


def level_of(found: dict[str, str], part: str) -> str:
    levels = [level for text, level in found.items() if part in text]
    assert levels, (part, found)
    return levels[0]


def test_all_is_well(run: Run, logged_in: Sandbox) -> None:
    result = run("doctor")
    assert result.exit_code == 0, result.output
    for part in ("has a token", "certificate checks out", "requests 2.", "cave-auth enable: o"):
        assert part in " ".join(result.stdout.split())
    assert "problem" not in result.stdout
    assert logged_in.token not in repr(logged_in.requests())  # no token is sent


def test_nothing_is_there_yet(
    run: Run, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cave_auth_adapter.diagnose.doctor.DEFAULT_SERVER", stub_server.address)
    found = told(run)
    assert level_of(found, "does not exist yet") == "note"


def test_permissions(run: Run, logged_in: Sandbox, secrets: Path) -> None:
    path = secrets / "cave-secret.json"
    path.chmod(0o664)
    secrets.chmod(0o755)
    found = told(run)
    assert level_of(found, f"{path} has mode 0664: others can use it") == "problem"
    assert level_of(found, f"{secrets} has mode 0755") == "problem"
    assert "cave-auth doctor --fix" in run("doctor").stdout
    assert stat.S_IMODE(path.stat().st_mode) == 0o664

    found = told(run, "--fix")
    assert level_of(found, "it has 0600 now") == "ok"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert "problem" not in told(run).values()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"token": "a b"}', '{"token": 1}'])
def test_malformed_files(run: Run, logged_in: Sandbox, secrets: Path, content: str) -> None:
    path = secrets / "cave-secret.json"
    path.write_text(content)
    assert level_of(told(run, "--fix"), str(path)) == "problem"
    assert path.read_text() == content


def test_a_file_without_a_token(run: Run, logged_in: Sandbox, secrets: Path) -> None:
    (secrets / "cave-secret.json").write_text('{"other": "0123456789abcdef"}')
    assert level_of(told(run), "has no token under the key 'token'") == "note"


def test_other_services_secrets_are_none_of_our_business(
    run: Run, logged_in: Sandbox, secrets: Path
) -> None:
    path = secrets / "google-secret.json"
    path.write_text("{")
    path.chmod(0o644)
    found = told(run, "--fix")
    assert not any("google" in text for text in found)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_the_deprecated_name(run: Run, logged_in: Sandbox, secrets: Path) -> None:
    (secrets / "cave-secret.json").unlink()
    old = secrets / "chunkedgraph-secret.json"
    old.write_text(json.dumps({"token": TOKEN}))
    old.chmod(0o600)
    assert level_of(told(run), "has a deprecated name") == "problem"
    assert level_of(told(run, "--fix"), "is now cave-secret.json") == "ok"
    assert not old.exists()
    assert saved(secrets)["cave-secret.json"] == TOKEN

    old.write_text(json.dumps({"token": "4567"}))
    assert level_of(told(run, "--fix"), "cave-secret.json outranks it") == "note"
    assert old.exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a b", "is not the name of a server"),
        ("*.daf-apis.com", "is not the name of a server"),
        ("Global.DAF-apis.com", "would have to be global.daf-apis.com-cave-secret.json"),
        ("www.dynamicannotationframework.com", "that domain is retired"),
    ],
)
def test_names_that_nobody_reads(
    run: Run, logged_in: Sandbox, secrets: Path, name: str, said: str
) -> None:
    (secrets / f"{name}-cave-secret.json").write_text(json.dumps({"token": TOKEN}))
    assert level_of(told(run), said) == "note"


def test_conflicting_files(
    run: Run, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cave_auth_adapter.diagnose.doctor._servers", lambda store: [])
    TokenStore().save(TOKEN, "global.daf-apis.com")
    TokenStore().save(TOKEN, "minnie.microns-daf.com")
    assert not any("another token" in text for text in told(run))
    TokenStore().save("4567", "minnie.microns-daf.com", overwrite=True)
    assert level_of(told(run), "outranks it for minnie.microns-daf.com") == "note"


def test_variables(run: Run, logged_in: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAVE_TOKEN", TOKEN)
    assert level_of(told(run), "CAVE_TOKEN is set") == "note"
    monkeypatch.setenv("CAVE_TOKEN", f"'{TOKEN}'")
    assert level_of(told(run), "has quotes in it") == "problem"
    monkeypatch.delenv("CAVE_TOKEN")
    monkeypatch.setenv("CAVE_TOKEN_FILE", "/nowhere.json")
    assert level_of(told(run), "/nowhere.json, which does not exist") == "problem"
    monkeypatch.delenv("CAVE_TOKEN_FILE")
    monkeypatch.setenv("CAVE_AUTH_HOSTS", "https://a/b")
    assert level_of(told(run), "CAVE_AUTH_HOSTS: ") == "problem"
    monkeypatch.delenv("CAVE_AUTH_HOSTS")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    assert level_of(told(run), "REQUESTS_CA_BUNDLE names /nowhere.pem") == "problem"


@pytest.mark.parametrize(
    ("date", "said"),
    [(7200, "120 minutes slow"), (-7200, "120 minutes fast"), (60, None), (None, None)],
)
def test_the_clock(date: int | None, said: str | None) -> None:
    from cave_auth_adapter.diagnose.doctor import _clock

    now = time.time()
    header = None if date is None else formatdate(now + date, usegmt=True)
    found = [finding.text for finding in _clock("cave.example.org", header, now)]
    assert (said in found[0]) if said else found == []
    assert list(_clock("cave.example.org", "nonsense", now)) == []


def test_a_server_that_does_not_answer(run: Run) -> None:
    TokenStore().save(TOKEN, "localhost:1")
    assert level_of(told(run), "localhost:1 can't be reached") == "problem"


def test_a_certificate_that_nobody_vouches_for(
    run: Run, logged_in: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.delenv("CURL_CA_BUNDLE")
    assert level_of(told(run), "certificate does not check out") == "problem"


def test_whether_enable_is_on(
    run: Run, logged_in: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = tmp_path / "hook.pth"
    monkeypatch.setattr(programs, "hook_file", lambda: hook)
    assert level_of(told(run), "cave-auth enable: off") == "ok"
    hook.touch()
    assert level_of(told(run), "cave-auth enable: on") == "ok"


def test_old_requests(run: Run, logged_in: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cave_auth_adapter.diagnose.doctor.metadata.version", lambda name: "2.31.0")
    assert level_of(told(run), "requests is too old") == "problem"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX")
def test_a_directory_that_is_a_file(
    run: Run, stub_server: StubServer, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cave_auth_adapter.diagnose.doctor.DEFAULT_SERVER", stub_server.address)
    secrets.parent.mkdir()
    secrets.write_text("")
    assert level_of(told(run), "is not a directory") == "problem"
