"""The examples of CAVE_TOKEN_COMMAND in docs/tokens-and-hosts.md, with stubs of their programs."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from cave_auth_adapter import CaveAuth

from ..support.stub import TOKEN

PAGE = Path(__file__).parents[2] / "docs" / "tokens-and-hosts.md"
HOST = "minnie.microns-daf.com"
#: The program -> the arguments that it understands, as its own manual has them.
MANUALS = {
    "ssh": f"login.my-lab.org cave-auth token {HOST}",
    "gcloud": "secrets versions access latest --secret=cave-token",
    "aws": "secretsmanager get-secret-value --secret-id cave-token --query SecretString "
    "--output text",
    "vault": "kv get -field=token secret/cave",
}


def _examples() -> dict[str, str]:
    """Program -> the example of the page that runs it."""
    table = PAGE.read_text(encoding="utf-8").partition("| `CAVE_TOKEN_COMMAND` |")[2]
    commands = re.findall(r"^\| [^|]+ \| `([^`]+)` \|$", table.partition("\n\n")[0], re.M)
    return {re.sub(r"^sh -c 'exec ", "", each).split()[0]: each for each in commands}


def test_the_page_has_each_example() -> None:
    assert sorted(_examples()) == sorted(MANUALS)


@pytest.mark.skipif(os.name == "nt", reason="the examples are for a POSIX shell")
@pytest.mark.parametrize("program", MANUALS)
def test_each_example_prints_the_token(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stub = tmp_path / program
    stub.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"sys.exit(' '.join(sys.argv[1:]) != {MANUALS[program]!r} or print({TOKEN!r}))\n"
    )
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("CAVE_TOKEN_COMMAND", _examples()[program])
    assert CaveAuth().token_for(f"https://{HOST}/x") == TOKEN
    assert caplog.messages == []
