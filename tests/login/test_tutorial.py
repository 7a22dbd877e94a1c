"""``docs/tutorial.md`` has the lines that were promised. All of it is run in tests/docs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cave_auth_adapter import caveclient

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCKS = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text("utf-8"), re.DOTALL)

# The exact lines that were promised.
PROMISED = """\
client = CAVEclient(); auth = client.auth
print(f"My current token is: {auth.token}")
auth.get_new_token()
auth.save_token(token=new_token)                     # ~/.cloudvolume/secrets/cave-secret.json, key "token"
client = CAVEclient(datastack_name)
print(f"Now my basic token is: {client.auth.token}")
client_direct = CAVEclient(datastack_name, auth_token="another_fake_token_678")
"""  # noqa: E501


def test_the_tutorial_has_the_promised_lines() -> None:
    assert PROMISED in BLOCKS[0]


def test_the_promised_lines_run_without_a_server(
    capsys: pytest.CaptureFixture[str], secrets: Path
) -> None:
    token = "0123456789abcdef0123456789abcdef"
    names = {
        "CAVEclient": caveclient.CAVEclient,
        "datastack_name": "minnie65_public",
        "new_token": token,
    }
    exec(PROMISED, names)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "My current token is: None"
    assert out[-1] == f"Now my basic token is: {token}"
    assert json.loads((secrets / "cave-secret.json").read_text()) == {"token": token}
    client: Any = names["client_direct"]
    assert client.auth.token == "another_fake_token_678"
