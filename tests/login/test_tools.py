"""Our ``AuthClient`` and secret files with the real CAVEclient, cloud-volume and cloud-files.

The libraries read HOME and variables when they are imported: each script gets an interpreter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.caveclient import AuthClient, CAVEclient
from cave_auth_adapter.sandbox import Sandbox

from ..support.systems import needs_tools

pytestmark = needs_tools

Run = Callable[[str], str]

READ = {
    "CAVEclient": """
        from caveclient import CAVEclient
        client = CAVEclient(datastack, server_address=auth_server)
        assert client.info.get_datastack_info()["local_server"] == data_server
        print(client.auth.token)
    """,
    "cloud-volume": """
        from cloudvolume import CloudVolume
        volume = CloudVolume(graphene)
        assert len(set(map(int, volume.get_roots(supervoxels)))) == 2
        from cloudvolume.secrets import cave_credentials
        print(cave_credentials(data_server.partition("//")[2])["token"])
    """,
    "cloud-files": """
        from cloudfiles import CloudFiles
        from cloudfiles.secrets import cave_credentials
        assert CloudFiles(f"middleauth+{data_server}/volume/sandbox").get_json("info")["type"]
        print(cave_credentials(data_server.partition("//")[2])["token"])
    """,
}


@pytest.fixture
def run(sandbox: Sandbox, tmp_path: Path) -> Run:
    """Run a script in a new interpreter with the home directory and environment of the test."""
    names = {
        "graphene": sandbox.graphene_path_middleauth,
        "datastack": sandbox.datastack,
        "auth_server": sandbox.auth_server,
        "data_server": sandbox.data_server,
        "supervoxels": list(sandbox.supervoxels),
        "token": sandbox.token,
    }
    variables = "".join(f"{name} = {value!r}\n" for name, value in names.items())

    def run(script: str) -> str:
        result = subprocess.run(
            [sys.executable, "-c", variables + textwrap.dedent(script)],
            env=os.environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout.strip().splitlines()[-1] if result.stdout.strip() else ""

    return run


@pytest.mark.parametrize("tool", READ)
def test_they_read_the_default_token_we_save(run: Run, sandbox: Sandbox, tool: str) -> None:
    TokenStore().save(sandbox.token)
    assert run(READ[tool]) == sandbox.token


@pytest.mark.parametrize("tool", READ)
def test_they_read_the_token_we_save_for_a_server(run: Run, sandbox: Sandbox, tool: str) -> None:
    """The default file has a token that is of no use here."""
    TokenStore().save("0123456789abcdef0123456789abcdef")
    TokenStore().save(sandbox.token, sandbox.auth_server)
    TokenStore().save(sandbox.token, sandbox.data_server)
    assert run(READ[tool]) == sandbox.token


@pytest.mark.parametrize("tool", ["cloud-volume", "cloud-files"])
def test_they_read_the_token_a_datastack_client_saves(
    run: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    monkeypatch.setenv("CAVE_AUTH_HOSTS", sandbox.data_server)
    for server in (sandbox.auth_server, sandbox.data_server):
        TokenStore().save("0123456789abcdef0123456789abcdef", server)
    CAVEclient(sandbox.datastack, sandbox.auth_server).auth.save_token(
        sandbox.token, overwrite=True
    )
    assert run(READ[tool]) == sandbox.token


@pytest.mark.parametrize("tool", ["cloud-volume", "cloud-files"])
@pytest.mark.parametrize("for_server", [False, True])
def test_they_read_the_token_in_cloud_volume_dir(
    run: Run,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tool: str,
    for_server: bool,
) -> None:
    monkeypatch.setenv("CLOUD_VOLUME_DIR", str(tmp_path / "scratch"))
    if for_server:
        AuthClient(server_address=sandbox.data_server).save_token(sandbox.token)
    else:
        TokenStore().save(sandbox.token)
    assert run(READ[tool]) == sandbox.token
    assert not (tmp_path / ".cloudvolume").exists()


@pytest.mark.parametrize(
    ("arguments", "ours"),
    [
        ("", {}),
        ("token_key='lab'", {"token_key": "lab"}),
        ("token_file='~/mine.json'", {"token_file": "~/mine.json"}),
        (
            "token_file='~/mine.json', token_key='lab'",
            {"token_file": "~/mine.json", "token_key": "lab"},
        ),
    ],
)
def test_we_read_the_token_caveclient_saves(
    run: Run, sandbox: Sandbox, tmp_path: Path, arguments: str, ours: dict[str, str]
) -> None:
    where = arguments.replace("~", str(tmp_path))  # it writes to a directory named ~ otherwise
    run(f"""
        from caveclient.auth import AuthClient
        AuthClient(server_address=auth_server).save_token(token, {where})
    """)
    auth = AuthClient(server_address=sandbox.auth_server, **ours)
    assert auth.token == sandbox.token
    assert auth.get_tokens()


def test_we_read_the_token_caveclient_saves_for_a_local_server(run: Run, sandbox: Sandbox) -> None:
    run("""
        from caveclient.auth import AuthClient
        AuthClient(server_address=auth_server, local_server=data_server).save_token(token)
    """)
    client = CAVEclient(sandbox.datastack, sandbox.auth_server)
    response = client.session.get(f"{client.local_server}/echo", timeout=10)
    assert response.status_code == 200


@pytest.mark.parametrize("arguments", [{}, {"token_file": "~/mine.json"}, {"token_key": "lab"}])
def test_caveclient_updates_the_files_we_write(
    run: Run, sandbox: Sandbox, tmp_path: Path, arguments: dict[str, str]
) -> None:
    """Both write to the same files in turn, and no key is lost."""
    key = arguments.get("token_key", "token")
    file = arguments.get("token_file")
    first, second = sandbox.create_token(), sandbox.create_token()
    AuthClient(server_address=sandbox.auth_server).save_token(first, key, token_file=file)
    named = f", token_file={os.path.expanduser(file)!r}" if file else ""
    run(f"""
        from caveclient.auth import AuthClient
        AuthClient(server_address=auth_server).save_token(token, "theirs", overwrite=True{named})
    """)
    AuthClient(server_address=sandbox.auth_server).save_token(
        second, key, overwrite=True, token_file=file
    )
    for token, name in ((sandbox.token, "theirs"), (second, key)):
        ours = AuthClient(file, name, server_address=sandbox.auth_server)
        assert ours.token == token
        theirs = run(f"""
            from caveclient.auth import AuthClient
            file = {os.path.expanduser(file) if file else None!r}
            print(AuthClient(file, {name!r}, server_address=auth_server).token)
        """)
        assert theirs == token


def test_we_use_the_server_that_caveclient_saved(run: Run, sandbox: Sandbox) -> None:
    TokenStore().save(sandbox.token)
    run("from caveclient import CAVEclient; CAVEclient(datastack, server_address=auth_server)")
    assert CAVEclient(sandbox.datastack).server_address == sandbox.auth_server


class TestSubclients:
    """The real clients of services, with our ``AuthClient`` in place of their own."""

    @pytest.mark.parametrize(
        "script",
        [
            """
            from caveclient.infoservice import InfoServiceClient
            info = InfoServiceClient(
                server_address=auth_server, auth_client=auth, datastack_name=datastack
            )
            assert datastack in info.get_datastacks()
            print(info.local_server() == data_server)
            """,
            """
            from caveclient.chunkedgraph import ChunkedGraphClient
            graph = ChunkedGraphClient(
                server_address=data_server, auth_client=auth, table_name="sandbox"
            )
            roots = graph.get_roots(supervoxels)
            print(len(set(map(int, roots))) == 2)
            """,
            """
            # All of it, with our class in place of theirs.
            import caveclient.frameworkclient as framework
            framework.AuthClient = AuthClient
            client = framework.CAVEclient(datastack, server_address=auth_server)
            assert type(client.auth) is AuthClient
            roots = client.chunkedgraph.get_roots(supervoxels)
            assert client.auth.get_tokens()
            assert client.auth.local_server == data_server
            print(len(set(map(int, roots))) == 2)
            """,
        ],
        ids=["info", "chunkedgraph", "CAVEclient"],
    )
    def test_the_subclients_work(self, run: Run, sandbox: Sandbox, script: str) -> None:
        TokenStore().save(sandbox.token)
        ours = """
        from cave_auth_adapter.caveclient import AuthClient
        auth = AuthClient(server_address=auth_server)
        """
        assert run(textwrap.dedent(ours) + textwrap.dedent(script)) == "True"
