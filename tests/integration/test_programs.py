"""`cave-auth run`, `enable` and `disable`: programs that know nothing of us."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cave_auth_adapter import programs
from cave_auth_adapter.cli import main
from cave_auth_adapter.sandbox import Sandbox
from cave_auth_startup import command

from ..support.sandbox import Tokens

Completed = subprocess.CompletedProcess[str]
BIN = Path(sys.executable).parent
OUR_PATH = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}  # as in an activated environment
OURS = Path(programs.__file__).parent.parent
COMMAND = "import sys; from cave_auth_startup.command import main; main()"  # the console script
CAVE_AUTH = [sys.executable, "-c", COMMAND]


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Completed]:
    def start(command: list[str | Path], **options: Any) -> Completed:
        options = {"cwd": tmp_path, "capture_output": True, "text": True, **options}
        environ = {**os.environ, **options.pop("environ", {})}
        return subprocess.run([str(part) for part in command], env=environ, timeout=90, **options)

    return start


Start = Callable[..., Completed]


@pytest.fixture
def run(start: Start) -> Start:
    """`cave-auth run`"""
    return lambda *command, **options: start([*CAVE_AUTH, "run", *command], **options)


@pytest.fixture
def url(sandbox: Sandbox, tokens: Tokens) -> str:
    return f"{sandbox.data_server}/echo"


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Path]:
    def script(code: str, name: str = "script.py") -> Path:
        (tmp_path / name).write_text(textwrap.dedent(code))
        return tmp_path / name

    return script


Script = Callable[..., Path]

GET = """
    import sys, requests
    answer = requests.get(sys.argv[1], allow_redirects=False)
    signed = answer.status_code == 200
    print(answer.json()["cookies"]["middle_auth_token"] if signed else "refused")
"""


# cave-auth run


def test_a_script_is_refused_without_us(url: str, start: Start, script: Script) -> None:
    assert start([sys.executable, script(GET), url]).stdout == "refused\n"


def test_a_script_is_signed(url: str, tokens: Tokens, run: Start, script: Script) -> None:
    result = run(script(GET), url)

    assert (result.stdout, result.stderr) == (f"{tokens.data}\n", "")


def test_a_script_by_its_relative_path_is_signed(
    url: str, tokens: Tokens, run: Start, script: Script
) -> None:
    script(GET)
    assert run("script.py", url).stdout == f"{tokens.data}\n"


def test_a_module_is_signed(url: str, tokens: Tokens, run: Start, script: Script) -> None:
    script(GET, "some_module.py")
    assert run("-m", "some_module", url).stdout == f"{tokens.data}\n"


def test_code_is_signed(url: str, tokens: Tokens, run: Start) -> None:
    assert run("-c", textwrap.dedent(GET), url).stdout == f"{tokens.data}\n"


def test_a_child_process_is_signed(url: str, tokens: Tokens, run: Start, script: Script) -> None:
    script(GET)
    parent = script(
        """
        import subprocess, sys
        sys.exit(subprocess.call([sys.executable, "script.py", *sys.argv[1:]]))
        """,
        "parent.py",
    )
    assert run(parent, url).stdout == f"{tokens.data}\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_are_signed(
    url: str, tokens: Tokens, run: Start, script: Script, method: str
) -> None:
    """Nothing is called in the children: `run` reaches the spawned ones too."""
    pool = script(
        f"""
        import multiprocessing, sys
        def work(url):
            import requests
            return requests.get(url).json()["cookies"]["middle_auth_token"]
        if __name__ == "__main__":
            with multiprocessing.get_context("{method}").Pool(2) as pool:
                print(*set(pool.map(work, [sys.argv[1]] * 4)))
        """
    )
    result = run(pool, url)

    assert result.stdout == f"{tokens.data}\n", result.stderr


@pytest.fixture
def info(sandbox: Sandbox, tokens: Tokens) -> str:
    """A file behind CAVE's login, as cloud-files names it when it is not told of the login."""
    return f"{sandbox.data_server}/volume/sandbox/info"


def test_the_cloudfiles_command_is_signed(info: str, run: Start) -> None:
    result = run("cloudfiles", "cat", info)

    assert '"segmentation"' in result.stdout, result.stderr
    assert "cave-auth" not in result.stderr  # its own libraries may warn, of an old Python say


def test_the_cloudfiles_command_copies(info: str, run: Start, tmp_path: Path) -> None:
    result = run("cloudfiles", "cp", info, f"{tmp_path}/copy")

    assert result.returncode == 0, result.stderr
    assert '"segmentation"' in (tmp_path / "copy").read_text()


def test_without_a_command_the_command_line_is_wrong(run: Start) -> None:
    assert run().returncode == 2


@pytest.mark.parametrize("command", ["no-such-command", "./no-such-file", "no_such_script.py"])
def test_a_command_that_is_absent(run: Start, command: str) -> None:
    result = run(command)

    assert result.returncode == 127
    assert re.fullmatch(rf"cave-auth: .*{re.escape(command)}.*\n", result.stderr)


def test_a_command_that_is_not_executable(run: Start, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    result = run("./plain")

    assert result.returncode == 126
    assert result.stderr.count("\n") == 1


def test_a_command_whose_interpreter_is_absent(run: Start, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/nowhere/python\n")
    broken.chmod(0o755)
    result = run("./broken")

    assert result.returncode in (126, 127)
    assert result.stderr.startswith("cave-auth: ")
    assert result.stderr.count("\n") == 1


def test_a_directory_is_no_command(run: Start, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    result = run("./directory")

    assert result.returncode in (126, 127)
    assert "Traceback" not in result.stderr


def test_an_absent_module_fails_as_python_does(run: Start) -> None:
    result = run("-m", "no_such_module")

    assert result.returncode == 1
    assert "No module named no_such_module" in result.stderr


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_exit_codes_pass_through(run: Start, code: int) -> None:
    assert run("-c", f"raise SystemExit({code})").returncode == code


def test_arguments_pass_through(run: Start) -> None:
    arguments = ["--help", "-h", "--version", "-x", "--", "a b", "", "*", "é"]
    result = run("-c", "import sys; print(ascii(sys.argv[1:]))", *arguments)

    assert result.stdout == f"{arguments!a}\n"


def test_stdin_passes_through(run: Start) -> None:
    assert run("-c", "print(input())", input="from stdin\n").stdout == "from stdin\n"


def test_no_process_stands_between(run: Start) -> None:
    """So that signals, job control and the limits of a queue reach the program itself."""
    result = run("-c", "import os; print(os.getppid())")

    assert result.stdout == f"{os.getpid()}\n"


WAITING = """
    import signal, sys, time
    try:
        print("ready", flush=True)
        time.sleep(30)
    except KeyboardInterrupt:
        sys.exit(7)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -15), (signal.SIGINT, 7)])
def test_signals_pass_through(
    script: Script, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    command = [*CAVE_AUTH, "run", str(script(WAITING))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(number)
            assert process.wait(timeout=30) == code
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGPIPE, signal.SIGTERM])
def test_a_program_finds_signals_handled_as_without_us(
    run: Start, start: Start, number: signal.Signals
) -> None:
    code = f"import signal; print(signal.getsignal({int(number)}))"
    default = start([sys.executable, "-c", code]).stdout

    assert re.sub("0x.*", "", run("-c", code).stdout) == re.sub("0x.*", "", default)


def test_a_program_that_is_not_python_runs_with_a_word(run: Start) -> None:
    result = run("echo", "hello")

    assert result.stdout == "hello\n"
    assert result.stderr.count("\n") == 1
    assert "echo is not a Python program" in result.stderr


def test_python_below_a_shell_script_is_signed(
    url: str, tokens: Tokens, run: Start, script: Script, tmp_path: Path
) -> None:
    script(GET)
    shell = script(f'#!/bin/sh\nexec {sys.executable} script.py "$@"\n', "run.sh")
    shell.chmod(0o755)

    assert run("./run.sh", url).stdout == f"{tokens.data}\n"


# What else an interpreter reads when it starts


@pytest.fixture
def site_directory(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "their_module.py").write_text("name = 'theirs'\n")
    return tmp_path / "site"


def test_an_existing_pythonpath_still_works(
    url: str, tokens: Tokens, run: Start, site_directory: Path, script: Script
) -> None:
    code = textwrap.dedent(GET) + "import their_module; print(their_module.name)"
    result = run("-c", code, url, environ={"PYTHONPATH": str(site_directory)})

    assert result.stdout == f"{tokens.data}\ntheirs\n"


def test_an_existing_sitecustomize_still_runs(
    url: str, tokens: Tokens, run: Start, site_directory: Path
) -> None:
    (site_directory / "sitecustomize.py").write_text("import sys; sys.theirs = __name__\n")
    code = textwrap.dedent(GET) + "print(sys.theirs, sys.modules['sitecustomize'].__file__)"
    result = run("-c", code, url, environ={"PYTHONPATH": str(site_directory)})

    assert result.stdout == f"{tokens.data}\nsitecustomize {site_directory}/sitecustomize.py\n"


@pytest.mark.parametrize("fault", ["import no_such_module", "1/0", "raise SystemExit(5)", "("])
def test_a_sitecustomize_that_fails_does_as_without_us(
    run: Start, start: Start, site_directory: Path, fault: str
) -> None:
    (site_directory / "sitecustomize.py").write_text(fault + "\n")
    environ = {"PYTHONPATH": str(site_directory)}
    without = start([sys.executable, "-c", "print('on')"], environ=environ)

    result = run("-c", "print('on')", environ=environ)

    # cave-auth itself starts in the same environment, and fails as any Python program does
    assert result.returncode == without.returncode
    assert result.stdout == without.stdout
    assert (without.stderr == "") == (result.stderr == "")


def test_sys_path_is_as_without_us(run: Start, start: Start) -> None:
    code = "import sys; print(*sys.path, sep='|')"

    assert run("-c", code).stdout == start([sys.executable, "-c", code]).stdout


def test_a_usercustomize_still_runs(run: Start, site_directory: Path) -> None:
    (site_directory / "usercustomize.py").write_text("print('user')\n")
    environ = {"PYTHONPATH": str(site_directory)}
    code = "import sys; sys.path.insert(0, sys.argv[1]); import usercustomize"

    assert "user" in run("-c", code, str(site_directory), environ=environ).stdout


def test_a_startup_file_does_no_harm(url: str, tokens: Tokens, run: Start, script: Script) -> None:
    startup = script("print('started')", "startup.py")
    result = run(script(GET), url, environ={"PYTHONSTARTUP": str(startup)})

    assert result.stdout == f"{tokens.data}\n"


@pytest.mark.parametrize("option", ["-I", "-S", "-E", "-s", "-B", "-O", "-u", "-Wdefault"])
def test_options_of_the_interpreter_do_no_harm(run: Start, option: str) -> None:
    result = run("python", option, "-c", "import json; print('on')", environ=OUR_PATH)

    assert (result.returncode, result.stdout, result.stderr) == (0, "on\n", "")


@pytest.mark.parametrize("option", ["-B", "-u", "-Wdefault", "-s", "-Xdev"])
def test_with_options_of_the_interpreter_it_is_signed(
    url: str, tokens: Tokens, run: Start, script: Script, option: str
) -> None:
    result = run("python", option, script(GET), url, environ=OUR_PATH)

    assert result.stdout == f"{tokens.data}\n", result.stderr


def test_a_program_of_another_environment_is_signed(
    url: str, tokens: Tokens, start: Start, script: Script, other: Other
) -> None:
    """The plugin is taken from where `cave-auth` is installed, and nothing else is."""
    result = start([*CAVE_AUTH, "run", other.python, script(GET), url])
    assert (result.stdout, result.stderr) == (f"{tokens.data}\n", "")

    code = "import requests, sys; print(sys.modules['cave_auth_adapter'].__file__); import click"
    result = start([*CAVE_AUTH, "run", other.python, "-c", code])
    assert result.stdout == f"{OURS}/cave_auth_adapter/__init__.py\n"
    assert result.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'click'"


def test_another_environment_in_which_the_plugin_fails_gets_one_line(
    start: Start, bare_environment: Path, tmp_path: Path
) -> None:
    (tmp_path / "requests.py").write_text("name = 'too old'\n")
    result = start(
        [*CAVE_AUTH, "run", bare_environment, "-c", "import requests as r; print(r.name)"]
    )

    assert (result.returncode, result.stdout) == (0, "too old\n")
    assert re.fullmatch(r"cave-auth: not active in .*\n", result.stderr)


# Which Python runs a script


class Other:
    """Another environment than ours, with requests: as the active one, when pipx installed us."""

    def __init__(self, python: Path) -> None:
        self.python, self.prefix = python, python.parent.parent
        self.message = f"cave-auth: using {python}, the active Python; cave-auth itself is in "


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Other:
    python = make_environment(tmp_path_factory.mktemp("other") / "venv")
    [purelib] = python.parent.parent.glob("lib/python*/site-packages")
    for name in ("requests", "urllib3", "idna", "certifi", "charset_normalizer", "filelock"):
        package = Path(str(importlib.util.find_spec(name).origin)).parent
        (purelib / name).symlink_to(package)
    return Other(python)


PREFIX = "import sys; print(sys.prefix)"
NONE_ACTIVE = {"VIRTUAL_ENV": "", "CONDA_PREFIX": "", "PATH": os.defpath}


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX"])
@pytest.mark.parametrize("way", ["-c", "-m", "script"])
def test_the_python_of_the_active_environment_is_taken_and_named(
    run: Start, other: Other, script: Script, variable: str, way: str
) -> None:
    path = script(PREFIX)
    commands: dict[str, list[Any]] = {
        "-c": ["-c", PREFIX],
        "-m": ["-m", path.stem],
        "script": [path],
    }
    result = run(*commands[way], environ={**NONE_ACTIVE, variable: str(other.prefix)})

    assert result.stdout == f"{other.prefix}\n"
    assert result.stderr == f"{other.message}{sys.prefix}.\n"


def test_an_environment_that_is_active_by_its_path_alone_is_taken(run: Start, other: Other) -> None:
    path = f"{other.python.parent}{os.pathsep}{os.defpath}"
    result = run("-c", PREFIX, environ={**NONE_ACTIVE, "PATH": path})

    assert result.stdout == f"{other.prefix}\n"
    assert result.stderr.startswith(other.message)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"VIRTUAL_ENV": sys.prefix},
        {"VIRTUAL_ENV": "/nowhere"},
        {"CONDA_PREFIX": "OTHER", "CONDA_DEFAULT_ENV": "base"},
        {"VIRTUAL_ENV": sys.prefix, "CONDA_PREFIX": "OTHER"},
    ],
)
def test_our_own_python_is_taken_where_no_other_environment_was_chosen(
    run: Start, other: Other, environ: dict[str, str]
) -> None:
    environ = {name: value.replace("OTHER", str(other.prefix)) for name, value in environ.items()}
    result = run("-c", PREFIX, environ={**NONE_ACTIVE, **environ})

    assert (result.stdout, result.stderr) == (f"{sys.prefix}\n", "")


@pytest.mark.parametrize("mark", ["pipx_metadata.json", "uv-receipt.toml"])
def test_where_pipx_or_uv_installed_us_the_python_of_the_path_is_taken(
    start: Start, other: Other, tmp_path: Path, mark: str
) -> None:
    tool = Environment(tmp_path / "tool").renew(start)
    (tmp_path / "tool" / mark).write_text("")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(f'#!/bin/sh\nexec {other.python} "$@"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    environ = {**NONE_ACTIVE, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.defpath}"}

    result = tool("-c", COMMAND, "run", "-c", PREFIX, environ=environ)
    assert result.stdout == f"{other.prefix}\n"
    assert result.stderr.startswith(f"cave-auth: using {tmp_path / 'bin' / 'python'}, ")

    result = tool("-c", COMMAND, "enable")
    assert result.returncode == 1
    assert "pip install cave-auth-adapter" in result.stderr
    assert not tool.hook.exists()


# How much it costs


def test_run_imports_next_to_nothing(start: Start) -> None:
    """Time is measured by `make bench`; an import is what would cost it."""
    seen = [
        {line.rpartition("|")[2].strip() for line in start(command).stderr.splitlines()}
        for command in (
            [sys.executable, "-X", "importtime", "-c", "pass"],
            [sys.executable, "-X", "importtime", "-c", COMMAND, "run", "-c", "pass"],
        )
    ]
    added = seen[1] - seen[0]

    assert {"cave_auth_startup", "cave_auth_startup.command"} <= added
    assert added <= {"cave_auth_startup", "cave_auth_startup.command", "__future__"}


def test_on_windows_it_waits_and_gives_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no exec there; this is what stands in for it."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        code = command._wait_for([sys.executable, "-c", "raise SystemExit(7)"], dict(os.environ))
        assert (code, signal.getsignal(signal.SIGINT)) == (7, signal.SIG_IGN)
    finally:
        signal.signal(signal.SIGINT, handler)


# CAVE_AUTH_DISABLE

SIGNED = "import requests; print(hasattr(requests.Session.get_adapter, '__wrapped__'))"


@pytest.mark.parametrize(
    ("value", "signed"), [("1", False), ("yes", False), ("0", True), ("", True)]
)
def test_a_variable_switches_run_off(run: Start, value: str, signed: bool) -> None:
    result = run("-c", SIGNED, environ={"CAVE_AUTH_DISABLE": value})

    assert (result.stdout, result.stderr) == (f"{signed}\n", "")


def test_a_variable_switches_off_what_a_program_that_is_run_starts(run: Start) -> None:
    code = f"""
        import os, subprocess, sys
        environ = {{**os.environ, "CAVE_AUTH_DISABLE": "1"}}
        sys.exit(subprocess.call([sys.executable, "-c", {SIGNED!r}], env=environ))
    """
    assert run("-c", textwrap.dedent(code)).stdout == "False\n"


def test_a_variable_switches_enable_off(enabled: Environment) -> None:
    off = {"CAVE_AUTH_DISABLE": "1"}

    assert enabled("-c", SIGNED).stdout == "True\n"
    assert enabled("-c", SIGNED, environ=off).stdout == "False\n"
    status = enabled("-m", "cave_auth_adapter", "enable", "--status", environ=off).stdout
    assert status.startswith("enabled in ")
    assert "CAVE_AUTH_DISABLE" in status


# cave-auth enable


def make_environment(directory: Path) -> Path:
    """A virtual environment with nothing in it; return its interpreter."""
    command = [sys.executable, "-m", "venv", "--without-pip", str(directory)]
    subprocess.run(command, check=True, timeout=90)
    return directory / "bin" / "python"


@pytest.fixture(scope="module")
def bare_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_environment(tmp_path_factory.mktemp("bare") / "venv")


class Environment:
    """An environment with the packages of this one, and the command `cloudfiles`."""

    start: Start

    def __init__(self, directory: Path) -> None:
        self.python = make_environment(directory)
        [self.purelib] = directory.glob("lib/python*/site-packages")
        self.hook = self.purelib / "zz-cave-auth-adapter.pth"
        self.packages = self.purelib / "_packages.pth"  # site reads these files by their names
        self.cloudfiles = directory / "bin" / "cloudfiles"
        text = (BIN / "cloudfiles").read_text()
        self.cloudfiles.write_text(f"#!{self.python}\n" + text.partition("\n")[2])
        self.cloudfiles.chmod(0o755)

    def renew(self, start: Start) -> Environment:
        self.start = start
        for file in self.purelib.glob("[_z]*.*"):
            file.unlink()
        libraries = (path for path in sys.path if path.endswith("site-packages"))
        self.packages.write_text("".join(f"{path}\n" for path in (*libraries, OURS)))
        return self

    def __call__(self, *command: str | Path, **options: Any) -> Completed:
        return self.start([self.python, *command], **options)

    def cave_auth(self, *command: str) -> Completed:
        return self("-m", "cave_auth_adapter", *command)


@pytest.fixture(scope="module")
def shared_environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture
def environment(shared_environment: Environment, start: Start) -> Environment:
    return shared_environment.renew(start)


@pytest.fixture
def enabled(environment: Environment) -> Environment:
    assert environment.cave_auth("enable").returncode == 0
    return environment


def test_enabling_and_disabling_tell_what_they_did(environment: Environment) -> None:
    outputs = [
        environment.cave_auth(*command.split())
        for command in (
            "enable --status",
            "disable",
            "enable",
            "enable",
            "enable --status",
            "disable",
            "enable --status",
        )
    ]
    assert [output.returncode for output in outputs] == [0] * 7
    assert [output.stderr for output in outputs] == [""] * 7
    assert [output.stdout.splitlines()[0] for output in outputs] == [
        f"not enabled in {environment.purelib}",
        "It was not enabled; nothing to do.",
        f"Enabled: {environment.hook}",
        f"Enabled: {environment.hook}",
        f"enabled in {environment.purelib}",
        "Disabled.",
        f"not enabled in {environment.purelib}",
    ]
    assert [path.name for path in environment.purelib.rglob("*cave*")] == []


TOOLS = {
    "requests": 'requests.get(echo).json()["cookies"]["middle_auth_token"] and "signed"',
    "CloudVolume": 'set(CloudVolume(graphene, use_https=True).get_roots(supervoxels)) and "signed"',
    "CAVEclient": 'CAVEclient(datastack, server_address=auth).info.get_datastacks() and "signed"',
}
IMPORTS = {
    "requests": "import requests",
    "CloudVolume": "from cloudvolume import CloudVolume",
    "CAVEclient": "from caveclient import CAVEclient",
}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_plain_script_is_signed_while_enabled_and_refused_after(
    environment: Environment, sandbox: Sandbox, tool: str
) -> None:
    trusted = {
        "CAVE_TOKEN": sandbox.token,
        "CAVE_AUTH_HOSTS": f"{sandbox.auth_server},{sandbox.data_server}",
    }
    code = "\n".join(
        [
            IMPORTS[tool],
            f"echo, graphene = {sandbox.data_server + '/echo'!r}, {sandbox.graphene_path!r}",
            f"auth, datastack = {sandbox.auth_server!r}, {sandbox.datastack!r}",
            f"supervoxels = {list(sandbox.supervoxels)!r}",
            f"print({TOOLS[tool]})",
        ]
    )
    assert environment.cave_auth("enable").returncode == 0
    result = environment("-c", code, environ=trusted)
    assert result.stdout.splitlines()[-1:] == ["signed"], result.stderr

    assert environment.cave_auth("disable").returncode == 0
    assert "signed" not in environment("-c", code, environ=trusted).stdout


def test_the_unmodified_cloudfiles_command_is_signed_while_enabled_and_refused_after(
    environment: Environment, info: str, start: Start
) -> None:
    assert environment.cave_auth("enable").returncode == 0
    result = start([environment.cloudfiles, "cat", info])
    assert '"segmentation"' in result.stdout, result.stderr

    assert environment.cave_auth("disable").returncode == 0
    assert '"segmentation"' not in start([environment.cloudfiles, "cat", info]).stdout


def test_an_enabled_environment_that_is_run_too_is_signed_once(
    enabled: Environment, url: str, tokens: Tokens, script: Script
) -> None:
    result = enabled("-m", "cave_auth_adapter", "run", script(GET), url)

    assert (result.stdout, result.stderr) == (f"{tokens.data}\n", "")


def modules_at_start(python: Callable[..., Completed]) -> set[str]:
    lines = python("-X", "importtime", "-c", "pass").stderr.splitlines()
    return {line.rpartition("|")[2].strip() for line in lines}


def test_an_enabled_interpreter_imports_next_to_nothing(environment: Environment) -> None:
    before = modules_at_start(environment)
    assert environment.cave_auth("enable").returncode == 0
    added = modules_at_start(environment) - before

    assert "cave_auth_startup.imports" in added
    assert [*environment.purelib.glob("__pycache__/_cave_auth_enabled.*.pyc")]
    ours = {"_cave_auth_enabled", "cave_auth_startup", "cave_auth_startup.imports"}
    assert added <= {*ours, "__future__"}


def test_a_program_without_requests_finds_nothing_of_ours(enabled: Environment) -> None:
    code = "import sys; print({n.partition('.')[0] for n in sys.modules if 'cave_auth' in n})"

    names = enabled("-c", f"{code}; import cave_auth_startup").stdout
    assert "cave_auth_startup" in names
    assert "cave_auth_adapter" not in names


def test_an_import_of_requests_leaves_the_finders_as_they_were(enabled: Environment) -> None:
    code = """
        import importlib.resources, inspect, requests, sys
        loader = requests.__spec__.loader
        print(type(loader).__name__, requests.__loader__ is loader)
        print("exec_module" in vars(requests.__loader__))
        print(inspect.getsource(requests)[:1] != "", importlib.resources.files("requests").is_dir())
    """
    result = enabled("-c", textwrap.dedent(code))

    assert result.stdout.split() == ["SourceFileLoader", "True", "False", "True", "True"]


@pytest.mark.parametrize(
    "code",
    [
        "import importlib; importlib.import_module('requests')",
        "from requests.adapters import HTTPAdapter",
        "import requests.sessions",
        "__import__('requests')",
        "import threading, importlib as i;"
        " t = [threading.Thread(target=i.import_module, args=['requests']) for _ in range(8)];"
        " [x.start() for x in t]; [x.join() for x in t]",
        "import runpy; runpy.run_module('requests.help', run_name='x')",
    ],
)
def test_however_requests_is_imported_it_is_installed(enabled: Environment, code: str) -> None:
    ends = "; import requests; print(requests.Session.get_adapter.__module__, hasattr("
    ends += "requests.Session.get_adapter, '__wrapped__'))"
    result = enabled("-c", code + ends)

    assert (result.stdout, result.stderr) == ("requests.sessions True\n", "")


def test_requests_that_is_missing_is_missed_as_without_us(
    enabled: Environment, tmp_path: Path
) -> None:
    # Where we are installed, requests is beside us.
    for package in ("cave_auth_adapter", "cave_auth_startup"):
        (tmp_path / package).symlink_to(OURS / package)
    enabled.packages.write_text(f"{tmp_path}\n")
    result = enabled("-c", "import requests")

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'requests'"


@pytest.mark.parametrize("query", ["find_spec('requests')", "find_spec('requests.adapters')"])
def test_asking_whether_requests_is_there_imports_nothing_of_ours(
    enabled: Environment, query: str
) -> None:
    code = f"import importlib.util, sys; importlib.util.{query}; import requests;"
    code += "print(hasattr(requests.Session.get_adapter, '__wrapped__'))"

    assert enabled("-c", code).stdout == "True\n"


def start_as_pep_829_has_it(hook: Path) -> str:
    """Code that does with our `.start` file what site does from Python 3.15 on."""
    start = hook.with_suffix(".start")
    return f"""if True:
        import pkgutil, re
        for line in open({str(start)!r}, encoding="utf-8-sig").read().splitlines():
            assert re.fullmatch(r"[A-Za-z_][\\w.]*:[A-Za-z_]\\w*", line), line
            pkgutil.resolve_name(line)()
    """


def test_a_python_that_ignores_pth_files_is_signed_by_the_start_file(enabled: Environment) -> None:
    """Python 3.18 and later (PEP 829)."""
    code = start_as_pep_829_has_it(enabled.hook)
    enabled.hook.unlink()

    assert enabled("-c", SIGNED).stdout == "False\n"
    result = enabled("-c", textwrap.dedent(code) + SIGNED)
    assert (result.stdout, result.stderr) == ("True\n", "")
    assert enabled.cave_auth("disable").stdout == "Disabled.\n"


def test_after_an_uninstall_nothing_complains(enabled: Environment) -> None:
    code = textwrap.dedent(start_as_pep_829_has_it(enabled.hook))
    enabled.packages.unlink()

    result = enabled("-c", code + "print('on')")

    assert (result.returncode, result.stdout, result.stderr) == (0, "on\n", "")


def test_a_hook_whose_package_is_broken_says_so_in_one_line(
    enabled: Environment, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    (broken / "cave_auth_adapter").mkdir(parents=True)
    (broken / "cave_auth_adapter" / "__init__.py").write_text("1/0\n")
    code = "import requests; print(requests.__name__)"
    result = enabled("-c", code, environ={"PYTHONPATH": str(broken)})

    assert (result.returncode, result.stdout) == (0, "requests\n")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("cave-auth: not active")


def test_a_package_that_a_later_file_puts_on_the_path_is_found(enabled: Environment) -> None:
    """site reads .pth files by their names: `easy-install.pth`, say, after ours."""
    enabled.packages.rename(enabled.purelib / "easy-install.pth")
    code = "import requests; print(hasattr(requests.Session.get_adapter, '__wrapped__'))"
    result = enabled("-c", code)

    assert (result.stdout, result.stderr) == ("True\n", "")


FIRST_IMPORTS = [
    "import cave_auth_adapter",
    "from cave_auth_adapter import CaveAuth",
    "import cave_auth_adapter.store",
    "import cave_auth_adapter.sandbox",
    "import cave_auth_adapter.programs",
    "import requests, cave_auth_adapter",
]
WORKS = "; import requests; print(hasattr(requests.Session.get_adapter, '__wrapped__'))"


@pytest.mark.parametrize("first", FIRST_IMPORTS)
def test_an_import_of_ours_in_an_enabled_environment_works(
    enabled: Environment, first: str
) -> None:
    result = enabled("-c", first + WORKS)

    assert (result.stdout, result.stderr) == ("True\n", "")


@pytest.mark.parametrize("first", FIRST_IMPORTS)
def test_an_import_of_ours_in_a_program_that_is_run_works(run: Start, first: str) -> None:
    result = run("-c", first + WORKS)

    assert (result.stdout, result.stderr) == ("True\n", "")


@pytest.mark.parametrize("option", ["-S", "-I", "-E", "-s"])
def test_an_enabled_interpreter_takes_its_options(enabled: Environment, option: str) -> None:
    result = enabled(option, "-c", "print('on')")

    assert (result.returncode, result.stdout, result.stderr) == (0, "on\n", "")


@pytest.mark.parametrize(
    "name", ["it's", '"quoted"', "100%s", "é", "{braces}", r"back\Users", "two words"]
)
def test_the_hook_survives_odd_characters_in_its_path(
    tmp_path: Path, start: Start, name: str
) -> None:
    odd = Environment(tmp_path / name).renew(start)
    assert odd.cave_auth("enable").returncode == 0
    result = odd("-c", SIGNED)

    assert (result.stdout, result.stderr) == ("True\n", "")


# An environment that can't be written


@pytest.fixture
def unwritable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "file").write_text("")
    purelib = tmp_path / "file" / "site-packages"
    monkeypatch.setattr(sysconfig, "get_path", lambda *_: str(purelib))
    return purelib


@pytest.mark.parametrize("command", ["enable", "disable"])
def test_an_environment_that_cant_be_written_is_an_error_with_a_remedy(
    unwritable: Path, command: str
) -> None:
    result = CliRunner().invoke(main, [command])

    assert result.exit_code == 1
    assert f"{unwritable} can't be written" in result.output
    assert "cave-auth run" in result.output
    assert "Traceback" not in result.output


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("command", ["enable", "disable"])
def test_somebody_elses_environment_is_an_error_with_a_remedy(
    environment: Environment, command: str
) -> None:
    if command == "disable":
        assert environment.cave_auth("enable").returncode == 0
    code = f"""
        import os, sys
        from cave_auth_adapter import cli, programs
        import click.exceptions, click.shell_completion, encodings.idna
        os.chmod(programs.hook_file().parent, 0o755)
        os.setuid(65534)
        cli.main(["{command}"])
    """
    result = environment("-c", textwrap.dedent(code))

    assert result.returncode == 1, result.stderr
    assert f"{environment.purelib} can't be written: permission denied" in result.stderr
    assert "Traceback" not in result.stderr


def test_status_of_an_environment_that_cant_be_written_is_told(unwritable: Path) -> None:
    result = CliRunner().invoke(main, ["enable", "--status"])

    assert result.exit_code == 0
    assert result.output.startswith("not enabled in")
