"""The sandbox is one process that leaves nothing behind, whichever way it ends."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

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


def test_it_starts_fast_and_leaves_nothing_behind() -> None:
    start = time.monotonic()
    with Sandbox() as sandbox:
        assert time.monotonic() - start < 3
        pid = sandbox._process.pid
        directory = Path(sandbox.ca_bundle).parent
        assert [path.name for path in directory.iterdir()] == ["ca.pem"]
    assert not is_running(pid)
    assert not directory.exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(sandbox.plain_server)
    with pytest.raises(RuntimeError, match="not running"):
        sandbox.requests()


def test_it_can_be_used_twice() -> None:
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
def test_it_ends_when_its_parent_is_killed(number: signal.Signals) -> None:
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


def greeting_of(process: subprocess.Popen[str]) -> str:
    """What it shows before it waits for Ctrl-C, or before it fails."""
    assert process.stdout
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            break
    return "".join(lines)


@pytest.fixture
def browser(tmp_path: Path) -> str:
    """A browser whose user pushes the first button at the identity provider."""
    program = tmp_path / "browser"
    program.write_text(
        f"#!{sys.executable}\n"
        "import re, sys, requests\n"
        "with requests.Session() as browser:\n"
        "    page = browser.get(sys.argv[1])\n"
        "    user = re.search('<button name=user value=([0-9]+)', page.text)[1]\n"
        "    browser.post(page.url, data={'user': user})\n"
    )
    program.chmod(0o755)
    return f"{program} %s &"


def what_the_greeting_proposes(greeting: str, browser: str) -> str:
    """Run all the lines at once, as a person would paste them."""
    lines = greeting[greeting.index("  export REQUESTS_CA_BUNDLE=") : greeting.index("Ctrl-C")]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-ec", lines],
        env=environment(PATH=path, BROWSER=browser, DISPLAY=":0"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    ).stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_what_a_person_needs(number: signal.Signals, browser: str) -> None:
    with subprocess.Popen(
        PERSON, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
    ) as process:
        text = greeting_of(process)
        ca_bundle = text.split("REQUESTS_CA_BUNDLE=")[1].split()[0]
        token = text.split("Bearer ")[1].split("'")[0]
        url = text.split("data services")[1].split()[0] + "/echo"
        headers = {"Authorization": f"Bearer {token}"}
        try:
            assert requests.get(url, headers=headers, verify=ca_bundle).json()["user_id"]
            if number == signal.SIGINT:  # once is enough
                shown = what_the_greeting_proposes(text, browser)
                for proof in (
                    "Logged in to",  # cave-auth login
                    "You are in, as Sandbox User",  # cave-auth check
                    '"user_id"',  # curl
                    "['minisandbox', ",  # CAVEclient
                ):
                    assert proof in shown, shown
        finally:  # otherwise a failing test would wait for ever
            process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    assert not Path(ca_bundle).exists()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_names_and_ports_can_be_chosen() -> None:
    port = free_port()
    chosen = ["--port", f"auth_server={port}", "--name", f"auth_server=cave.test:{port}"]
    with subprocess.Popen(
        [*PERSON, *chosen], stdout=subprocess.PIPE, env=environment(), text=True
    ) as process:
        shown = greeting_of(process)
        process.terminate()
    assert f"auth and info service  https://cave.test:{port}\n" in shown


@pytest.mark.parametrize(
    ("chosen", "complaint"),
    [
        (
            ["--port", "auth_server"],
            "ports['auth_server'] must be a number from 1 to 65535, not ''",
        ),
        (
            ["--port", "auth_server=x"],
            "ports['auth_server'] must be a number from 1 to 65535, not 'x'",
        ),
        (["--port", "server=80"], "ports: no such server: server. The sandbox has: auth_server,"),
        (["--name", "data_server="], "names['data_server'] must be a host in lower case"),
    ],
)
def test_a_wrong_option_is_explained(chosen: list[str], complaint: str) -> None:
    process = subprocess.run(
        [*PERSON, *chosen], env=environment(), capture_output=True, text=True, timeout=30
    )
    assert process.returncode == 2
    assert f"error: {complaint}" in process.stderr
    assert "Traceback" not in process.stderr


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
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
        'The sandbox needs trustme: pip install "cave-auth-adapter[sandbox]"\n'
    )


def test_it_ignores_the_environment_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_repr_shows_no_token() -> None:
    with Sandbox() as sandbox:
        assert sandbox.token not in repr(sandbox)
        assert sandbox.auth_server in repr(sandbox)
    assert repr(Sandbox()) == "<Sandbox not running>"


def test_wrong_arguments_are_value_errors() -> None:
    with Sandbox() as sandbox:
        user = sandbox.create_user
        for wrong, arguments in {
            "No such dataset: unknown": lambda: user("A", permissions={"unknown": ["view"]}),
            "No such dataset: other": lambda: user("A", datasets_admin=["other"]),
            "No such terms of service: 7": lambda: user("A", accepted_tos=[7]),
            "No such user: 99. Known: 1, 2": lambda: user("A", parent=99),
            "create_token: No such user: 99": lambda: sandbox.create_token(99),
            "32 hex digits": lambda: sandbox.create_token(value="short"),
            "such a token already": lambda: sandbox.create_token(value=sandbox.token),
            "ttl .* not -1": lambda: sandbox.create_token(ttl=-1),
            "ttl .* not inf": lambda: sandbox.create_token(ttl=float("inf")),
            "ttl .* not '60'": lambda: sandbox.create_token(ttl="60"),  # type: ignore[arg-type]
        }.items():
            with pytest.raises(ValueError, match=wrong):
                arguments()
        assert sandbox.create_token()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"cache_seconds": -1}, "cache_seconds must be a whole number, 0 or more, not -1"),
        ({"cache_seconds": "300"}, "cache_seconds must be a whole number"),
        ({"cache_seconds": 0.5}, "cache_seconds must be a whole number"),
        ({"names": {"server": "a.test"}}, "names: no such server: server. The sandbox has: auth_"),
        (
            {"names": {"auth_server": "https://a.test"}},
            "must be a host in lower case, .*not 'https://a",
        ),
        ({"names": {"auth_server": "A.test"}}, "must be a host in lower case"),
        ({"names": {"auth_server": "a.test:70000"}}, "must be a host in lower case"),
        (
            {"names": {"auth_server": "a.test", "data_server": "a.test"}},
            "must differ between servers",
        ),
        ({"ports": {"auth_server": 0}}, "must be a number from 1 to 65535, not 0"),
        ({"ports": {"auth_server": "80"}}, "must be a number from 1 to 65535, not '80'"),
        ({"ports": {"auth_server": True}}, "must be a number from 1 to 65535, not True"),
        ({"ports": {"auth_server": 8443, "data_server": 8443}}, "must differ between servers"),
    ],
)
def test_wrong_options_are_value_errors(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Sandbox(**options)


def test_a_port_in_use_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        complaint = rf"other_data_server: .*{port}.*in use"
        with (
            pytest.raises(ValueError, match=complaint),
            Sandbox(ports={"other_data_server": port}),
        ):
            pass


def test_a_name_may_have_a_port() -> None:
    port = free_port()
    names = {"auth_server": f"cave.test:{port}"}
    with Sandbox(names=names, ports={"auth_server": port}) as sandbox:
        assert sandbox.auth_server == f"https://cave.test:{port}"
        assert sandbox.ports["auth_server"] == port
        context = ssl.create_default_context(cafile=sandbox.ca_bundle)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            context.wrap_socket(plain, server_hostname="cave.test").close()


def test_servers_can_have_the_names_of_real_ones() -> None:
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
