"""The code on docs/other-clients.md sends no token where a CAVE server redirects elsewhere.

tests/docs shows that they get an answer from a CAVE server.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import Tokens

PAGE = (Path(__file__).parents[2] / "docs" / "other-clients.md").read_text("utf-8")
HELPER = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]  # defines cave_headers()
CURL = "Only curl or wget"
# Title of the section -> whether the client follows the redirect.
CLIENTS = {"httpx": False, "aiohttp": True, "urllib": True, "fsspec and zarr": True, CURL: False}


def lines_of(title: str) -> str:
    """The first block of a section, for the address in the variable of that name."""
    section = PAGE.partition(f"\n## {title}\n")[2]
    [block] = re.findall(r"```(?:python|bash)\n(.*?)```", section, re.DOTALL)[:1]
    return re.sub(r"^(url|volume) ?=.*$", "", block, flags=re.MULTILINE)


@pytest.mark.parametrize("title", CLIENTS)
def test_no_client_sends_the_token_after_a_redirect(
    sandbox: Sandbox,
    tokens: Tokens,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    title: str,
) -> None:
    if title == CURL and not shutil.which("curl"):
        pytest.skip("there is no curl")
    url = f"{sandbox.data_server}/auth-redirect?to={sandbox.foreign_server}/x"
    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, sandbox.ca_bundle)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    if title == CURL:
        command = ["bash", "-c", f"url='{url}'\n{lines_of(title)}"]
    else:
        script = f"{HELPER}\nurl = volume = {url!r}\n{lines_of(title)}"
        command = [sys.executable, "-c", script]
    subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)

    asked = sandbox.requests(sandbox.data_server)
    assert {each.header("Authorization") for each in asked} == {f"Bearer {tokens.data}"}
    reached = sandbox.requests(sandbox.foreign_server)
    assert bool(reached) is CLIENTS[title]
    assert not tokens.found_in(reached)
