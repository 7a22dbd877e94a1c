"""``status()`` and what notebooks show of our objects: complete, without markup or token."""

from __future__ import annotations

import html
import json
import pickle
import re
import socket
import time
from html.parser import HTMLParser

import pytest

import cave_auth_adapter
from cave_auth_adapter import AuthClient, TokenStore, explain, install, status
from cave_auth_adapter.errors import ServerUnreachable
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import Tokens

TOKEN = "0123456789abcdef"
HOSTILE = "\"><img src=x onerror=alert(1)><script>alert('2')</script>\x1b[2J\u202e&amp;"


class Tags(HTMLParser):
    def __init__(self, page: str):
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)


def text_of(shown: object) -> str:
    """The text of an object's HTML in a notebook, which must have no active content."""
    page = shown._repr_html_()  # type: ignore[attr-defined]
    found = Tags(page)
    assert found.tags <= {"strong", "table", "tr", "th", "td", "p"}
    assert found.attributes <= {"style"}
    assert "\x1b" not in page
    assert "\u202e" not in page
    return html.unescape(re.sub(r"<[^>]+>", "\n", page))


def test_accounts_and_their_hosts_are_shown(sandbox: Sandbox) -> None:
    server = sandbox.auth_server.partition("://")[2]
    data = sandbox.data_server.partition("://")[2]
    TokenStore().save(sandbox.token, server)
    TokenStore().save(sandbox.token, data)
    found = status()
    assert not found.signing
    for shown in (str(found), repr(found), text_of(found)):
        for part in (server, data, "Sandbox User", f"{server}-cave-secret.json", "to accept"):
            assert part in shown, part
        assert "not in every session" in shown
        assert "There is no token" not in shown
        assert sandbox.token not in shown
    assert sandbox.token.encode() not in pickle.dumps([each.as_json() for each in found.accounts])
    with install():
        assert status().signing


def test_without_a_token_the_next_step_is_shown() -> None:
    found = status()
    assert found.accounts == ()
    assert "from cave_auth_adapter import login; login()" in text_of(found)
    assert "global.daf-apis.com" in found.hosts


def test_a_refused_token_is_reported(sandbox: Sandbox) -> None:
    TokenStore().save(TOKEN, sandbox.auth_server)
    found = status()
    assert "problem" in str(found)
    assert "cave-auth login" in text_of(found)
    assert TOKEN not in repr(found) + text_of(found)


def test_the_time_is_bounded_for_all_servers_together(sandbox: Sandbox) -> None:
    TokenStore().save(sandbox.token, sandbox.auth_server)
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        for number, listener in enumerate((one, two)):
            TokenStore().save(f"{TOKEN}{number}", f"localhost:{listener.getsockname()[1]}")
        started = time.monotonic()
        found = status(timeout=4.0)
        assert time.monotonic() - started < 8.0  # they would take 15 seconds each
    problems = [each.error for each in found.accounts]
    assert sum(isinstance(each, ServerUnreachable) for each in problems) == 2
    assert problems.count(None) == 1
    assert str(found).count("did not answer within 4 seconds") == 2


def test_hostile_names_are_escaped(sandbox: Sandbox) -> None:
    user = sandbox.create_user(HOSTILE)
    TokenStore().save(sandbox.create_token(user), sandbox.auth_server)
    assert "<img src=x onerror=alert(1)>" in text_of(status())


@pytest.mark.parametrize("field", ["tos_name", "tos_form_url"])
def test_hostile_refusals_are_escaped(field: str) -> None:
    told = {"error": "missing_tos", "data": {field: HOSTILE}}
    url = "https://global.daf-apis.com/info"
    found = explain(status=403, url=url, body=json.dumps(told))
    assert found is not None
    assert text_of(found).strip() == found
    assert isinstance(pickle.loads(pickle.dumps(found)), str)
    assert json.loads(json.dumps(found)) == found


def test_a_client_shows_its_account(tokens: Tokens, sandbox: Sandbox) -> None:
    client = AuthClient(server_address=sandbox.auth_server)
    shown = text_of(client)
    assert sandbox.auth_server in shown
    assert "cave-secret.json" in shown
    assert not tokens.found_in(shown)
    assert sandbox.requests() == []
    assert "token= in code" in text_of(AuthClient(token=TOKEN))
    assert TOKEN not in text_of(AuthClient(token=TOKEN))
    assert "none; log in" in text_of(AuthClient())
    assert "does not exist" in text_of(AuthClient(token_file=f"/no/{HOSTILE}"))
    assert "AuthClient" in shown


def test_status_is_a_public_name() -> None:
    assert cave_auth_adapter.status is status
