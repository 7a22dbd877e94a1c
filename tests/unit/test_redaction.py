"""A token given in the wrong place is not shown, and is not looked up as a host name."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from cave_auth_adapter import AuthClient, CaveAuth, CaveAuthError, TokenStore, mount
from cave_auth_adapter.cli import main
from cave_auth_adapter.redaction import is_like_token, without_token
from cave_auth_startup.command import run

from ..support.stub import TOKEN

GLOBAL = "https://global.daf-apis.com/x"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were looked up."""
    asked: list[str] = []

    def look_up(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


WRONG_PLACES: dict[str, Callable[[], object]] = {
    "hosts=TOKEN": lambda: CaveAuth(hosts=TOKEN),
    "hosts=[TOKEN]": lambda: CaveAuth(hosts=[TOKEN]),
    "hosts=[*.TOKEN]": lambda: CaveAuth(hosts=[f"*.{TOKEN}"]),
    "token_file=TOKEN": lambda: CaveAuth(token_file=TOKEN).token_for(GLOBAL),
    "AuthClient(server_address=TOKEN)": lambda: AuthClient(server_address=TOKEN),
    "save(…, TOKEN)": lambda: TokenStore().save("abcd", TOKEN),
    "save(…, TOKEN_)": lambda: TokenStore().save("abcd", f"{TOKEN}_"),
    "load(https://TOKEN)": lambda: TokenStore().load(f"https://{TOKEN.upper()}"),
}


@pytest.mark.parametrize("place", WRONG_PLACES)
def test_an_error_hides_the_token_and_says_so(place: str, no_network: list[str]) -> None:
    with pytest.raises(CaveAuthError) as caught:
        WRONG_PLACES[place]()
    error = caught.value
    assert "<token> replaces what looks like a token" in str(error)
    assert TOKEN not in f"{error!r} {vars(error)} {pickle.dumps(error)!r}".lower()
    assert no_network == []


def test_a_warning_hides_the_token(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests

    monkeypatch.setenv("CAVE_AUTH_HOSTS", f"https://{TOKEN}")
    with pytest.raises(requests.ConnectionError):
        mount(requests.Session()).get(GLOBAL)
    assert "<token>" in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", TOKEN],
        ["check", f"https://{TOKEN}/info"],
        ["login", TOKEN],
        ["status", TOKEN.upper()],
        ["token", TOKEN],
        ["header", TOKEN],
        ["logout", TOKEN],
        ["keys", "revoke", TOKEN],
        ["whoami", f"--{TOKEN}"],
        [TOKEN],
    ],
    ids=lambda arguments: arguments[0][:8],
)
def test_a_command_hides_the_token_and_does_not_look_it_up(
    arguments: list[str], no_network: list[str]
) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert TOKEN not in result.output.lower()
    assert "token" in result.output
    assert no_network == []


@pytest.mark.parametrize("token", [TOKEN, TOKEN.upper()])
def test_run_hides_a_token_in_place_of_a_program(
    token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([token]) == 127
    told = capsys.readouterr().err
    assert "<token>: there is no such command" in told
    assert token not in told


@pytest.mark.parametrize(
    "text",
    [
        "global.daf-apis.com",
        "d41d8cd98f00b204e9800998ecf8427e.gr7.us-east-1.eks.amazonaws.com",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "/var/lib/0123456789abcdef/x",
    ],
)
def test_a_text_without_a_token_is_unchanged(text: str) -> None:
    assert not is_like_token(text)
    assert without_token(text) == text


@pytest.mark.parametrize("name", ["CAVE_TOKEN_FILE", "CAVE_AUTH_HOSTS", "REQUESTS_CA_BUNDLE"])
def test_doctor_hides_the_token(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, TOKEN)
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert TOKEN not in result.output
    assert "<token>" in result.output
