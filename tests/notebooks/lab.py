"""A JupyterLab, alone or in a JupyterHub, and what a person does in it with a real Chromium."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

SECONDS = 60.0  # that JupyterLab may take to start on a busy machine

NAME = "cave.ipynb"
_HUB = Path(__file__).with_name("hub.py")


def write_notebook(directory: Path, *cells: str) -> None:
    """Write a notebook with some cells of code."""
    code: dict[str, Any] = {
        "cell_type": "code",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    made = [{**code, "id": f"cell{number}", "source": cell} for number, cell in enumerate(cells)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel}
    text = json.dumps({"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})
    (directory / NAME).write_text(text)
    # else JupyterLab asks, in a window over the notebook, whether it may fetch its news
    _set(directory, "notification", fetchNews="false")


def set_theme(home: Path, theme: str) -> None:
    """Choose the colours of JupyterLab."""
    _set(home, "themes", theme=theme)


def _set(home: Path, part: str, **settings: str) -> None:
    directory = home / ".jupyter" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{part}.jupyterlab-settings").write_text(json.dumps(settings))


@contextlib.contextmanager
def jupyterlab(directory: Path) -> Iterator[str]:
    """Run a JupyterLab of one person; its address, with the notebook open."""
    port = _free_port()
    command = [
        *("-m", "jupyterlab", "--no-browser", "--expose-app-in-browser"),
        *("--allow-root", f"--port={port}", "--IdentityProvider.token=", "--ip=127.0.0.1"),
        *("--ServerApp.port_retries=0", f"--ServerApp.root_dir={directory}"),
    ]
    with _running(command, directory):
        yield f"http://127.0.0.1:{port}/lab/tree/{NAME}?reset"


@contextlib.contextmanager
def jupyterhub(directory: Path) -> Iterator[str]:
    """Run a JupyterHub, whose proxy leads to a JupyterLab below /user/ada/; its address."""
    port = _free_port()
    ports = {"PROXY_PORT": str(port), "HUB_PORT": str(_free_port())}
    with _running(["-m", "jupyterhub", "--config", str(_HUB)], directory, **ports):
        then = quote(f"/user/ada/lab/tree/{NAME}?reset")
        yield f"http://127.0.0.1:{port}/hub/spawn?next={then}"


@contextlib.contextmanager
def _running(command: list[str], directory: Path, **environ: str) -> Iterator[None]:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (directory / ".server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=directory,
            env={**os.environ, "PATH": programs, **environ},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(SECONDS)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Notebook:
    """The notebook in a browser."""

    def __init__(self, browser: Any):
        self.browser = browser

    def open(self, address: str) -> None:
        """Open it once its server is up; to a JupyterHub, log in first."""
        _wait_for(lambda: self._goes_to(address))
        for field in self.all("#username_input"):
            field.send_keys("ada")
            self.browser.find_element("id", "password_input").send_keys("a password\n")
        _wait_for(lambda: "(ipykernel) | Idle" in self.browser.page_source)
        _wait_for(lambda: self.all(".jp-Notebook .jp-CodeCell"))
        self.browser.execute_script("jupyterapp.commands.execute('application:toggle-left-area')")

    def _goes_to(self, address: str) -> bool:
        from selenium.common.exceptions import WebDriverException

        try:
            self.browser.get(address)
        except WebDriverException:  # the server is not up yet
            return False
        return True

    def run(self) -> None:
        """Run all cells."""
        self.browser.execute_script("jupyterapp.commands.execute('notebook:run-all-cells')")

    def photograph(self, path: Path) -> None:
        """Keep a picture of what is in the window."""
        assert self.browser.save_screenshot(str(path))

    def all(self, selector: str) -> list[Any]:
        """The elements that a CSS selector finds."""
        return list(self.browser.find_elements("css selector", selector))

    @property
    def output(self) -> str:
        """What all cells show, prompts included."""
        shown = self.all(".jp-OutputArea-output, .jp-Stdin-prompt")
        return "\n".join(each.text for each in shown)

    def wait_for(self, text: str) -> str:
        """Wait until the cells show a text; all that they show then."""
        _wait_for(lambda: text in self.output, lambda: self.output)
        return self.output

    def link(self) -> str:
        """The address behind the link that login() shows."""
        (found, *_) = _wait_for(lambda: self.all("a[href*=authorize]"))
        return str(found.get_attribute("href"))

    def paste(self, text: str) -> None:
        """Paste a line into the box that asks, and press Enter."""
        (field, *_) = _wait_for(lambda: self.all("input.jp-Stdin-input"))
        field.send_keys(text, "\n")
        _wait_for(lambda: field not in self.all("input.jp-Stdin-input"))


def _wait_for(what: Callable[[], Any], instead: Callable[[], str] = str) -> Any:
    """Wait until something is true, and return it.

    :param instead: what there is if it never is.
    """
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError(f"it did not happen in time; in its place: {instead()}")
