"""The real CloudVolume, cloud-files and CAVEclient, each in an interpreter of its own.

They look for secret files and read variables when they are imported, so each script gets a fresh
home directory and a fresh process.
"""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.sandbox import Sandbox

from ..support.processes import run_python

Run = Callable[..., "subprocess.CompletedProcess[str]"]

SCRIPTS = {
    "graphene roots": """
        from cloudvolume import CloudVolume
        volume = CloudVolume(graphene, use_https=True)
        print("roots", len(set(map(int, volume.get_roots(supervoxels)))))
    """,
    "graphene mesh": """
        from cloudvolume import CloudVolume
        volume = CloudVolume(graphene, use_https=True)
        print("vertices", len(volume.mesh.get(root)[root].vertices))
    """,
    "cut-out over https": """
        from cloudvolume import CloudVolume
        print("voxels", CloudVolume(volume_path, use_https=True)[:32, :32, :16].any())
    """,
    "cut-out over middleauth+https": """
        from cloudvolume import CloudVolume
        print("voxels", CloudVolume(middleauth)[:32, :32, :16].any())
    """,
    "cloud-files": """
        from cloudfiles import CloudFiles
        print("info", CloudFiles(volume_path.removeprefix("precomputed://")).get_json("info")["type"])
    """,
    "CAVEclient": """
        from caveclient import CAVEclient
        client = CAVEclient(datastack, server_address=auth_server)
        print("volume", client.info.get_datastack_info()["aligned_volume"]["name"])
    """,
}
RESULTS = {
    "graphene roots": "roots 2",
    "graphene mesh": "vertices 3686",
    "cut-out over https": "voxels True",
    "cut-out over middleauth+https": "voxels True",
    "cloud-files": "info segmentation",
    "CAVEclient": "volume sandbox_volume",
}
INSTALL = "import cave_auth_adapter; cave_auth_adapter.install()"


@pytest.fixture
def run(sandbox: Sandbox, tmp_path: Path) -> Run:
    """Run a script in a new interpreter, with the home directory and environment of the test.

    The names of `names` are variables in it; `before` and `after` go around its first line, which
    imports the tool.
    """
    names = {
        "graphene": sandbox.graphene_path,
        "graphene_middleauth": sandbox.graphene_path_middleauth,
        "volume_path": sandbox.volume_path,
        "middleauth": sandbox.volume_path_middleauth,
        "datastack": sandbox.datastack,
        "auth_server": sandbox.auth_server,
        "supervoxels": list(sandbox.supervoxels),
        "root": sandbox.roots[0],
        "token": sandbox.token,
        "data_servers": [sandbox.data_server, sandbox.other_data_server],
    }

    def run(
        script: str, before: str = "", after: str = "", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        lines = textwrap.dedent(script).strip().splitlines()
        variables = (f"{name} = {value!r}" for name, value in names.items())
        code = "\n".join([*variables, before, lines[0], after, *lines[1:]])
        return run_python(code, cwd=tmp_path, **environ)

    return run


@pytest.fixture
def trusted(sandbox: Sandbox) -> dict[str, str]:
    """The token in a variable and nowhere else, with the sandbox's servers trusted by name."""
    hosts = f"{sandbox.auth_server},{sandbox.data_server}"
    return {"CAVE_TOKEN": sandbox.token, "CAVE_AUTH_HOSTS": hosts}


@pytest.mark.parametrize("name", SCRIPTS)
def test_with_a_token_in_a_variable_a_tool_is_refused_without_us(
    run: Run, trusted: dict[str, str], name: str
) -> None:
    result = run(SCRIPTS[name], **trusted)

    assert result.returncode != 0
    assert RESULTS[name] not in result.stdout


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_with_install_before_or_after_its_import_the_same_script_works(
    run: Run, trusted: dict[str, str], name: str, place: str
) -> None:
    result = run(SCRIPTS[name], **{place: INSTALL}, **trusted)

    assert result.stdout.strip().splitlines()[-1:] == [RESULTS[name]], result.stderr
    assert trusted["CAVE_TOKEN"] not in result.stdout + result.stderr


@pytest.mark.parametrize("name", ["graphene", "cut-out over middleauth+https", "CAVEclient"])
def test_the_tools_read_the_tokens_we_save(run: Run, sandbox: Sandbox, name: str) -> None:
    TokenStore().save(sandbox.token)
    graphene = """
        from cloudvolume import CloudVolume
        print("roots", len(set(map(int, CloudVolume(graphene_middleauth).get_roots(supervoxels)))))
    """
    result = run(SCRIPTS.get(name, graphene))

    expected = RESULTS.get(name, "roots 2")
    assert result.stdout.strip().splitlines()[-1:] == [expected], result.stderr


def test_we_read_the_token_caveclient_saves(run: Run, sandbox: Sandbox) -> None:
    saving = """
        from caveclient.auth import AuthClient
        AuthClient(server_address=auth_server).save_token(token)
    """
    assert run(saving).returncode == 0
    assert TokenStore().load() == sandbox.token
    assert TokenStore().load(sandbox.auth_server) == sandbox.token


def test_cloud_files_with_different_tokens_on_two_servers_in_one_process(
    run: Run, sandbox: Sandbox
) -> None:
    """Without us, cloud-files uses the first token it found for all servers (its issue 113)."""
    tokens = [sandbox.create_token(), sandbox.create_token()]
    servers = [sandbox.data_server, sandbox.other_data_server]
    for server, token in zip(servers, tokens, strict=True):
        TokenStore().save(token, server)
    script = """
        from cloudfiles import CloudFiles
        for server in data_servers:
            print(CloudFiles(f"middleauth+{server}/volume/sandbox").get_json("info")["type"])
    """
    result = run(script, INSTALL)

    assert result.stdout.split() == ["segmentation", "segmentation"], result.stderr
    for server, token in zip(servers, tokens, strict=True):
        arrived = {request.header("Authorization") for request in sandbox.requests(server)}
        assert arrived == {f"Bearer {token}"}


# Where CloudVolume and cloud-files look for a token

FINDING = """
    from cloudvolume import secrets as theirs
    from cloudfiles import secrets as files
    print(*[bool(ask(key)) for ask in (theirs.cave_credentials, files.cave_credentials)
            for key in keys])
"""


def finding(*keys: str) -> str:
    return f"keys = {list(keys)!r}; {INSTALL}"


def test_a_token_is_found_by_host_and_by_url(run: Run, trusted: dict[str, str]) -> None:
    keys = ("global.daf-apis.com", "https://global.daf-apis.com", "https://global.daf-apis.com:443")
    result = run(FINDING, finding(*keys, trusted["CAVE_AUTH_HOSTS"].split(",")[1]), **trusted)

    assert result.stdout.split() == ["True"] * 8, result.stderr


def test_no_token_is_found_for_other_hosts_or_plain_http(run: Run, trusted: dict[str, str]) -> None:
    foreign = ("example.org", "https://example.org", "https://global.daf-apis.com.example.org")
    plain = ("http://global.daf-apis.com", "ftp://global.daf-apis.com", "global.daf-apis.com:80")
    result = run(FINDING, finding(*foreign, *plain), **trusted)

    assert result.stdout.split() == ["False"] * 12, result.stderr


PLAIN = {
    "CloudVolume": """
        from cloudvolume import CloudVolume, exceptions
        try:
            CloudVolume("graphene://http://global.daf-apis.com/segmentation/table/x")
        except exceptions.AuthenticationError:
            print("no token")
    """,
    "cloud-files": """
        from cloudfiles import interfaces, paths
        path = paths.extract("middleauth+https://global.daf-apis.com/volume")
        path = path._replace(host="http://global.daf-apis.com")
        if interfaces.CaveInterface(path)._token is None:
            print("no token")
    """,
}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("tool", PLAIN)
def test_a_tool_over_plain_http_gets_no_token(
    run: Run, trusted: dict[str, str], tool: str, place: str
) -> None:
    result = run(PLAIN[tool], **{place: INSTALL}, **trusted)

    assert result.stdout.splitlines()[-1:] == ["no token"], result.stderr


def test_a_reload_of_the_tools_modules_loses_no_token(run: Run, trusted: dict[str, str]) -> None:
    """fafbseg and crantpy reload cloudvolume.secrets when they save a token."""
    script = """
        import cloudvolume, cloudfiles.secrets
        from importlib import reload
        host = graphene.split("/")[4]
        for module in (cloudvolume.secrets, cloudfiles.secrets) * 2:
            reload(module)
        print(bool(cloudvolume.secrets.cave_credentials(host)))
        print(bool(cloudfiles.secrets.cave_credentials(host)))
        volume = cloudvolume.CloudVolume(graphene, use_https=True)
        print(len(set(map(int, volume.get_roots(supervoxels)))))
        cave_auth_adapter.uninstall()
        print(bool(cloudvolume.secrets.cave_credentials(host)))
        reload(cloudvolume.secrets)
        print(bool(cloudvolume.secrets.cave_credentials(host)))
    """
    result = run(script, INSTALL, **trusted)

    assert result.stdout.split() == ["True", "True", "2", "False", "False"], result.stderr


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://minnie.microns-daf.com", "Log in: cave-auth login"),
        ("http://minnie.microns-daf.com", "https only"),
        ("https://cave.example.org", "not trusted"),
    ],
)
def test_cloudvolume_without_a_token_gets_the_next_step(run: Run, url: str, words: str) -> None:
    script = f"""
        from cloudvolume import CloudVolume, exceptions
        for _ in range(2):
            try:
                CloudVolume("graphene://{url}/segmentation/table/minnie65_public")
            except exceptions.AuthenticationError:
                print("theirs")
    """
    result = run(script, INSTALL)

    assert result.stdout.split() == ["theirs", "theirs"]
    [line] = [line for line in result.stderr.splitlines() if "wants a" in line]
    assert words in line
    assert url.partition("://")[2] in line


def test_too_old_a_cloud_files_gives_one_warning(run: Run, tmp_path: Path) -> None:
    """Older versions, such as cloud-files 5.2, keep one token for all servers."""
    package, info = tmp_path / "cloudfiles", tmp_path / "cloud_files-5.2.0.dist-info"
    package.mkdir()
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cloud-files\nVersion: 5.2.0\n")
    (package / "__init__.py").write_text("from . import secrets\n")
    old = "CAVE_CREDENTIALS = None\ndef cave_credentials():\n  return CAVE_CREDENTIALS\n"
    (package / "secrets.py").write_text(old)
    script = """
        import cloudfiles, importlib
        importlib.reload(cloudfiles.secrets)
        print(cloudfiles.secrets.cave_credentials())
    """
    result = run(script, INSTALL, PYTHONPATH=str(tmp_path))

    assert result.stdout == "None\n"
    assert result.stderr == (
        "cloud-files 5.2.0 finds tokens only in its own secret files; everything else works. "
        "It is too old. Update it: python -m pip install -U cloud-files\n"
    )


ASK = "def cave_credentials(server=''): return None\n"
SHAPES = [
    ("cloud-volume", "cloudvolume.secrets", ASK),
    ("cloud-volume", "cloudvolume.datasource.graphene.metadata", "class GrapheneMetadata: pass"),
    ("cloud-files", "cloudfiles.secrets", ASK),
    ("cloud-files", "cloudfiles.interfaces", "class CaveInterface: pass"),
    ("caveclient", "caveclient.auth", "class AuthClient: pass"),
    ("caveclient", "caveclient.auth", "AuthClient = None"),
    ("caveclient", "caveclient.auth", "x = 1"),
    ("neuroglancer", "neuroglancer.default_credentials_manager", "x = 1"),
    (
        "neuroglancer",
        "neuroglancer.default_credentials_manager",
        "default_credentials_manager = object()",
    ),
]


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize(("name", "module", "text"), SHAPES)
def test_a_tool_without_the_expected_function_gives_one_warning_with_its_version(
    run: Run,
    sandbox: Sandbox,
    trusted: dict[str, str],
    tmp_path: Path,
    place: str,
    name: str,
    module: str,
    text: str,
) -> None:
    info = tmp_path / f"{name.replace('-', '_')}-99.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 99.1\n")
    path = tmp_path / f"{module.replace('.', '/')}.py"
    for folder in (path.parent, *path.parent.relative_to(tmp_path).parents[:-1]):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "__init__.py").touch()
    path.write_text(text)
    script = f"""
        import {module}
        import requests
        print(requests.get(data_servers[0] + "/echo").status_code)
    """
    result = run(script, **{place: INSTALL}, **trusted, PYTHONPATH=str(tmp_path))

    assert result.stdout == "200\n"  # everything else works
    [line] = result.stderr.splitlines()
    assert line.startswith(f"{name} 99.1 ")
    assert line.endswith("; everything else works. Please report this, with its version.")


# CAVEclient's own AuthClient

FOUND = """from caveclient.auth import AuthClient
        show = lambda *args, **kwargs: print(AuthClient(*args, **kwargs).token)"""


@pytest.mark.parametrize("place", ["before", "after"])
def test_caveclient_finds_our_token(run: Run, trusted: dict[str, str], place: str) -> None:
    script = f"""
        {FOUND}
        show()
        show(server_address=auth_server)
        show(server_address=auth_server.partition("://")[2])
        show(None, None, None, auth_server)
        show(server_address="https://cave.example.org")
        show(server_address="http://global.daf-apis.com")
        from caveclient import CAVEclient
        client = CAVEclient(datastack, server_address=auth_server)
        print(client.auth.request_header["Authorization"])
        cave_auth_adapter.uninstall()
        show()
    """
    result = run(script, **{place: INSTALL}, **trusted)

    token = trusted["CAVE_TOKEN"]
    expected = [token] * 4 + ["None"] * 2 + ["Bearer", token, "None"]
    assert result.stdout.split() == expected, result.stderr


def test_a_token_given_to_caveclient_is_kept(
    run: Run, trusted: dict[str, str], tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs.json"
    theirs.write_text('{"token": "a1", "other": "b2"}')
    TokenStore().save("c3", key="third")
    script = f"""
        {FOUND}
        show(token="d4")
        show(None, None, "d4")
        show(token_file={str(theirs)!r})
        show({str(theirs)!r}, "other")
        show(token_key="third")
        try:
            AuthClient(no_such_argument=1)
        except TypeError as error:
            print(str(error).rpartition(" ")[2])
    """
    result = run(script, INSTALL, **trusted)

    assert result.stdout.split() == ["d4", "d4", "a1", "b2", "c3", "'no_such_argument'"]


def test_without_our_token_caveclient_finds_its_own(run: Run) -> None:
    """CAVEclient sends what is in `cave-secret.json` to any server that is named, as without us."""
    TokenStore().save("a1b2")
    script = f"""
        {FOUND}
        show(server_address='https://cave.example.org')
    """
    result = run(script, INSTALL)

    assert result.stdout == "a1b2\n"


@pytest.mark.parametrize("place", ["before", "after"])
def test_neuroglancer_has_a_provider_whenever_it_is_imported(run: Run, place: str) -> None:
    script = """
        import neuroglancer.default_credentials_manager as theirs
        print(theirs.default_credentials_manager.get("middleauthapp", "https://example.org"))
    """
    assert run(script, **{place: INSTALL}).stdout == "None\n"  # without us, a KeyError
