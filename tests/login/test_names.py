"""Which server a name stands for, and what is checked before anything is shown or asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.caveclient import CAVEclient
from cave_auth_adapter.errors import LoginFailed, ServerUnreachable
from cave_auth_adapter.login import login
from cave_auth_adapter.login.names import server_named
from cave_auth_adapter.sandbox import Sandbox

from ..support.answering import Answer, StubServer
from .conftest import Answers


@pytest.fixture
def note(secrets: Path) -> Path:
    """What CAVEclient remembers of datastacks."""
    secrets.mkdir(parents=True)
    path = secrets / "cave_datastack_to_server_map.json"
    servers = {
        "my_datastack": "https://cave.my-lab.org",
        "old": "https://global.dynamicannotationframework.com",
        "odd": "not a server",
        "number": 1,
    }
    path.write_text(json.dumps(servers))
    return path


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("microns", "global.daf-apis.com"),
        ("V1DD", "global.em.brain.allentech.org"),
        ("my_datastack", "https://cave.my-lab.org"),
        ("old", "old"),
        ("odd", "odd"),
        ("number", "number"),
        ("nobody", "nobody"),
        ("localhost", "localhost"),
        ("cave:8443", "cave:8443"),
        ("https://microns", "https://microns"),
    ],
)
def test_a_name_stands_for_its_server(note: Path, text: str, server: str) -> None:
    assert server_named(text) == server


def test_a_remembered_server_of_the_retired_domain_is_ignored(note: Path) -> None:
    assert CAVEclient("old").server_address == "https://global.daf-apis.com"
    assert CAVEclient("my_datastack").server_address == "https://cave.my-lab.org"


class Silent(Answers):
    """Nothing may be shown or asked before the server has answered."""

    def show_address(self, address: str, *, opened: bool) -> None:
        pytest.fail("an address was shown")

    def ask_secret(self, prompt: str) -> str:
        pytest.fail("something was asked")


@pytest.mark.parametrize("in_browser", [True, False])
def test_a_data_server_is_refused(
    sandbox: Sandbox, in_browser: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", "true")
    with pytest.raises(LoginFailed, match="has no CAVE login page"):
        login(sandbox.data_server, open_browser=in_browser, dialogue=Silent())


@pytest.mark.parametrize("with_a_token", [True, False])
def test_a_server_that_is_not_cave_is_refused(stub_server: StubServer, with_a_token: bool) -> None:
    if with_a_token:
        TokenStore().save("0123456789abcdef", stub_server.address)
    stub_server.answer = Answer(404, b"<html>Not Found</html>", "text/html")
    with pytest.raises(LoginFailed, match=r"no CAVE login page \(status 404\).*microns"):
        login(stub_server.address, open_browser=False, dialogue=Silent())


def test_a_token_is_not_sent_to_a_server_that_is_not_cave(stub_server: StubServer) -> None:
    stub_server.answer = Answer(404, b"<html>Not Found</html>", "text/html")
    with pytest.raises(LoginFailed):
        login(stub_server.address, token="0123456789abcdef", dialogue=Silent())
    assert "0123456789abcdef" not in repr(stub_server.requests)


def test_a_data_server_leads_to_its_login_server(stub_server: StubServer) -> None:
    page = "https://auth.my-lab.org/sticky_auth/api/v1/authorize?redirect=x"
    stub_server.answer = Answer(302, headers=(("Location", page),))
    with pytest.raises(LoginFailed, match=r"cave-auth login auth\.my-lab\.org"):
        login(stub_server.address, open_browser=False, dialogue=Silent())


def test_a_question_without_a_person_is_not_logged(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(LoginFailed, match="nobody to ask"):
        login(sandbox.auth_server, open_browser=False, dialogue=Answers(asks=False))
    assert [each for each in caplog.records if each.name == "cave_auth_adapter"] == []


def test_a_server_that_fails_or_is_gone_is_reported(stub_server: StubServer) -> None:
    stub_server.answer = Answer(503, b"busy", "text/plain")
    with pytest.raises(Exception, match="Try again later"):
        login(stub_server.address, open_browser=False, dialogue=Silent())
    with pytest.raises(ServerUnreachable):
        login("localhost:1", open_browser=False, dialogue=Silent())


def test_a_misspelt_name_gets_the_list_of_names() -> None:
    with pytest.raises(ServerUnreachable, match="Known names: microns"):
        login("micronss", open_browser=False, dialogue=Silent())
