"""The hook of an enabled environment: what it imports, and when it does nothing."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from .environments import OURS, SIGNED, Completed, Environment, Start


def modules_at_start(python: Callable[..., Completed]) -> set[str]:
    lines = python("-X", "importtime", "-c", "pass").stderr.splitlines()
    return {line.rpartition("|")[2].strip() for line in lines}


def test_an_enabled_interpreter_imports_almost_nothing(environment: Environment) -> None:
    before = modules_at_start(environment)
    assert environment.cave_auth("enable").returncode == 0
    added = modules_at_start(environment) - before

    assert "cave_auth_startup.imports" in added
    assert [*environment.purelib.glob("__pycache__/_cave_auth_enabled.*.pyc")]
    ours = {"_cave_auth_enabled", "cave_auth_startup", "cave_auth_startup.imports"}
    assert added <= {*ours, "__future__"}


def test_a_program_without_requests_does_not_load_us(enabled: Environment) -> None:
    code = "import sys; print({n.partition('.')[0] for n in sys.modules if 'cave_auth' in n})"

    names = enabled("-c", f"{code}; import cave_auth_startup").stdout
    assert "cave_auth_startup" in names
    assert "cave_auth_adapter" not in names


def test_importing_requests_restores_the_finders(enabled: Environment) -> None:
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
def test_every_kind_of_import_of_requests_installs(enabled: Environment, code: str) -> None:
    ends = "; import requests; print(requests.Session.get_adapter.__module__, hasattr("
    ends += "requests.Session.get_adapter, '__wrapped__'))"
    result = enabled("-c", code + ends)

    assert (result.stdout, result.stderr) == ("requests.sessions True\n", "")


def test_a_missing_requests_raises_as_without_us(enabled: Environment, tmp_path: Path) -> None:
    # Where we are installed, requests is beside us.
    for package in ("cave_auth_adapter", "cave_auth_startup"):
        (tmp_path / package).symlink_to(OURS / package)
    enabled.packages.write_text(f"{tmp_path}\n")
    result = enabled("-c", "import requests")

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'requests'"


@pytest.mark.parametrize("query", ["find_spec('requests')", "find_spec('requests.adapters')"])
def test_find_spec_of_requests_does_not_load_us(enabled: Environment, query: str) -> None:
    code = f"import importlib.util, sys; importlib.util.{query}; import requests;"
    code += "print(hasattr(requests.Session.get_adapter, '__wrapped__'))"

    assert enabled("-c", code).stdout == "True\n"


def start_as_pep_829_has_it(hook: Path) -> str:
    """Code that reads our `.start` file as `site` does from Python 3.15 on."""
    start = hook.with_suffix(".start")
    return f"""if True:
        import pkgutil, re
        for line in open({str(start)!r}, encoding="utf-8-sig").read().splitlines():
            assert re.fullmatch(r"[A-Za-z_][\\w.]*:[A-Za-z_]\\w*", line), line
            pkgutil.resolve_name(line)()
    """


def test_without_pth_files_the_start_file_installs(enabled: Environment) -> None:
    """Python 3.18 and later (PEP 829)."""
    code = start_as_pep_829_has_it(enabled.hook)
    enabled.hook.unlink()

    assert enabled("-c", SIGNED).stdout == "False\n"
    result = enabled("-c", textwrap.dedent(code) + SIGNED)
    assert (result.stdout, result.stderr) == ("True\n", "")
    assert enabled.cave_auth("disable").stdout == "Disabled.\n"


def test_after_pip_uninstall_nothing_fails(enabled: Environment) -> None:
    code = textwrap.dedent(start_as_pep_829_has_it(enabled.hook))
    enabled.packages.unlink()

    result = enabled("-c", code + "print('on')")

    assert (result.returncode, result.stdout, result.stderr) == (0, "on\n", "")


def test_a_hook_with_a_broken_package_gives_one_line(enabled: Environment, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "cave_auth_adapter").mkdir(parents=True)
    (broken / "cave_auth_adapter" / "__init__.py").write_text("1/0\n")
    code = "import requests; print(requests.__name__)"
    result = enabled("-c", code, environ={"PYTHONPATH": str(broken)})

    assert (result.returncode, result.stdout) == (0, "requests\n")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("cave-auth: not active")


def test_a_package_on_a_path_from_a_later_pth_file_is_found(enabled: Environment) -> None:
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
def test_importing_us_works_in_an_enabled_environment(enabled: Environment, first: str) -> None:
    result = enabled("-c", first + WORKS)

    assert (result.stdout, result.stderr) == ("True\n", "")


@pytest.mark.parametrize("first", FIRST_IMPORTS)
def test_importing_us_works_under_run(run: Start, first: str) -> None:
    result = run("-c", first + WORKS)

    assert (result.stdout, result.stderr) == ("True\n", "")


@pytest.mark.parametrize("option", ["-S", "-I", "-E", "-s"])
def test_an_enabled_interpreter_accepts_its_options(enabled: Environment, option: str) -> None:
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
