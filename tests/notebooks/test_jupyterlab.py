"""A login in a real JupyterLab in a real Chromium, from an empty notebook to a saved key.

``SCREENSHOTS=directory`` keeps the pictures that are made on the way.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cave_auth_adapter.sandbox import Sandbox

from ..login.conftest import chromium as chromium
from ..login.conftest import consent, wait_for
from ..support.sandbox import saved

pytest.importorskip("jupyterlab", reason="JupyterLab is not here: make notebooks")


def notebook(*cells: str) -> str:
    code: dict[str, Any] = {
        "cell_type": "code",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    made = [{**code, "id": f"cell{number}", "source": cell} for number, cell in enumerate(cells)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel}
    return json.dumps({"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def lab(sandbox: Sandbox, tmp_path: Path) -> Iterator[str]:
    """A JupyterLab with a notebook; its address."""
    server = sandbox.auth_server
    (tmp_path / "cave.ipynb").write_text(
        notebook(
            "%load_ext cave_auth_adapter",
            f"!cave-auth login {server}",
            f"from cave_auth_adapter import login, status\n\nlogin({server!r})",
            "status()",
        )
    )
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--expose-app-in-browser"),
            "--LabApp.news_url=None",
            *("--allow-root", f"--port={port}", "--IdentityProvider.token=", "--ip=127.0.0.1"),
            *("--ServerApp.port_retries=0", f"--ServerApp.root_dir={tmp_path}"),
        ],
        env={**os.environ, "PATH": programs},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield f"http://127.0.0.1:{port}/lab/tree/cave.ipynb?reset"
    process.terminate()
    process.wait(20)


def open_notebook(browser: Any, address: str) -> None:
    def is_open() -> bool:
        from selenium.common.exceptions import WebDriverException

        try:
            browser.get(address)
        except WebDriverException:  # the server is not up yet
            return False
        return True

    wait_for(is_open)
    wait_for(lambda: "(ipykernel) | Idle" in browser.page_source and cells_of(browser))


def cells_of(browser: Any) -> list[Any]:
    return browser.find_elements("css selector", ".jp-Notebook .jp-CodeCell")


def output_of(browser: Any) -> str:
    shown = browser.find_elements("css selector", ".jp-OutputArea-output")
    return "\n".join(each.text for each in shown)


def paste(browser: Any, text: str) -> None:
    field = wait_for(lambda: browser.find_elements("css selector", "input.jp-Stdin-input"))[0]
    field.send_keys(text, "\n")
    wait_for(lambda: field not in browser.find_elements("css selector", "input.jp-Stdin-input"))


def test_a_login_in_jupyterlab_saves_a_key(
    chromium: Any, lab: str, sandbox: Sandbox, secrets: Path, tmp_path: Path
) -> None:
    browser, pictures = chromium, Path(os.environ.get("SCREENSHOTS", tmp_path))
    open_notebook(browser, lab)
    browser.execute_script("jupyterapp.commands.execute('notebook:run-all-cells')")
    link = wait_for(lambda: browser.find_elements("css selector", "a[href*=authorize]"))[0]
    told = output_of(browser)
    assert "once you log in" in told  # by %load_ext
    # by !cave-auth login, which has ended
    assert "\nfrom cave_auth_adapter import login\nlogin('localhost:" in told
    paste(browser, "two words")
    wait_for(lambda: "Try again; the address above is still valid." in output_of(browser))
    assert browser.save_screenshot(str(pictures / "notebook-login.png"))
    paste(browser, consent(link.get_attribute("href"), sandbox))
    wait_for(lambda: "Send your token there, too?" in browser.page_source)
    paste(browser, "n")
    wait_for(
        lambda: "not in every session" in output_of(browser) or "signing" in output_of(browser)
    )
    assert "Logged in to" in output_of(browser)
    assert "in every session" in output_of(browser)
    browser.execute_script("document.querySelectorAll('.jp-CodeCell')[3].scrollIntoView()")
    assert browser.save_screenshot(str(pictures / "notebook-status.png"))
    (key,) = saved(secrets).values()
    assert key not in browser.page_source
