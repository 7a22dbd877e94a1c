"""The sandbox is one process that leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from cave_auth_adapter.sandbox import Sandbox

pytestmark = pytest.mark.skipif(os.name != "posix", reason="looks at POSIX processes")

PERSON = [sys.executable, "-m", "cave_auth_adapter.sandbox"]
HOLDER = """
import time
from cave_auth_adapter.sandbox import Sandbox
with Sandbox() as sandbox:
    print(sandbox.ca_bundle, sandbox._process.pid, flush=True)
    time.sleep(60)
"""


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **changes}


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(pid: int, directory: Path) -> None:
    for _ in range(100):
        if not is_running(pid) and not directory.exists():
            return
        time.sleep(0.05)
    pytest.fail("still there")


def test_starts_fast_and_leaves_nothing_behind() -> None:
    start = time.monotonic()
    with Sandbox() as sandbox:
        assert time.monotonic() - start < 3
        pid = sandbox._process.pid  # type: ignore[union-attr]
        directory = Path(sandbox.ca_bundle).parent
        assert [path.name for path in directory.iterdir()] == ["ca.pem"]
    assert not is_running(pid)
    assert not directory.exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(sandbox.plain_server)
    with pytest.raises(RuntimeError, match="not running"):
        sandbox.requests()


def test_can_be_used_twice() -> None:
    sandbox = Sandbox()
    for _ in range(2):
        with sandbox:
            assert requests.get(sandbox.plain_server).status_code == 200


def test_an_error_inside_ends_it_too() -> None:
    sandbox = Sandbox()
    with pytest.raises(ValueError, match="No such server"), sandbox:
        sandbox.connections("https://elsewhere.example")
    with pytest.raises(requests.ConnectionError):
        requests.get(sandbox.plain_server)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_ends_when_its_parent_is_killed(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=environment(), text=True,
    ) as parent:  # fmt: skip
        assert parent.stdout
        ca_bundle, pid = parent.stdout.readline().split()
        assert is_running(int(pid))
        parent.send_signal(number)
    wait_until_gone(int(pid), Path(ca_bundle).parent)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_itself_ends_on_a_signal(number: signal.Signals) -> None:
    with Sandbox() as sandbox:
        process = sandbox._process
        assert process is not None
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert not Path(sandbox.ca_bundle).exists()
        with pytest.raises(RuntimeError, match="has ended"):
            sandbox.requests()


def test_a_killed_process_leaves_nothing_behind() -> None:
    with Sandbox() as sandbox:
        process = sandbox._process
        assert process is not None
        process.kill()
    assert not Path(sandbox.ca_bundle).parent.exists()


def the_line_for_our_command(greeting: str, ca_bundle: str) -> str:
    """What the command shows that the greeting proposes."""
    line = greeting[greeting.index("  CAVE_TOKEN=") : greeting.index("  python -c")]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = environment(PATH=path, REQUESTS_CA_BUNDLE=ca_bundle)
    return subprocess.run(
        ["bash", "-c", line], env=variables, capture_output=True, text=True, timeout=30
    ).stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_for_a_person(number: signal.Signals) -> None:
    with subprocess.Popen(
        PERSON, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
    ) as process:
        assert process.stdout
        lines: list[str] = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
        text = "".join(lines)
        ca_bundle = text.split("REQUESTS_CA_BUNDLE=")[1].split()[0]
        token = text.split("Bearer ")[1].split("'")[0]
        url = text.split("data services")[1].split()[0] + "/echo"
        headers = {"Authorization": f"Bearer {token}"}
        try:
            assert requests.get(url, headers=headers, verify=ca_bundle).json()["user_id"]
            assert "You are in." in the_line_for_our_command(text, ca_bundle)
        finally:  # else a test that fails would wait for it for ever
            process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    assert not Path(ca_bundle).exists()


def test_says_which_extra_is_missing(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "real = util.find_spec\n"
        "util.find_spec = lambda name, *a: None if name == 'trustme' else real(name, *a)\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    process = subprocess.run(
        PERSON, env=environment(PYTHONPATH=path), capture_output=True, text=True, check=False
    )
    assert process.returncode == 1
    assert process.stderr == (
        "The sandbox needs trustme: pip install 'cave-auth-adapter[sandbox]'\n"
    )


def test_the_environment_of_the_caller_does_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    monkeypatch.setenv("AUTH_DISABLED", "true")
    monkeypatch.setenv("CAVE_TOKEN", "0" * 32)
    with Sandbox() as sandbox, requests.Session() as session:
        session.trust_env = False
        session.verify = sandbox.ca_bundle
        headers = {"Authorization": f"Bearer {sandbox.token}"}
        assert session.get(sandbox.data_server + "/echo", headers=headers).status_code == 200
        refused = session.get(sandbox.data_server + "/echo", headers={"X-Requested-With": "x"})
        assert refused.status_code == 401


def test_shows_no_token_in_its_repr() -> None:
    with Sandbox() as sandbox:
        assert sandbox.token not in repr(sandbox)
        assert sandbox.auth_server in repr(sandbox)
    assert repr(Sandbox()) == "<Sandbox not running>"


def test_wrong_arguments_are_value_errors() -> None:
    with Sandbox() as sandbox:
        with pytest.raises(ValueError, match="No such dataset"):
            sandbox.create_user("A", permissions={"unknown": ["view"]})
        with pytest.raises(ValueError, match="create_token"):
            sandbox.create_token(99)
        assert sandbox.create_token()


def test_servers_can_bear_the_names_of_real_ones() -> None:
    names = {"auth_server": "global.daf-apis.com", "data_server": "minnie.microns-daf.com"}
    with Sandbox(names=names) as sandbox:
        assert sandbox.auth_server == "https://global.daf-apis.com"
        assert (
            sandbox.other_data_server == f"https://127.0.0.1:{sandbox.ports['other_data_server']}"
        )
        context = ssl.create_default_context(cafile=sandbox.ca_bundle)
        for server, name in names.items():
            with socket.create_connection(
                ("127.0.0.1", sandbox.ports[server]), timeout=10
            ) as plain:
                context.wrap_socket(plain, server_hostname=name).close()
        info = requests.get(
            f"https://localhost:{sandbox.ports['auth_server']}/info/api/v2/datastack/full/minisandbox",
            headers={"Authorization": f"Bearer {sandbox.token}"},
            verify=sandbox.ca_bundle,
            timeout=10,
        )
    assert info.json()["local_server"] == "https://minnie.microns-daf.com"
