"""Every command against the sandbox, with good and bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.cli import main
from cave_auth_adapter.sandbox import Sandbox

from ..support.answering import Answer, StubServer
from ..support.sandbox import is_alive, keys_of, saved
from ..support.systems import COLON, needs_dev_full, posix_only
from .conftest import Run, host, parsed

ASKING = ["status", "whoami", "keys list", "logout --revoke"]


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
    (own,) = [line for line in lines if line.endswith("this machine")]
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
    assert "logout --revoke" in result.stderr
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


# --- hosts and check -----------------------------------------------------------------------


def test_hosts_lists_trusted_hosts_and_the_reason(
    run: Run, logged_in: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAVE_AUTH_HOSTS", "cave.my-lab.org, *.lab.example")
    lines = run("hosts").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    found = {each["host"]: each["why"] for each in parsed(run("hosts", "--json"))}
    assert found["*.microns-daf.com"] == "known deployment of global.daf-apis.com"
    assert "has a secret file" in found[host(logged_in.auth_server)]
    assert found["*.lab.example"] == "named in the variable CAVE_AUTH_HOSTS"


def test_a_malformed_host_is_reported_and_the_others_are_listed(
    run: Run, logged_in: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAVE_AUTH_HOSTS", "*, cave.my-lab.org")
    for option in ([], ["--json"]):
        result = run("hosts", *option)
        assert (result.exit_code, "cave.my-lab.org" in result.stdout) == (2, True)
        assert "'*' is not a host specification" in result.stderr
    checked = run("check", f"{logged_in.data_server}/echo")
    assert (checked.exit_code, "has a secret file" in checked.stdout) == (0, True)


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        ("/echo", 0, "You are in, as "),
        ("/public", 0, "You are in, as "),
        ("/needs-permission", 4, "lacks the permission 'view' on the dataset 'sandbox_restricted'"),
        ("/needs-tos", 4, "terms of service"),
        ("/needs-group", 4, "not in the group"),
        ("/nothing-here", 1, "Your token was accepted. Check the address"),
        ("/flaky/x?fail=9", 1, "Server error; your token is fine"),
        (
            "/redirect?to=https://elsewhere.example/",
            0,
            "It redirects to https://elsewhere",
        ),
    ],
)
def test_check_explains_each_answer(
    run: Run, logged_in: Sandbox, path: str, code: int, said: str
) -> None:
    result = run("check", logged_in.data_server + path)
    assert result.exit_code == code, result.output
    assert said in " ".join(result.stdout.split())
    assert result.stdout.startswith("1. trusted?  yes: has a secret file")
    told = parsed(run("check", logged_in.data_server + path, "--json"))
    assert told["exit_code"] == code
    assert told["trusted"] is True


def test_check_explains_an_untrusted_host(run: Run, logged_in: Sandbox) -> None:
    logged_in.clear_requests()
    result = run("check", f"{logged_in.other_data_server}/echo")
    assert result.exit_code == 6
    assert "1. trusted?  no" in result.stdout
    result = run("check", f"{logged_in.foreign_server}/?token=hush")
    assert result.exit_code == 0
    assert "none was sent" in result.stdout
    assert "hush" not in result.stdout
    sent = [*logged_in.requests(logged_in.other_data_server)]
    sent += logged_in.requests(logged_in.foreign_server)
    assert len(sent) == 2
    assert logged_in.token not in repr(sent)


def test_check_works_without_a_token(
    run: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAVE_AUTH_HOSTS", host(sandbox.data_server))
    result = run("check", f"{sandbox.data_server}/echo")
    assert result.exit_code == 3
    assert "2. token     none" in result.stdout
    assert "wants a token" in result.stdout
    result = run("check", f"{sandbox.data_server}/public")
    assert result.exit_code == 0
    assert "This is public" in result.stdout


def test_check_reports_only_requests_that_it_made(
    run: Run, logged_in: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAVE_TOKEN_FILE", "not-there.json")
    result = run("check", logged_in.data_server)
    assert result.exit_code == 1
    assert "request" not in result.stdout
    assert "3. verdict   not-there.json" in result.stdout
    assert "2. request" in run("check", "https://localhost:1").stdout


def test_check_explains_a_dead_token(run: Run, logged_in: Sandbox) -> None:
    TokenStore().save("0" * 32, logged_in.data_server, overwrite=True)
    result = run("check", f"{logged_in.data_server}/echo")
    assert result.exit_code == 3
    assert "invalid or has expired" in " ".join(result.stdout.split())


@pytest.mark.parametrize("url", ["ftp://x/", "https://a\nb/", "://"])
def test_check_refuses_a_malformed_address(run: Run, url: str) -> None:
    assert run("check", url).exit_code == 2


# --- What can go wrong with any ------------------------------------------------------------


@pytest.mark.parametrize("command", ASKING)
def test_a_server_that_is_down_is_reported(run: Run, command: str) -> None:
    TokenStore().save("0123456789abcdef", "localhost:1")
    result = run(*command.split())
    assert result.exit_code == 5
    assert "localhost:1 can't be reached" in " ".join(result.output.split())
    assert "0123456789abcdef" not in result.output


@pytest.mark.parametrize("command", ASKING)
def test_an_untrusted_certificate_is_reported(
    run: Run, logged_in: Sandbox, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.delenv("CURL_CA_BUNDLE")
    result = run(*command.split())
    assert result.exit_code == 5
    assert "certificate is not valid" in " ".join(result.output.split())
    assert run("check", logged_in.data_server).exit_code == 5


@pytest.mark.parametrize("command", ASKING)
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(500, b"Internal Server Error", "text/html"), 1),
        (Answer(200, b"<html>", "text/html"), 1),
        (Answer(200, b"[]"), 1),
        (Answer(401, b'{"error": "invalid_token"}'), 3),
        (Answer(403, b"Requires membership of group: x", "text/plain"), 4),
    ],
)
def test_each_kind_of_answer_has_its_exit_code(
    run: Run, stub_server: StubServer, command: str, answer: Answer, code: int
) -> None:
    token = "0123456789abcdef"
    TokenStore().save(token, host(stub_server.address))
    stub_server.answer = answer
    result = run(*command.split())
    if command == "logout --revoke" and code == 3:
        code = 0  # a dead token needs no revoking
    assert result.exit_code == code, result.output
    assert token not in result.output
    assert result.stderr.count("cave-auth:") <= 1


@pytest.mark.parametrize("server", ["http://cave.example.org", "a b", "*.example.org", "https://"])
@pytest.mark.parametrize("command", ["login", "logout", "whoami"])
def test_a_malformed_server_is_a_usage_error(run: Run, command: str, server: str) -> None:
    result = run(command, server)
    assert result.exit_code == 2
    assert "Usage" in result.stderr


@pytest.mark.parametrize("command", ["login", "logout", "whoami"])
def test_an_unknown_server_is_reported_in_one_line(run: Run, command: str) -> None:
    result = (
        run(command, "localhost:1", "--token-stdin", input="0" * 32)
        if command == "login"
        else (run(command, "localhost:1"))
    )
    assert result.exit_code == {"login": 5, "logout": 3, "whoami": 6}[command]
    assert result.stderr.count("cave-auth: ") == 1


def test_a_malformed_file_is_reported(run: Run, secrets: Path, sandbox: Sandbox) -> None:
    secrets.mkdir(parents=True)
    TokenStore().path_for(sandbox.auth_server).write_text("{")
    result = run("status")
    assert result.exit_code == 1
    assert "is not JSON" in " ".join(result.stdout.split())
    assert run("token", sandbox.auth_server).exit_code == 1
    assert run("check", sandbox.auth_server).exit_code == 1


def test_no_command_takes_a_token_as_argument() -> None:
    """It would be in the shell's history, and in the list of processes."""
    for command in main.commands.values():
        nested = command.commands.values() if isinstance(command, click.Group) else [command]
        for each in nested:
            assert not {"token", "key"} & {p.name for p in each.params}


def test_the_help_of_every_command_has_an_example(run: Run) -> None:
    for name in main.commands:
        text = run(name, "--help").stdout
        assert max(map(len, text.splitlines())) <= 80
        if name not in ("enable", "disable", "hosts"):
            assert f"cave-auth {name}" in text, name
    assert "Exit codes" in run("--help").stdout


# --- what every command does ---------------------------------------------------------------


@needs_dev_full
@pytest.mark.parametrize("arguments", [["token"], ["hosts"], ["--help"]])
def test_output_that_cannot_be_written_is_one_line_of_error(arguments: list[str]) -> None:
    TokenStore().save("0123456789abcdef0123456789abcdef")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cave_auth_adapter", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
        )
    assert done.returncode == 1
    assert (
        done.stderr == "cave-auth: the output can't be written or read: no space left on device.\n"
    )


@pytest.mark.parametrize("url", ["no address", "https://", "https:///path", "ftp://host/", "a\nb"])
def test_a_malformed_address_is_a_usage_error(run: Run, url: str) -> None:
    result = run("check", url)
    assert result.exit_code == 2
    assert "Write https://HOST/PATH" in result.stderr
