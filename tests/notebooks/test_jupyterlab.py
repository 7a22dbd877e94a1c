"""A login in a real JupyterLab in a real Chromium, from an empty notebook to a saved key."""

from __future__ import annotations

from pathlib import Path

from cave_auth_adapter.sandbox import Sandbox

from ..login.conftest import consent
from ..support.sandbox import saved
from .lab import Notebook, jupyterlab, write_notebook


def test_a_login_in_jupyterlab_saves_a_key(
    notebook: Notebook, sandbox: Sandbox, secrets: Path, tmp_path: Path, pictures: Path
) -> None:
    server = sandbox.auth_server
    write_notebook(
        tmp_path,
        "%load_ext cave_auth_adapter",
        f"!cave-auth login {server}",
        f"from cave_auth_adapter import login, status\n\nlogin({server!r})",
        "status()",
    )
    with jupyterlab(tmp_path) as address:
        notebook.open(address)
        notebook.run()
        link = notebook.link()
        told = notebook.output
        assert "once you log in" in told  # by %load_ext
        # by !cave-auth login, which has ended
        assert "\nfrom cave_auth_adapter import login\nlogin('localhost:" in told
        assert "reach the kernel" not in told
        notebook.paste("two words")
        notebook.wait_for("Try again; the address above is still valid.")
        notebook.photograph(pictures / "notebook-login.png")
        notebook.paste(consent(link, sandbox))
        notebook.wait_for("Send your token there, too?")
        notebook.paste("n")
        assert "Logged in to" in notebook.wait_for("in every session")
        notebook.browser.execute_script(
            "document.querySelectorAll('.jp-CodeCell')[3].scrollIntoView()"
        )
        notebook.photograph(pictures / "notebook-status.png")
        (key,) = saved(secrets).values()
        assert key not in notebook.browser.page_source
