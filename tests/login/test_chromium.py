"""A whole login in a real browser: `cave-auth login`, the consent page, a saved key that works.

``SCREENSHOTS=directory`` saves pictures of each page.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from cave_auth_adapter import CaveAuth, TokenStore
from cave_auth_adapter.errors import PermissionMissing, TokenFileError, TokenRefused
from cave_auth_adapter.login import pages
from cave_auth_adapter.sandbox import Sandbox
from cave_auth_adapter.service import ServerUnreachable

from ..support.sandbox import is_alive, keys_of, saved
from .conftest import Answers, Command, Login, wait_for

PAGES = {
    "logged-in": pages.logged_in("A User <user@sandbox.example>", "global.daf-apis.com"),
    "question": pages.question("A User <user@sandbox.example>", "global.daf-apis.com"),
    "refused": pages.failure(TokenRefused("…")),
    "not-allowed": pages.failure(PermissionMissing("…")),
    "not-saved": pages.failure(TokenFileError("file", "is full", "Empty it.")),
    "unreachable": pages.failure(ServerUnreachable("…")),
    "no-token": pages.NO_TOKEN,
    "broken-off": pages.BROKEN_OFF,
    "used": pages.USED,
    "wrong-path": pages.WRONG_PATH,
    "wrong-host": pages.WRONG_HOST,
    "wrong-method": pages.WRONG_METHOD,
    "not-http": pages.NOT_HTTP,
    "too-long": pages.TOO_LONG,
    "too-slow": pages.TOO_SLOW,
}


@pytest.fixture
def photograph(tmp_path: Path) -> Callable[[Any, str], None]:
    directory = Path(os.environ.get("SCREENSHOTS", tmp_path))

    def take(browser: Any, name: str) -> None:
        for scheme, suffix in (("dark", "-dark"), ("light", "")):
            prefers = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": prefers})
            path = directory / f"{name}{suffix}.png"
            assert browser.save_screenshot(str(path))
            assert path.stat().st_size > 5000  # not blank

    return take


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    chromium.get("about:blank")
    chromium.get_log("browser")
    yield chromium
    chromium.get("about:blank")


def log_in(browser: Any, address: str, user: str) -> None:
    browser.get(address)
    browser.find_element("css selector", f'button[name=user][value="{user}"]').click()


def title(browser: Any) -> str:
    # In one call, because a found element may belong to the former page.
    return browser.execute_script("return document.querySelector('h1')?.innerText")


def complaints(browser: Any) -> list[str]:
    """The console's messages: violations of our policy and missing files."""
    # A status of 400 and more is on the console for every page.
    entries = [entry["message"] for entry in browser.get_log("browser")]
    return [entry for entry in entries if "the server responded with a status of" not in entry]


def test_a_login_saves_a_key_that_works(
    browser: Any,
    photograph: Callable[[Any, str], None],
    start_command: Callable[..., Command],
    sandbox: Sandbox,
    secrets: Path,
) -> None:
    command = start_command()
    log_in(browser, command.address, str(sandbox.user))
    wait_for(lambda: title(browser) == "You are logged in")
    photograph(browser, "login-succeeded")
    code, out, err = command.finish()

    assert code == 0, err
    assert "Logged in to" in out
    assert "Sandbox User <sandbox.user@sandbox.example>" in out
    assert f"{sandbox.datastack}, {sandbox.datastack_middleauth}" in out
    files = saved(secrets)
    server = sandbox.auth_server.removeprefix("https://")
    assert set(files) == {f"{server}-cave-secret.json"}
    (key,) = set(files.values())
    assert keys_of(sandbox, key)[key].startswith("cave-auth on ")
    assert all(path.stat().st_mode & 0o077 == 0 for path in secrets.glob("*.json"))
    response = requests.get(f"{sandbox.auth_server}/info/api/v2/datastacks", auth=CaveAuth())
    assert response.json() == [
        sandbox.datastack,
        sandbox.datastack_middleauth,
        sandbox.datastack_terms,
    ]

    # No token is left on the page, in its address, or in the command's output.
    assert "token" not in browser.current_url
    assert browser.current_url.count("/") == 3
    assert "close this tab" in browser.page_source
    sent = [r.url.rpartition("token=")[2] for r in sandbox.requests() if "token=" in r.url]
    assert sent == []
    assert key not in out + err + browser.page_source
    assert complaints(browser) == []


def test_the_login_token_is_revoked(
    browser: Any, start_login: Callable[..., Login], sandbox: Sandbox
) -> None:
    login = start_login()
    log_in(browser, login.address, str(sandbox.user))
    wait_for(lambda: title(browser) == "You are logged in")
    login.finish()
    cookie = next(
        header.partition("middle_auth_token=")[2]
        for request in sandbox.requests(sandbox.auth_server)
        if (header := request.header("Cookie") or "") and "logout" in request.url
    )
    assert cookie
    assert not is_alive(sandbox, cookie)


def test_a_new_account_is_asked_for_its_name_first(
    browser: Any, start_command: Callable[..., Command], secrets: Path
) -> None:
    command = start_command()
    log_in(browser, command.address, "new")
    field = wait_for(lambda: browser.find_elements("name", "customName"))[0]
    field.clear()
    field.send_keys("<script>alert(1)</script>")
    browser.find_element("css selector", "button").click()
    wait_for(lambda: title(browser) == "You are logged in")
    code, out, _ = command.finish()

    assert code == 0
    assert "<script>alert(1)</script>" in out
    assert "as <script>alert(1)</script>" in browser.find_element("css selector", "main").text
    assert complaints(browser) == []
    assert saved(secrets)


def test_a_page_that_posts_to_the_port_is_turned_away(
    browser: Any, start_login: Callable[..., Login], sandbox: Sandbox, secrets: Path
) -> None:
    login = start_login(timeout=20)
    form = (
        f'<form method=post action="{login.callback}?token={sandbox.token}">'
        f"<input name=token value={sandbox.token}></form>"
        "<script>document.forms[0].submit()</script>"
    )
    browser.get("data:text/html," + quote(form))
    wait_for(lambda: title(browser) == "This is not a login")
    assert not secrets.exists()

    log_in(browser, login.address, str(sandbox.user))
    wait_for(lambda: title(browser) == "You are logged in")
    assert login.finish()


def test_each_failure_has_its_page(
    browser: Any,
    photograph: Callable[[Any, str], None],
    start_login: Callable[..., Login],
    sandbox: Sandbox,
    secrets: Path,
) -> None:
    login = start_login(timeout=20)
    root = login.callback.rpartition("/")[0]
    for address, expected in (
        (login.callback, "The login is not complete"),
        (f"{root}/elsewhere?token={sandbox.token}", "There is nothing here"),
        (
            login.callback.replace("127.0.0.1", "localhost") + f"?token={sandbox.token}",
            "This request was not meant for us",
        ),
        (f"{login.callback}?token={'a' * 20_000}", "This is not a login"),
        (f"{login.callback}?token={'0' * 32}", "The server does not know this login"),
    ):
        browser.get(address)
        assert title(browser) == expected
        assert "token" not in browser.current_url
    photograph(browser, "login-refused")
    assert complaints(browser) == []
    login.finish()
    assert isinstance(login.error, TokenRefused)
    assert not secrets.exists()


def test_another_accounts_login_leads_to_a_question(
    browser: Any, start_login: Callable[..., Login], sandbox: Sandbox, secrets: Path
) -> None:
    TokenStore().save(sandbox.token, sandbox.auth_server)
    mallory = sandbox.create_user("Mallory")
    talk = Answers(yes=False)
    login = start_login(overwrite=True, dialogue=talk)
    log_in(browser, login.address, str(mallory))
    wait_for(lambda: title(browser) == "One more question")
    login.finish()
    assert len(talk.asked) == 1
    assert set(saved(secrets).values()) == {sandbox.token}


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_shown_without_errors(
    browser: Any, photograph: Callable[[Any, str], None], name: str
) -> None:
    page = PAGES[name]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(pages.response(page))

        threading.Thread(target=serve, daemon=True).start()
        browser.get(f"http://127.0.0.1:{server.getsockname()[1]}/path?token=0123")
    assert title(browser) == page.title
    assert page.hint in browser.find_element("css selector", "main").text
    assert "token" not in browser.current_url
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    styled = "return getComputedStyle(document.querySelector('main')).borderRadius"
    assert browser.execute_script(styled) == "16px"
    assert complaints(browser) == []
    photograph(browser, name)
