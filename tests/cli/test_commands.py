"""The commands about accounts and tokens, against the sandbox: status, logout, token, keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import is_alive, keys_of, saved
from ..support.systems import COLON, posix_only
from .conftest import Run, host, parsed

# --- status and whoami ---------------------------------------------------------------------


def test_status_shows_the_account(run: Run, logged_in: Sandbox) -> None:
    result = run("status")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == host(logged_in.auth_server)
    assert "Sandbox User <sandbox.user@sandbox.example>, id" in result.stdout
    assert "until it is revoked; it is an API key" in result.stdout
    assert f"also for   {host(logged_in.data_server)}" in result.stdout
    assert "Sandbox Terms of Service, for sandbox_terms" in result.stdout
    assert logged_in.token not in result.output
    # Paths are not broken.
    assert all(len(line) <= 80 or " " not in line.strip() for line in result.stdout.splitlines())


def test_status_prints_json(run: Run, logged_in: Sandbox, secrets: Path) -> None:
    (told,) = parsed(run("status", "--json"))
    path = TokenStore().path_for(logged_in.auth_server)
    assert told == {
        "server": host(logged_in.auth_server),
        "also_for": [host(logged_in.data_server)],
        "source": f"the file {path}, key 'token'",
        "user": {
            "id": logged_in.user,
            "name": "Sandbox User",
            "email": "sandbox.user@sandbox.example",
        },
        "key": "",
        "expires_in": None,
        "missing_terms": [{"name": "Sandbox Terms of Service", "dataset": "sandbox_terms"}],
        "problem": None,
    }


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("microns", "global.daf-apis.com"),
        ("FlyWire", "global.daf-apis.com"),
        ("fanc", "global.daf-apis.com"),
        ("banc", "global.daf-apis.com"),
        ("v1dd", "global.em.brain.allentech.org"),
        ("crant", "proofreading.zetta.ai"),
        ("h01", "global.brain-wire-test.org"),
        ("fish1", "global.brain-wire-test.org"),
    ],
)
def test_a_dataset_name_stands_for_its_server(run: Run, name: str, server: str) -> None:
    for command in ("logout", "token", "header", "status"):
        assert server in run(command, name).output, command
    TokenStore().save("a1b2", server)
    assert run("token", name).stdout == "a1b2\n"


@pytest.mark.parametrize("form", ["{}", "https://{}", "https://{}/segmentation/table/x?y=1"])
def test_status_accepts_a_host_or_an_address(run: Run, logged_in: Sandbox, form: str) -> None:
    (told,) = parsed(run("status", form.format(host(logged_in.data_server)), "--json"))
    assert told["server"] == host(logged_in.auth_server)
    assert TokenStore().path_for(logged_in.data_server).name in told["source"]


def test_status_shows_when_a_login_token_ends(run: Run, sandbox: Sandbox) -> None:
    token = sandbox.create_token(ttl=3 * 86400 + 60)
    TokenStore().save(token, sandbox.auth_server)
    assert "3 days more; it is a login token" in run("status").stdout
    (told,) = parsed(run("status", "--json"))
    assert 3 * 86400 < told["expires_in"] <= 3 * 86400 + 60


@pytest.mark.parametrize(("ttl", "warned"), [(3600, True), (2 * 86400, False), (None, False)])
def test_status_warns_of_a_login_token_that_ends_soon(
    run: Run, sandbox: Sandbox, ttl: int | None, warned: bool
) -> None:
    TokenStore().save(sandbox.create_token(ttl=ttl), sandbox.auth_server)
    warning = f"cave-auth login {host(sandbox.auth_server)} --overwrite"
    assert (warning in run("status").stderr) is warned


def test_no_command_puts_the_token_in_an_address(run: Run, logged_in: Sandbox) -> None:
    for command in ("status", "whoami", "check " + logged_in.auth_server, "keys list"):
        run(*command.split())
    assert not any(logged_in.token in request.url for request in logged_in.requests())


def test_commands_handle_two_servers(run: Run, logged_in: Sandbox, secrets: Path) -> None:
    TokenStore().save("0123456789abcdef", "localhost:1")
    result = run("status")
    assert result.exit_code == 5
    assert "Sandbox User" in result.stdout
    assert "localhost:1 can't be reached" in " ".join(result.stdout.split())
    result = run("logout")
    assert result.exit_code == 2
    assert "cave-auth logout localhost:1" in result.stderr
    assert run("keys", "list").exit_code == 2
    assert run("keys", "list", "--server", host(logged_in.auth_server)).exit_code == 0
    assert run("logout", "localhost:1").exit_code == 0
    assert f"localhost{COLON}1-cave-secret.json" not in saved(secrets)


def test_a_token_in_a_variable_takes_precedence(
    run: Run, logged_in: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = logged_in.create_user("Bob")
    monkeypatch.setenv("CAVE_TOKEN", logged_in.create_token(bob))
    result = run("status")
    assert "Bob" in result.stdout
    assert "from the variable CAVE_TOKEN" in result.stdout
    result = run("logout", host(logged_in.auth_server))
    assert result.exit_code == 1
    assert "from the variable CAVE_TOKEN" in result.stderr


def test_whoami_prints_the_account(run: Run, logged_in: Sandbox) -> None:
    who = f"Sandbox User <sandbox.user@sandbox.example> at {host(logged_in.auth_server)}\n"
    assert run("whoami").stdout == who
    assert run("whoami", logged_in.auth_server).stdout == who
    assert parsed(run("whoami", "--json"))[0]["user"]["id"] == logged_in.user


def test_control_characters_in_a_name_are_not_printed(run: Run, sandbox: Sandbox) -> None:
    eve = sandbox.create_user("Eve\x1b[2J\x07\r\nroot")
    TokenStore().save(sandbox.create_token(eve), sandbox.auth_server)
    for command in ("whoami", "status"):
        result = run(command)
        assert result.exit_code == 0
        assert not {"\x1b", "\x07", "\r"} & set(result.output)
        assert "\nroot" not in result.output


# --- logout --------------------------------------------------------------------------------


def test_logout_forgets_the_token_and_keeps_other_keys(
    run: Run, logged_in: Sandbox, secrets: Path
) -> None:
    TokenStore().save("0123456789abcdef", key="other")
    result = run("logout", host(logged_in.auth_server))
    assert result.exit_code == 0
    assert result.stdout.count("cave-secret.json") == 3
    assert json.loads((secrets / "cave-secret.json").read_text()) == {"other": "0123456789abcdef"}
    assert [path.name for path in secrets.glob("*.json")] == ["cave-secret.json"]
    assert is_alive(logged_in, logged_in.token)
    assert run("status").exit_code == 3
    assert run("logout").exit_code == 3


def test_logout_can_revoke_the_token(run: Run, sandbox: Sandbox, secrets: Path) -> None:
    for ttl in (None, 60):
        token = sandbox.create_token(ttl=ttl)
        TokenStore().save(token, sandbox.auth_server)
        result = run("logout", "--revoke")
        assert result.exit_code == 0, result.output
        assert "Revoked" in result.stdout
        assert not is_alive(sandbox, token)
        assert not list(secrets.glob("*.json"))


def test_logout_works_with_a_dead_token(run: Run, sandbox: Sandbox, secrets: Path) -> None:
    token = sandbox.create_token()
    TokenStore().save(token, sandbox.auth_server)
    sandbox.revoke(token)
    result = run("logout", "--revoke")
    assert result.exit_code == 0
    assert "nothing to revoke" in result.stdout
    assert not list(secrets.glob("*.json"))


def test_a_token_that_cannot_be_revoked_is_kept(run: Run, secrets: Path) -> None:
    TokenStore().save("0123456789abcdef", "localhost:1")
    assert run("logout", "--revoke").exit_code == 5
    assert saved(secrets)


# --- token and header ----------------------------------------------------------------------


def test_token_and_header_print_the_token(run: Run, logged_in: Sandbox) -> None:
    assert run("token", logged_in.data_server).stdout == logged_in.token + "\n"
    assert run("header", f"{logged_in.data_server}/echo").stdout == (
        f"Authorization: Bearer {logged_in.token}\n"
    )
    assert run("token", logged_in.data_server).stderr == ""


@posix_only
@pytest.mark.parametrize("form", ["{curl} -H @<({header}) {url}", "{header} | {curl} -H @- {url}"])
def test_curl_accepts_the_printed_header(logged_in: Sandbox, form: str) -> None:
    url = f"{logged_in.data_server}/echo"
    script = form.format(
        curl='curl -sS --cacert "$REQUESTS_CA_BUNDLE"',
        header=f'"{sys.executable}" -m cave_auth_adapter header {url}',
        url=url,
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20)
    assert json.loads(done.stdout)["user_id"] == logged_in.user, done.stderr


@pytest.mark.parametrize("command", ["token", "header"])
@pytest.mark.parametrize(
    "form",
    [
        "{foreign_server}",
        "{plain_server}",
        "https://user@{host}/",
        "https://global.daf-apis.com.evil.example/",
        "http://global.daf-apis.com/",
        "https://global.daf-apis.com:8443/",
    ],
)
def test_no_token_is_printed_for_other_hosts(
    run: Run, logged_in: Sandbox, command: str, form: str
) -> None:
    url = form.format(host=host(logged_in.auth_server), **vars(logged_in))
    result = run(command, url)
    assert result.exit_code == 6
    assert result.stdout == ""
    assert result.stderr.startswith("cave-auth: ")


def test_without_a_token_the_next_step_is_named(run: Run) -> None:
    for command in (["token"], ["header", "https://minnie.microns-daf.com/x"], ["whoami"]):
        result = run(*command)
        assert result.exit_code == 3
        assert result.stdout == ""
        assert "cave-auth login global.daf-apis.com" in result.stderr


def test_without_a_token_json_is_an_empty_list(run: Run) -> None:
    for command in ("status", "whoami"):
        result = run(command, "--json")
        assert (result.exit_code, parsed(result)) == (3, [])


def test_logout_without_a_token_says_so(run: Run) -> None:
    result = run("logout")
    assert result.exit_code == 3
    assert "no token to delete" in result.stderr


def test_after_a_refusal_the_next_step_is_a_login_at_that_server(
    run: Run, sandbox: Sandbox
) -> None:
    server, next_step = sandbox.auth_server, f"cave-auth login {host(sandbox.auth_server)}"
    result = run("login", server, "--token-stdin", input="0" * 32)
    assert result.exit_code == 3
    assert result.stderr.strip().endswith(next_step)
    TokenStore().save("0" * 32, server)
    assert next_step in " ".join(run("status").stdout.split())


@posix_only
def test_token_warns_on_a_terminal(logged_in: Sandbox) -> None:
    pexpect = pytest.importorskip("pexpect")
    arguments = ["-m", "cave_auth_adapter", "token", logged_in.data_server]
    out, status = pexpect.run(
        f"{sys.executable} {' '.join(arguments)}", withexitstatus=True, env=dict(os.environ)
    )
    assert status == 0
    assert b"A token is a password" in out
    assert logged_in.token.encode() in out


# --- keys ----------------------------------------------------------------------------------


def test_keys_can_be_created_listed_and_revoked(run: Run, logged_in: Sandbox) -> None:
    created = run("keys", "create", "nightly job")
    key = created.stdout.strip()
    assert keys_of(logged_in, logged_in.token)[key] == "nightly job"
    assert "shown only now" in created.stderr

    listed = run("keys", "list")
    lines = listed.stdout.splitlines()
    assert lines[0].split() == ["ID", "DESCRIPTION", "CREATED", "LAST", "USED"]
    (line,) = [line for line in lines if "nightly job" in line]
    (own,) = [line for line in lines if line.endswith("this computer")]
    assert max(map(len, lines)) <= 80
    for token in keys_of(logged_in, logged_in.token):
        assert token not in listed.output
    in_json = parsed(run("keys", "list", "--json"))
    assert not any("token" in each for each in in_json)

    result = run("keys", "revoke", line.split()[0])
    assert result.exit_code == 0
    assert not is_alive(logged_in, key)
    result = run("keys", "revoke", own.split()[0])
    assert result.exit_code == 1
    assert f"logout {host(logged_in.auth_server)} --revoke" in result.stderr
    assert is_alive(logged_in, logged_in.token)


def test_the_key_in_use_can_be_revoked(run: Run, sandbox: Sandbox) -> None:
    token = sandbox.create_token()
    TokenStore().save(token, sandbox.auth_server)
    (own,) = [each for each in parsed(run("keys", "list", "--json")) if each["in_use_here"]]
    assert run("keys", "revoke", str(own["id"]), "--yes").exit_code == 0
    assert run("whoami").exit_code == 3


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["revoke", "99999"], 1),
        (["revoke", "x"], 2),
        (["revoke"], 2),
        (["list", "--server", "a b"], 2),
        (["list", "--server", "elsewhere.example"], 6),
    ],
)
def test_bad_key_arguments_are_refused(
    run: Run, logged_in: Sandbox, arguments: list[str], code: int
) -> None:
    assert run("keys", *arguments).exit_code == code
