"""``%load_ext cave_auth_adapter`` in a real IPython."""

from __future__ import annotations

import pytest
import requests
from IPython.core.interactiveshell import InteractiveShell

from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import Tokens


@pytest.fixture
def shell() -> InteractiveShell:
    return InteractiveShell()


def test_loading_signs_and_unloading_ends_that(
    shell: InteractiveShell, sandbox: Sandbox, tokens: Tokens
) -> None:
    url = f"{sandbox.data_server}/echo"

    shell.run_line_magic("load_ext", "cave_auth_adapter")
    try:
        assert requests.get(url).json()["cookies"] == {"middle_auth_token": tokens.data}
    finally:
        shell.run_line_magic("unload_ext", "cave_auth_adapter")

    assert requests.get(url, allow_redirects=False).status_code == 302
