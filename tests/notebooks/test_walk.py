"""The steps and the words of a login in notebooks, and of `hf auth login`, for docs/login.md."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pexpect
import pytest

from cave_auth_adapter.sandbox import Sandbox

from ..docs.blocks import ROOT
from ..login.conftest import consent
from ..login.walk import Walk, row_of
from .huggingface import CODE, HuggingFace, huggingface
from .lab import Notebook, jupyterhub, jupyterlab, write_notebook


def cell(server: str) -> str:
    return f"from cave_auth_adapter import login\n\nlogin({server!r})"


def log_in(notebook: Notebook, walk: Walk, sandbox: Sandbox) -> None:
    """What a person does once the cell with login() has run."""
    link = notebook.link()
    walk.step("open the link")
    walk.step("log in")
    callback = consent(link, sandbox)
    walk.step("paste the last address")
    notebook.paste(callback)
    walk.shown(notebook.wait_for("Logged in to"))


def test_a_login_in_a_notebook_takes_what_the_page_says(
    notebook: Notebook, sandbox: Sandbox, tmp_path: Path
) -> None:
    write_notebook(tmp_path, cell(sandbox.auth_server))
    walk = Walk()
    with jupyterlab(tmp_path) as address:
        notebook.open(address)
        walk.step("run `login()`")
        notebook.run()
        log_in(notebook, walk, sandbox)
    assert walk.row == row_of("a notebook")


def test_a_command_in_a_notebook_takes_what_the_page_says(
    notebook: Notebook, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The command ends at once, and names the lines of the second cell."""
    lines = f"from cave_auth_adapter import login\nlogin({sandbox.auth_server[8:]!r})"
    write_notebook(tmp_path, f"!cave-auth login {sandbox.auth_server}", lines)
    walk = Walk()
    with jupyterlab(tmp_path) as address:
        notebook.open(address)
        walk.step("run `!cave-auth login`")
        walk.step("run the lines that it shows")
        notebook.run()
        notebook.wait_for(lines)
        log_in(notebook, walk, sandbox)
    assert walk.row == row_of("`!cave-auth login` in a notebook")


def test_a_login_in_a_hub_takes_what_the_page_says(
    notebook: Notebook, sandbox: Sandbox, tmp_path: Path, pictures: Path
) -> None:
    """A real JupyterHub, whose proxy is between the browser and the kernel."""
    write_notebook(tmp_path, cell(sandbox.auth_server))
    walk = Walk()
    with jupyterhub(tmp_path) as address:
        notebook.open(address)
        walk.step("run `login()`")
        notebook.run()
        notebook.wait_for("Through JupyterHub, your browser can't reach the kernel.")
        notebook.photograph(pictures / "notebook-hub.png")
        log_in(notebook, walk, sandbox)
    assert walk.row == row_of("JupyterHub")


# --- hf auth login -------------------------------------------------------------------------


@pytest.fixture
def hub_of_models(monkeypatch: pytest.MonkeyPatch) -> Iterator[HuggingFace]:
    with huggingface() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        yield server


def test_hf_at_a_terminal_takes_what_the_page_says(
    hub_of_models: HuggingFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = Walk()
    walk.step("run `hf auth login`")
    child = pexpect.spawn(
        f"{Path(sys.executable).parent}/hf auth login",
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 100),
    )
    child.expect("How would you")  # what comes before it is on something else
    walk.shown(child.after)
    child.expect("Paste an access token")
    walk.shown(child.before + child.after)
    walk.step("choose the browser")
    child.send("\r")
    child.expect(f"enter the code: {CODE}")
    walk.shown(child.before + child.after)
    walk.step("open the address")
    walk.step("enter the code")
    walk.step("log in")
    hub_of_models.authorized.set()
    child.expect("Login successful")
    walk.shown(child.before + child.after)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert walk.row == row_of("`hf auth login`")


def test_hf_in_a_notebook_takes_what_the_page_says(
    notebook: Notebook, hub_of_models: HuggingFace, tmp_path: Path
) -> None:
    write_notebook(tmp_path, "from huggingface_hub import login\n\nlogin()")
    walk = Walk()
    with jupyterlab(tmp_path) as address:
        notebook.open(address)
        walk.step("run `login()`")
        notebook.run()
        notebook.wait_for(CODE)
        walk.step("open the link")
        walk.step("enter the code")
        walk.step("log in")
        hub_of_models.authorized.set()
        walk.shown(notebook.wait_for("Login successful"))
    assert walk.row == row_of("`huggingface_hub.login()` in a notebook")


def test_hf_as_a_command_in_a_notebook_waits_without_end(
    notebook: Notebook, hub_of_models: HuggingFace, tmp_path: Path
) -> None:
    """It shows a menu, and nobody can choose from it."""
    write_notebook(tmp_path, "!hf auth login")
    with jupyterlab(tmp_path) as address:
        notebook.open(address)
        notebook.run()
        notebook.wait_for("Paste an access token")
        time.sleep(5)
        assert "Busy" in notebook.browser.page_source
        assert not notebook.all("input.jp-Stdin-input")
    assert row_of("`!hf auth login` in a notebook").endswith("| no end | no end")


def test_the_page_names_the_version_of_hf() -> None:
    page = (ROOT / "docs" / "login.md").read_text("utf-8")
    assert f"huggingface_hub {version('huggingface_hub')}" in page
