"""``cave-auth hosts`` and ``check``, against the sandbox."""

from __future__ import annotations

import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.sandbox import Sandbox

from .conftest import Run, host, parsed

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
