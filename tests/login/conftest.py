"""A login under way, in this process or another, and somebody who completes it in a browser."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import requests

from cave_auth_adapter.caveclient import AuthClient
from cave_auth_adapter.login import login
from cave_auth_adapter.login.dialogue import Dialogue
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import SECONDS

Write = Callable[..., Path]


@pytest.fixture
def write(secrets: Path) -> Write:
    """Writes a file into the directory of secret files; its keyword arguments are the keys."""

    def write(name: str = "cave-secret.json", **content: object) -> Path:
        path = secrets / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        path.chmod(0o600)
        return path

    return write


def content(path: Path) -> Any:
    return json.loads(path.read_text())


def wait_for(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def consent(address: str, sandbox: Sandbox, user: int | None = None) -> str:
    """Log in as a browser does, and return the address to which it is sent then."""
    with requests.Session() as browser:
        browser.verify = sandbox.ca_bundle
        page = browser.get(address, timeout=SECONDS)
        answer = browser.post(
            page.url,
            data={"user": user or sandbox.user},
            allow_redirects=False,
            timeout=SECONDS,
        )
        back = browser.get(answer.headers["Location"], allow_redirects=False, timeout=SECONDS)
        return back.headers["Location"]


def token_of(callback: str) -> str:
    return callback.rpartition("token=")[2]


class Answers(Dialogue):
    """A person who says yes or no, and notes what was told."""

    def __init__(self, yes: bool = False, pasted: str = "", asks: bool = True):
        super().__init__(asks=asks)
        self.yes, self.pasted = yes, pasted
        self.told: list[str] = []
        self.asked: list[str] = []
        self.ticks: list[float] = []

    def tell(self, text: str, *, good: bool = False) -> None:
        self.told.append(text)

    def warn(self, text: str) -> None:
        self.told.append(text)

    def confirm(self, question: str) -> bool:
        self.asked.append(question)
        return self.yes

    def ask_secret(self, prompt: str) -> str:
        return self.pasted

    def waiting(self, seconds: float) -> None:
        self.ticks.append(seconds)


class Login:
    """``login()`` in a thread, with a browser that only notes the address."""

    def __init__(self, server: str, opened: list[str], **options: Any):
        self.talk = options.setdefault("dialogue", Answers())
        self.result: AuthClient | None = None
        self.error: BaseException | None = None
        self._opened = opened
        self._thread = threading.Thread(target=self._run, args=(server, options), daemon=True)
        self._thread.start()

    def _run(self, server: str, options: dict[str, Any]) -> None:
        try:
            self.result = login(server, **options)
        except BaseException as error:
            self.error = error

    @property
    def address(self) -> str:
        """The login page, with our callback in its query."""
        return wait_for(lambda: self._opened and self._opened[-1])

    @property
    def callback(self) -> str:
        query = urlsplit(self.address).query
        return unquote(query.removeprefix("redirect="))

    def finish(self) -> AuthClient | None:
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        return self.result


@pytest.fixture
def start_login(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Login]:
    monkeypatch.setenv("BROWSER", "true")
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    return lambda server=sandbox.auth_server, **options: Login(server, opened, **options)


class Command:
    """``cave-auth login`` as a process, with a browser that writes the address to a file."""

    def __init__(self, *arguments: str, home: Path, environ: dict[str, str]):
        self._file = home / "opened"
        browser = home / "browser"
        browser.write_text(
            f'#!/bin/sh\nprintf %s "$1" > {self._file}.new\nmv {self._file}.new {self._file}\n'
        )
        browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
        self._file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cave_auth_adapter", "login", *arguments],
            env={**environ, "BROWSER": f"{browser} %s"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def address(self) -> str:
        wait_for(self._file.exists)
        return self._file.read_text()

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def finish(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, out, err


@pytest.fixture
def start_command(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., Command]]:
    started: list[Command] = []

    def start(*arguments: str) -> Command:
        started.append(
            Command(sandbox.auth_server, *arguments, home=tmp_path, environ=dict(os.environ))
        )
        return started[-1]

    yield start
    for command in started:
        command.process.kill()
        command.process.communicate()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium with an empty profile, driven by Selenium."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("there is no chromium and chromedriver here: apt-get install chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (
        *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run"),
        *("disable-background-networking", "disable-component-update", "disable-sync"),
        *("ignore-certificate-errors", "disable-dev-shm-usage", "window-size=900,640"),
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SE_OFFLINE", "true")  # Selenium looks for drivers to download otherwise
        browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    browser.set_page_load_timeout(SECONDS)
    yield browser
    browser.quit()
