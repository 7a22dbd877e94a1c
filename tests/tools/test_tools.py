"""The real tools against the sandbox under public names: they fail without us and work with us.

Each runs in an interpreter of its own, with an empty home directory and CAVE_TOKEN.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cave_auth_adapter.sandbox import Sandbox

from .programs import PROGRAMS, Program

NAMES = {
    "auth_server": "global.daf-apis.com",
    "data_server": "minnie.microns-daf.com",
    "identity_provider": "accounts.google.com",
}
HOOK = Path(__file__).parent.parent / "support" / "names"
CAVE_AUTH = [sys.executable, "-m", "cave_auth_adapter", "run", sys.executable]
ids = [f"{program.tool}-{n}" for n, program in enumerate(PROGRAMS)]


@pytest.fixture(scope="session")
def world() -> Iterator[Sandbox]:
    with Sandbox(names=NAMES) as sandbox:
        yield sandbox


def run(
    command: list[str], program: Program, world: Sandbox, home: Path
) -> subprocess.CompletedProcess[str]:
    ports = {name: {"443": world.ports[server]} for server, name in NAMES.items()}
    environ = {
        **{name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ},
        **world.environ,
        "HOME": str(home),
        "CAVE_TOKEN": world.token,
        "PYTHONPATH": str(HOOK),
        "TEST_PORTS": json.dumps(ports),
        "NO_GCE_CHECK": "true",  # google-auth would look for the metadata server of a cloud
    }
    world.clear_requests()
    code = filled(program.code, world)
    return subprocess.run(
        [*command, "-c", code], env=environ, cwd=home, capture_output=True, text=True, timeout=240
    )


def filled(text: str, world: Sandbox) -> str:
    return text.format(datastack=world.datastack, root=world.roots[0], node=world.supervoxels[0])


@pytest.mark.parametrize("program", PROGRAMS, ids=ids)
def test_without_us_it_fails(program: Program, world: Sandbox, tmp_path: Path) -> None:
    result = run([sys.executable], program, world, tmp_path)

    assert result.returncode != 0 or filled(program.shows, world) not in result.stdout
    assert "ImportError" not in result.stderr
    assert "ModuleNotFoundError" not in result.stderr


# These need a token only in their requests: cloud-files works without a token of its own.
BY_REQUESTS_ALONE = ["`pcg_skeleton()`", "a transfer task from `middleauth+https://`"]


@pytest.mark.parametrize("program", PROGRAMS, ids=ids)
def test_with_signed_requests_and_no_bridges_it_fails(
    program: Program, world: Sandbox, tmp_path: Path
) -> None:
    """It gets our token from CAVEclient, cloud-volume or neuroglancer."""
    code = f"from cave_auth_adapter import bridges\nbridges.detach()\n{program.code}"
    result = run(CAVE_AUTH, program._replace(code=code), world, tmp_path)

    works = result.returncode == 0 and filled(program.shows, world) in result.stdout
    assert works is (program.what in BY_REQUESTS_ALONE), result.stderr


@pytest.mark.parametrize("program", PROGRAMS, ids=ids)
def test_under_cave_auth_run_it_works_with_every_request_signed(
    program: Program, world: Sandbox, tmp_path: Path
) -> None:
    result = run(CAVE_AUTH, program, world, tmp_path)

    shown = [line for line in result.stdout.splitlines() if line.strip()]
    assert shown[-1:] == [filled(program.shows, world)], result.stdout + result.stderr
    received = world.requests()
    assert received
    assert {each.header("Authorization") for each in received} == {f"Bearer {world.token}"}
    assert world.token not in result.stdout + result.stderr


def test_tensorstore_opens_a_volume_as_the_documentation_has_it(tmp_path: Path) -> None:
    """tensorstore resolves names by itself, so the sandbox has its loopback name here."""
    page = Path(__file__).parents[2] / "docs" / "other-clients.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    [recipe] = [block for block in blocks if block.startswith("import tensorstore")]
    with Sandbox() as sandbox:
        lines = [
            blocks[0].replace("https://minnie.microns-daf.com", sandbox.data_server),
            f"volume = {sandbox.data_server + '/volume/sandbox'!r}",
            recipe,
            "print('voxels', bool(cells[:32, :32, :16].read().result().any()))",
        ]
        environ = {
            **os.environ,
            **sandbox.environ,
            "TENSORSTORE_CA_BUNDLE": sandbox.ca_bundle,
            "HOME": str(tmp_path),
            "CAVE_TOKEN": sandbox.token,
            "CAVE_AUTH_HOSTS": sandbox.data_server,
        }
        command = [sys.executable, "-c", "\n".join(lines)]
        result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
        assert result.stdout == "voxels True\n", result.stderr
        received = {each.header("Authorization") for each in sandbox.requests()}
        assert received == {f"Bearer {sandbox.token}"}
