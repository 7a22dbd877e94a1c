"""``cave-auth check``: which addresses it never requests, and what it finds out."""

from __future__ import annotations

import os

import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.sandbox import Sandbox

from ..support.answering import Answer, StubServer
from .conftest import Run, host, parsed

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def trusted_stub(stub_server: StubServer) -> StubServer:
    TokenStore().save(TOKEN, host(stub_server.address))
    return stub_server


@pytest.mark.parametrize("prefix", ["/auth/api/v1/", "/sticky_auth/api/v1/", "/"])
@pytest.mark.parametrize(
    "spelling",
    [
        *("refresh_token", "create_token", "logout", "logout_all"),
        *("LOGOUT", "logout/", "/logout", "./logout", "x/../logout", "logout?x=1", "logout#x"),
        *("log%6fut", "log%256fut", "refresh%5Ftoken", "logout;x=1", "logout%20", "%2Flogout"),
    ],
)
def test_an_address_that_changes_something_is_not_requested(
    run: Run, trusted_stub: StubServer, prefix: str, spelling: str
) -> None:
    result = run("check", trusted_stub.address + prefix + spelling, "--json")
    told = parsed(result)
    assert (result.exit_code, told["cause"], told["status"]) == (2, "changes_something", None)
    assert "so it was not requested" in told["verdict"]
    assert trusted_stub.requests == []


def test_a_similar_address_is_requested(run: Run, trusted_stub: StubServer) -> None:
    trusted_stub.answer = Answer(body=b'{"id": 1, "name": "A User"}')
    for path in ("/logouts", "/x?next=/logout"):
        assert run("check", trusted_stub.address + path).exit_code == 0
    assert len(trusted_stub.requests) == 4  # and twice, whose the token is


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_a_token_in_the_path_is_not_shown(
    run: Run, trusted_stub: StubServer, option: list[str]
) -> None:
    other = "fedcba9876543210" * 2
    result = run("check", f"{trusted_stub.address}/user/token/{other}/ttl?x={other}", *option)
    assert other not in result.output
    assert "/user/token/<token>/ttl" in result.output


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(404, b'{"error": "x", "message": "no such table: fish"}'), "no such table: fish"),
        (Answer(404, b"no such\n table", "text/plain"), "no such table"),
        (Answer(500, b"<html>Oops", "text/html"), None),
        (Answer(500, b""), None),
        (Answer(422, b'{"message": ["x"]}'), None),
        (
            Answer(422, f"you sent {TOKEN.upper()}\x1b[2J".encode(), "text/plain"),
            "you sent <token>",
        ),
    ],
)
def test_the_servers_own_message_is_shown(
    run: Run, trusted_stub: StubServer, answer: Answer, message: str | None
) -> None:
    trusted_stub.answer = answer
    told = parsed(run("check", trusted_stub.address, "--json"))
    assert (told["message"] or "").removesuffix("\N{REPLACEMENT CHARACTER}[2J") == (message or "")
    shown = " ".join(run("check", trusted_stub.address).stdout.split())
    assert ("it says" in shown) == (message is not None)
    assert TOKEN not in shown.lower()


def test_an_accepted_account_is_named(run: Run, logged_in: Sandbox) -> None:
    told = parsed(run("check", f"{logged_in.data_server}/echo", "--json"))
    assert told["user"]["id"] == logged_in.user
    assert (told["cause"], told["dataset"], told["form"]) == (None, None, None)
    assert "You are in, as " in told["verdict"]


def test_a_public_address_is_not_taken_for_an_accepted_token(run: Run, logged_in: Sandbox) -> None:
    for server in (None, logged_in.auth_server, logged_in.data_server):
        TokenStore().save("0" * 32, server, overwrite=True)
    told = parsed(run("check", f"{logged_in.data_server}/public", "--json"))
    assert (told["exit_code"], told["user"]) == (0, None)
    assert told["verdict"].startswith(
        "It answered, but your token is refused: the data is public, or"
    )


def test_an_unknown_account_is_reported_as_unknown(run: Run, trusted_stub: StubServer) -> None:
    trusted_stub.answer = Answer(body=b"[]")
    told = parsed(run("check", trusted_stub.address, "--json"))
    assert "we could not check whose token it is" in told["verdict"]
    assert told["exit_code"] == 0


@pytest.mark.parametrize(
    ("path", "cause", "dataset", "form"),
    [
        ("/needs-permission", "missing_permission", "sandbox_restricted", False),
        ("/needs-tos", "missing_tos", None, True),
        ("/needs-group", "missing_group", None, False),
    ],
)
def test_json_names_the_cause(
    run: Run, logged_in: Sandbox, path: str, cause: str, dataset: str | None, form: bool
) -> None:
    told = parsed(run("check", logged_in.data_server + path, "--json"))
    assert (told["cause"], told["dataset"]) == (cause, dataset)
    assert ("/accept" in (told["form"] or "")) == form
    assert told["exit_code"] == 4


def test_json_names_what_prevented_the_request(
    run: Run, logged_in: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = f"{logged_in.other_data_server}/echo"
    assert parsed(run("check", unknown, "--json"))["cause"] == "not_trusted"
    assert parsed(run("check", "https://localhost:1", "--json"))["cause"] == "unreachable"
    monkeypatch.setenv("CAVE_TOKEN_FILE", "/not/there.json")
    assert parsed(run("check", logged_in.data_server, "--json"))["cause"] == "bad_file"


def test_a_missing_ca_bundle_is_named(
    run: Run, logged_in: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/old/env/cacert.pem")
    result = run("check", logged_in.data_server)
    assert result.exit_code == 5
    assert "names /old/env/cacert.pem, which does not exist" in " ".join(result.stdout.split())


@pytest.mark.skipif(os.name == "nt", reason="access on Windows is not in the mode of a file")
def test_a_world_writable_file_is_named_as_the_reason(run: Run, sandbox: Sandbox) -> None:
    store = TokenStore()
    store.save(sandbox.token, sandbox.auth_server)
    server = host(sandbox.data_server)
    path = store.save(sandbox.token, server)
    path.chmod(0o606)
    told = parsed(run("check", f"{sandbox.data_server}/echo", "--json"))
    assert told["why"] == f"it has a secret file, but everybody can write to {path}"
    assert told["verdict"].endswith(f". To fix that: chmod o-w {path}")
    assert (told["trusted"], told["exit_code"], told["cause"]) == (False, 6, "not_trusted")
    for command in ("trust", "token", "status"):
        result = run(command, server)
        assert (result.exit_code, "chmod o-w" in result.stderr) == (6, True)
    path.chmod(0o600)
    assert run("check", f"{sandbox.data_server}/echo").exit_code == 0
    assert run("trust", server).exit_code == 0
