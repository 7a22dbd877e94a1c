"""``cave-auth doctor``: each thing that it looks at, good and bad, and what it can fix."""

from __future__ import annotations

import functools
import json
import os
import stat
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from click.testing import CliRunner

from cave_auth_adapter import TokenStore, programs
from cave_auth_adapter.cli import main
from cave_auth_adapter.login.dialogue import Dialogue
from cave_auth_adapter.sandbox import Sandbox
from cave_auth_adapter.shells import assignment

from ..support.answering import StubServer
from ..support.sandbox import saved
from ..support.systems import posix_only
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


def test_a_good_installation_has_no_problem(run: Run, logged_in: Sandbox) -> None:
    result = run("doctor")
    assert result.exit_code == 0, result.output
    for part in ("has a token", "certificate is valid", "requests 2.", "cave-auth enable: o"):
        assert part in " ".join(result.stdout.split())
    assert "problem" not in result.stdout
    assert "works at" in " ".join(result.stdout.split())
    others = (logged_in.foreign_server, logged_in.other_data_server)
    assert logged_in.token not in repr([logged_in.requests(server) for server in others])


def test_without_any_file_the_next_step_is_a_login(
    run: Run, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cave_auth_adapter.diagnose.doctor.DEFAULT_SERVER", stub_server.address)
    found = told(run)
    assert level_of(found, "does not exist yet") == "note"


@posix_only  # modes
def test_open_permissions_are_found_and_fixed(run: Run, logged_in: Sandbox, secrets: Path) -> None:
    path = secrets / "cave-secret.json"
    path.chmod(0o664)
    secrets.chmod(0o755)
    found = told(run)
    assert level_of(found, f"{path} has mode 0664: others can use it") == "problem"
    assert level_of(found, f"{secrets} has mode 0755") == "problem"
    assert "cave-auth doctor --fix" in run("doctor").stdout
    assert stat.S_IMODE(path.stat().st_mode) == 0o664

    found = told(run, "--fix")
    assert level_of(found, "now it has 0600") == "ok"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert "problem" not in told(run).values()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"token": "a b"}', '{"token": 1}'])
def test_a_malformed_file_is_a_problem(
    run: Run, logged_in: Sandbox, secrets: Path, content: str
) -> None:
    path = secrets / "cave-secret.json"
    path.write_text(content)
    assert level_of(told(run, "--fix"), str(path)) == "problem"
    assert path.read_text() == content


def test_a_file_without_a_token_is_reported(run: Run, logged_in: Sandbox, secrets: Path) -> None:
    (secrets / "cave-secret.json").write_text('{"other": "0123456789abcdef"}')
    assert level_of(told(run), "has no token under the key 'token'") == "note"


@posix_only  # modes
def test_secrets_of_other_services_are_ignored(run: Run, logged_in: Sandbox, secrets: Path) -> None:
    path = secrets / "google-secret.json"
    path.write_text("{")
    path.chmod(0o644)
    found = told(run, "--fix")
    assert not any("google" in text for text in found)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_the_deprecated_file_name_is_found_and_fixed(
    run: Run, logged_in: Sandbox, secrets: Path
) -> None:
    (secrets / "cave-secret.json").unlink()
    old = secrets / "chunkedgraph-secret.json"
    old.write_text(json.dumps({"token": TOKEN}))
    old.chmod(0o600)
    assert level_of(told(run), "has a deprecated name") == "problem"
    assert level_of(told(run, "--fix"), "is now cave-secret.json") == "ok"
    assert not old.exists()
    assert saved(secrets)["cave-secret.json"] == TOKEN

    old.write_text(json.dumps({"token": "4567"}))
    assert level_of(told(run, "--fix"), "cave-secret.json is used instead") == "note"
    assert old.exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a b", "is not the name of a server"),
        pytest.param("*.daf-apis.com", "is not the name of a server", marks=posix_only),
        ("Global.DAF-apis.com", "rename it to global.daf-apis.com-cave-secret.json"),
        ("www.dynamicannotationframework.com", "CAVE has given up that domain"),
        ("backup", "has no dot, so it is not the name of a server"),
        ("global.daf-apis.com_auth", "rename it to global.daf-apis.com-cave-secret.json"),
    ],
)
def test_files_that_no_tool_reads_are_noted(
    run: Run, logged_in: Sandbox, secrets: Path, name: str, said: str
) -> None:
    (secrets / f"{name}-cave-secret.json").write_text(json.dumps({"token": TOKEN}))
    assert level_of(told(run), said) == "note"


def test_conflicting_files_are_reported(
    run: Run, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cave_auth_adapter.diagnose.doctor._servers", lambda store: [])
    monkeypatch.setattr("cave_auth_adapter.diagnose.doctor.holdings", list)
    TokenStore().save(TOKEN, "global.daf-apis.com")
    TokenStore().save(TOKEN, "minnie.microns-daf.com")
    assert not any("another token" in text for text in told(run))
    TokenStore().save("4567", "minnie.microns-daf.com", overwrite=True)
    assert level_of(told(run), "minnie.microns-daf.com gets the former") == "note"


def test_variables_are_reported(
    run: Run, logged_in: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAVE_TOKEN", TOKEN)
    assert level_of(told(run), "CAVE_TOKEN is set") == "note"
    monkeypatch.setenv("CAVE_TOKEN", f"'{TOKEN}'")
    assert level_of(told(run), "has quotes in it") == "problem"
    monkeypatch.delenv("CAVE_TOKEN")
    monkeypatch.setenv("CAVE_TOKEN_FILE", "nowhere.json")
    assert level_of(told(run), "nowhere.json, which does not exist") == "problem"
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
def test_a_wrong_clock_is_reported(date: int | None, said: str | None) -> None:
    from cave_auth_adapter.diagnose.doctor import _clock

    now = time.time()
    header = None if date is None else formatdate(now + date, usegmt=True)
    found = [finding.text for finding in _clock("cave.example.org", header, now)]
    assert (said in found[0]) if said else found == []
    assert list(_clock("cave.example.org", "nonsense", now)) == []


def test_a_server_that_is_down_is_a_problem(run: Run) -> None:
    TokenStore().save(TOKEN, "localhost:1")
    assert level_of(told(run), "localhost:1 can't be reached") == "problem"


def test_an_untrusted_certificate_is_a_problem(
    run: Run, logged_in: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.delenv("CURL_CA_BUNDLE")
    assert level_of(told(run), "certificate is not valid") == "problem"


def test_an_enabled_environment_is_reported(
    run: Run, logged_in: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = tmp_path / "hook.pth"
    monkeypatch.setattr(programs, "hook_file", lambda: hook)
    assert level_of(told(run), "cave-auth enable: off") == "ok"
    hook.touch()
    assert level_of(told(run), "cave-auth enable: on") == "ok"


def test_an_old_requests_is_reported(
    run: Run, logged_in: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cave_auth_adapter.diagnose.doctor.metadata.version", lambda name: "2.31.0")
    assert level_of(told(run), "requests is too old") == "problem"


@posix_only
def test_a_file_in_place_of_the_directory_is_a_problem(
    run: Run, stub_server: StubServer, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cave_auth_adapter.diagnose.doctor.DEFAULT_SERVER", stub_server.address)
    secrets.parent.mkdir()
    secrets.write_text("")
    assert level_of(told(run), "is not a directory") == "problem"


# --- What --fix may not touch --------------------------------------------------------------


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server is asked."""
    monkeypatch.setattr("cave_auth_adapter.diagnose.doctor._servers", lambda store: [])
    monkeypatch.setattr("cave_auth_adapter.diagnose.doctor.holdings", list)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("quiet")
@posix_only
@pytest.mark.parametrize("name", ["x.example-cave-secret.json", "cave-secret.json"])
@pytest.mark.parametrize("kind", ["file", "directory", "hard link", "link to a link"])
def test_a_fix_does_not_change_the_target_of_a_link(
    run: Run, secrets: Path, tmp_path: Path, name: str, kind: str
) -> None:
    secrets.mkdir(parents=True, mode=0o700)
    victim = tmp_path / "victim"
    if kind == "directory":
        victim.mkdir()
    else:
        victim.write_text("{}")
    victim.chmod(0o755)
    if kind == "hard link":
        os.link(victim, secrets / name)
    elif kind == "link to a link":
        (secrets / "link").symlink_to(victim)
        (secrets / name).symlink_to(secrets / "link")
    else:
        (secrets / name).symlink_to(victim)
    found = told(run, "--fix")
    assert mode(victim) == 0o755
    assert level_of(found, "if it is yours: chmod 600 ") == "problem"


@pytest.mark.usefixtures("quiet")
@posix_only
def test_a_fix_follows_links_within_the_directory(run: Run, secrets: Path) -> None:
    path = TokenStore().save(TOKEN, "x.example")
    path.chmod(0o644)
    (secrets / "y.example-cave-secret.json").symlink_to(path.name)
    told(run, "--fix")
    assert mode(path) == 0o600


@pytest.mark.usefixtures("quiet")
@posix_only
def test_a_fix_does_not_change_a_linked_directory(run: Run, secrets: Path, tmp_path: Path) -> None:
    public = tmp_path / "public_html"
    public.mkdir(mode=0o755)
    public.chmod(0o755)
    secrets.parent.mkdir()
    secrets.symlink_to(public)
    told(run, "--fix")
    assert mode(public) == 0o755


@pytest.mark.usefixtures("quiet")
@posix_only
def test_control_characters_in_a_file_name_are_not_printed(secrets: Path) -> None:
    secrets.mkdir(parents=True)
    (secrets / "\x1b]0;owned\x07\x1b[2J-cave-secret.json").write_text("{}")
    result = CliRunner().invoke(main, ["doctor"], color=True)
    assert "owned" in result.output
    assert "\x1b]0" not in result.output
    assert "\x07" not in result.output


# --- Files that nobody reads, and who gets which token -------------------------------------


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("cave-secret (1).json", "cave-secret.json"),
        ("cave-secret.json.txt", "cave-secret.json"),
        ("cave_secrets.json", "cave-secret.json"),
        ("Cave-Secret.JSON", "cave-secret.json"),
        ("cave.my-lab.org-cave-secret (2).json", "cave.my-lab.org-cave-secret.json"),
        ("cave.my-lab.org_sticky_auth-cave-secret.json", "cave.my-lab.org-cave-secret.json"),
    ],
)
def test_a_misspelt_file_name_is_noted(run: Run, secrets: Path, name: str, better: str) -> None:
    secrets.mkdir(parents=True)
    (secrets / name).write_text("{}")
    assert level_of(told(run), f"never read. To use it, rename it to {better}.") == "note"


@pytest.mark.usefixtures("quiet")
def test_files_in_another_directory_are_noted(
    run: Run, secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TokenStore().save(TOKEN)
    (secrets.parent / "x.example-cave-secret.json").write_text("{}")
    found = told(run)
    assert level_of(found, f"x.example-cave-secret.json in {secrets.parent} is not read") == "note"
    monkeypatch.setenv("CLOUD_VOLUME_DIR", str(tmp_path / "other"))
    assert level_of(told(run), f"cave-secret.json in {secrets} is not read") == "note"


@pytest.mark.usefixtures("quiet")
def test_a_relative_directory_is_a_problem(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_VOLUME_DIR", "somewhere")
    assert level_of(told(run), "a relative path in the variable CLOUD_VOLUME_DIR") == "problem"


@pytest.mark.usefixtures("quiet")
@posix_only
def test_a_world_writable_directory_is_a_problem(run: Run, secrets: Path) -> None:
    TokenStore().save(TOKEN, "x.example")
    secrets.chmod(0o777)
    found = told(run)
    assert level_of(found, "does not make x.example trusted: everybody can write") == "problem"
    assert level_of(found, "x.example is no longer trusted") == "note"


@pytest.mark.usefixtures("quiet")
def test_a_default_file_of_unknown_origin_is_noted(run: Run) -> None:
    TokenStore().save(TOKEN)
    assert level_of(told(run), "every trusted host gets it, as with CAVEclient") == "note"


@pytest.mark.usefixtures("quiet")
def test_a_stale_default_file_is_found_and_fixed(
    run: Run, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TokenStore()
    store.save("0" * 32)
    store.save(TOKEN, "global.daf-apis.com")
    found = told(run, "--fix")
    assert level_of(found, "CloudVolume uses it for each host without a file of its own") == "note"
    assert level_of(found, "proofreading.zetta.ai gets no token now") == "note"
    assert saved(secrets)["cave-secret.json"] == "0" * 32  # there was nobody to ask

    # As on a terminal.
    monkeypatch.setattr(Dialogue, "__init__", functools.partialmethod(Dialogue.__init__, True))
    assert "No other file has it" in run("doctor", "--fix", input="n\n").stderr
    assert saved(secrets)["cave-secret.json"] == "0" * 32
    run("doctor", "--fix", input="y\n")
    assert saved(secrets)["cave-secret.json"] == TOKEN
    assert level_of(told(run), "holds a token of global.daf-apis.com; only hosts of") == "ok"


@pytest.mark.usefixtures("quiet")
def test_a_default_file_of_another_deployment_is_left_alone(run: Run, secrets: Path) -> None:
    store = TokenStore()
    store.save("0" * 32)
    store.save("0" * 32, "proofreading.zetta.ai")
    store.save(TOKEN, "global.daf-apis.com")
    found = told(run)
    assert level_of(found, "holds a token of proofreading.zetta.ai") == "ok"
    assert level_of(found, "global.em.brain.allentech.org gets no token now") == "note"


# --- Whether the token works ---------------------------------------------------------------


def test_a_dead_token_is_a_problem(run: Run, logged_in: Sandbox) -> None:
    for server in (None, logged_in.auth_server, logged_in.data_server):
        TokenStore().save("0" * 32, server, overwrite=True)
    assert level_of(told(run), "it is invalid or has expired") == "problem"


def test_missing_terms_are_noted(run: Run, sandbox: Sandbox) -> None:
    user = sandbox.create_user("A Reader", permissions={"sandbox_terms": ["view"]})
    TokenStore().save(sandbox.create_token(user), sandbox.auth_server)
    found = told(run)
    assert level_of(found, "A Reader") == "ok"
    assert level_of(found, ": to use ") == "note"


# --- Surroundings --------------------------------------------------------------------------


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("hosts", ["a.example b.example", "a.example;b.example"])
def test_hosts_without_commas_are_a_problem(
    run: Run, monkeypatch: pytest.MonkeyPatch, hosts: str
) -> None:
    monkeypatch.setenv("CAVE_AUTH_HOSTS", hosts)
    assert level_of(told(run), assignment("CAVE_AUTH_HOSTS", "a.example,b.example")) == "problem"
    monkeypatch.setenv("CAVE_AUTH_HOSTS", " a.example , b.example,")
    assert not any("CAVE_AUTH_HOSTS" in text for text in told(run))


@pytest.mark.usefixtures("quiet")
def test_netrc_entries_for_cave_hosts_are_noted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "netrc"
    monkeypatch.setenv("NETRC", str(path))
    path.write_text(
        "machine github.com login me password x\n"
        "machine minnie.microns-daf.com login me password x\n"
        "default login me password x\n"
    )
    found = told(run)
    assert level_of(found, "every host that it does not name (entry 'default')") == "note"
    assert level_of(found, "(entry 'minnie.microns-daf.com')") == "note"
    assert not any("github" in text for text in found)
    path.write_text("nonsense here")
    assert level_of(told(run), f"{path} can't be read") == "note"


@pytest.mark.usefixtures("quiet")
def test_a_missing_socks_package_is_a_problem(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5h://127.0.0.1:9")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert level_of(told(run), 'pip install "requests[socks]"') == "problem"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert not any("SOCKS" in text for text in told(run))
