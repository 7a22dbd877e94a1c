"""``docs/tutorial.md``, executed block by block with an empty home directory."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import pytest

import cave_auth_adapter
from cave_auth_adapter import client
from cave_auth_adapter.sandbox import Sandbox

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCKS = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text("utf-8"), re.DOTALL)

# As in the issue, to the letter.
PROMISED = """\
client = CAVEclient(); auth = client.auth
print(f"My current token is: {auth.token}")
auth.get_new_token()
auth.save_token(token=new_token)                     # ~/.cloudvolume/secrets/cave-secret.json, key "token"
client = CAVEclient(datastack_name)
print(f"Now my basic token is: {client.auth.token}")
client_direct = CAVEclient(datastack_name, auth_token="another_fake_token_678")
"""  # noqa: E501


def test_the_tutorial_has_what_was_promised() -> None:
    assert PROMISED in BLOCKS[0]


def test_what_was_promised_runs_without_a_server(
    capsys: pytest.CaptureFixture[str], secrets: Path
) -> None:
    token = "0123456789abcdef0123456789abcdef"
    names = {
        "CAVEclient": client.CAVEclient,
        "datastack_name": "minnie65_public",
        "new_token": token,
    }
    exec(PROMISED, names)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "My current token is: None"
    assert out[-1] == f"Now my basic token is: {token}"
    assert json.loads((secrets / "cave-secret.json").read_text()) == {"token": token}
    assert names["client_direct"].auth.token == "another_fake_token_678"


def test_the_tutorial_runs(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The sandbox stands in for the server that CAVEclient() has by default, and is trusted as
    # the known deployments are.
    here = functools.partial(client.CAVEclient, server_address=sandbox.auth_server)
    monkeypatch.setattr(cave_auth_adapter, "CAVEclient", here, raising=False)
    monkeypatch.setenv("CAVE_AUTH_HOSTS", sandbox.data_server)
    names = {"datastack_name": sandbox.datastack, "new_token": sandbox.token}
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"tutorial.md, block {number}", "exec"), names)

    out = capsys.readouterr().out
    assert "My current token is: None" in out
    for told in ("Now my basic token", "The token under that key", "The token in that file"):
        assert f"{told} is: {sandbox.token}" in out
    assert "overwrite=True" in out
    assert f"'{sandbox.datastack}'" in out
    assert f"run on {sandbox.data_server}" in out
    assert "Its images: precomputed://" in out
    assert names["response"].json() == "3.0.5"
