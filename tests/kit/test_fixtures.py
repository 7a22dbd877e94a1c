"""The pytest fixtures of the package: what a test starts with, and what is left afterwards."""

from __future__ import annotations

import importlib.metadata
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from caveclient.auth import AuthClient
from cloudfiles import secrets as cloudfiles_secrets
from cloudvolume import secrets as cloudvolume_secrets

from cave_auth_adapter import CaveAuth, TokenStore, testing

from .conftest import USES_THE_KIT, OutcomeOf

SERVER = "global.daf-apis.com"
REAL = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"

FINDERS: dict[str, Callable[[], object]] = {
    "CaveAuth": lambda: CaveAuth().token_for(f"https://{SERVER}/"),
    "CAVEclient": lambda: AuthClient(server_address=f"https://{SERVER}").token,
    "cloud-volume": lambda: cloudvolume_secrets.cave_credentials(SERVER).get("token"),
    "cloud-files": lambda: (cloudfiles_secrets.cave_credentials(SERVER) or {}).get("token"),
}


@pytest.fixture
def real_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A person's home directory with a token, which all libraries find."""
    secrets = tmp_path / ".cloudvolume" / "secrets"
    monkeypatch.setattr(cloudvolume_secrets, "CLOUD_VOLUME_DIR", str(secrets.parent))
    monkeypatch.setattr(cloudfiles_secrets, "CLOUD_VOLUME_SECRETS_DIR", str(secrets))
    TokenStore().save(REAL, SERVER)
    yield
    for cache in (
        cloudvolume_secrets.CAVE_CREDENTIALS_CACHE,
        cloudfiles_secrets.CAVE_CREDENTIALS,
    ):
        cache.clear()


@pytest.mark.parametrize("finder", FINDERS)
def test_a_token_of_this_computer_is_not_found(
    finder: str, real_home: None, request: pytest.FixtureRequest
) -> None:
    find = FINDERS[finder]
    assert find() == REAL
    request.getfixturevalue("cave_secrets_dir")
    assert not find()


@pytest.mark.parametrize("finder", FINDERS)
def test_a_token_in_the_directory_is_found(
    finder: str, real_home: None, cave_secrets_dir: Path
) -> None:
    TokenStore(cave_secrets_dir).save(OTHER, SERVER)
    assert FINDERS[finder]() == OTHER


@pytest.mark.parametrize("name", ["CAVE_TOKEN", "CAVE_TOKEN_FILE"])
def test_a_token_in_a_variable_is_not_found(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "token.json").write_text(f'{{"token": "{REAL}"}}')
    monkeypatch.setenv(name, REAL if name == "CAVE_TOKEN" else str(tmp_path / "token.json"))
    assert FINDERS["CaveAuth"]() == REAL
    request.getfixturevalue("cave_secrets_dir")
    assert not FINDERS["CaveAuth"]()


def test_a_directory_named_on_this_computer_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("CLOUD_VOLUME_DIR", str(tmp_path / "elsewhere"))
    TokenStore().save(REAL)
    assert FINDERS["CaveAuth"]() == REAL
    request.getfixturevalue("cave_secrets_dir")
    assert not FINDERS["CaveAuth"]()


def test_a_host_named_on_this_computer_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("CAVE_AUTH_HOSTS", "cave.my-lab.org")
    assert CaveAuth().trusts("https://cave.my-lab.org/")
    request.getfixturevalue("cave_secrets_dir")
    assert not CaveAuth().trusts("https://cave.my-lab.org/")


def test_the_directory_does_not_exist_and_the_tests_own_is_empty(
    outcome_of: OutcomeOf,
) -> None:
    outcome = outcome_of("""
        from pathlib import Path

        def test_the_home_is_empty(cave_secrets_dir, tmp_path):
            assert not cave_secrets_dir.exists()
            assert list(Path.home().iterdir()) == []
            assert list(tmp_path.iterdir()) == []
    """)
    assert outcome.counts == {"passed": 1}, outcome.out


def test_everything_is_as_before_afterwards(
    outcome_of: OutcomeOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CAVE_TOKEN", "NETRC", "https_proxy", "HTTP_PROXY", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, "before")
    outcome = outcome_of("""
        import os
        before = dict(os.environ)
        tokens = []

        def environment():
            return {name: value for name, value in os.environ.items() if "PYTEST" not in name}

        def test_the_sandbox_is_reached(cave_sandbox, cave_token, monkeypatch):
            changed = before.keys() - os.environ.keys()
            assert changed == {"CAVE_TOKEN", "NETRC", "https_proxy", "HTTP_PROXY"}
            assert os.environ["REQUESTS_CA_BUNDLE"] == cave_sandbox.ca_bundle
            monkeypatch.setenv("CAVE_TOKEN", cave_token)
            monkeypatch.undo()
            assert os.environ["HOME"] != before["HOME"]  # undo() does not bring it back
            tokens.append(cave_token)

        def test_the_environment_is_as_before():
            assert environment() == {k: v for k, v in before.items() if "PYTEST" not in k}

        def test_the_token_has_ended(cave_sandbox):
            import requests
            url = cave_sandbox.data_server + "/echo"
            header = {"Authorization": f"Bearer {tokens[0]}"}
            assert requests.get(url, headers=header).status_code == 401
    """)
    assert outcome.counts == {"passed": 3}, outcome.out


def test_each_test_has_a_fresh_start_at_the_same_sandbox(outcome_of: OutcomeOf) -> None:
    outcome = outcome_of("""
        import pytest, requests
        seen = set()

        @pytest.mark.parametrize("number", range(3))
        def test_it(number, cave_sandbox, cave_token, foreign_server):
            assert cave_sandbox.requests() == []
            header = {"Authorization": f"Bearer {cave_token}"}
            assert requests.get(cave_sandbox.data_server + "/echo", headers=header).ok
            seen.add((cave_sandbox.data_server, cave_token))
            assert len(seen) == number + 1 and len({server for server, _ in seen}) == 1
    """)
    assert outcome.counts == {"passed": 3}, outcome.out


def test_the_examples_of_the_fixtures_run(outcome_of: OutcomeOf) -> None:
    fixtures = [
        value
        for name, value in vars(testing).items()
        if name.startswith(("cave_", "foreign_")) and name in testing.__all__
    ]
    source = "import pytest, requests\n"
    for fixture in fixtures:
        _, _, example = inspect.getdoc(fixture).partition("::\n\n")
        assert "def " in example, fixture
        source += textwrap.dedent(example) + "\n"
    source += "def test_volume(big_volume):\n    assert big_volume.startswith('precomputed://')\n"
    outcome = outcome_of(source)
    assert outcome.counts == {"passed": len(fixtures)}, outcome.out


def without(*modules: str) -> str:
    """A conftest.py for an environment without these modules."""
    lost = "".join(f"sys.modules[{module!r}] = None\n" for module in modules)
    return f'import sys\n{lost}pytest_plugins = ["cave_auth_adapter.testing"]\n'


def test_a_missing_extra_is_named(outcome_of: OutcomeOf) -> None:
    outcome = outcome_of(
        """
        def test_sandbox(cave_sandbox): pass
        def test_responses(cave_responses): pass
        def test_directory(cave_secrets_dir): pass
        """,
        conftest=without("flask", "cheroot", "responses"),
    )
    assert outcome.counts == {"passed": 1, "errors": 2}, outcome.out
    assert 'The sandbox needs cheroot, flask: pip install "cave-auth-adapter[sandbox]"' in (
        outcome.out
    )
    assert 'cave_responses needs responses: pip install "cave-auth-adapter[testing]"' in (
        outcome.out
    )
    assert "Traceback" not in outcome.out
    assert "process.py" not in outcome.out


def test_loading_the_kit_imports_nothing_heavy(outcome_of: OutcomeOf) -> None:
    outcome = outcome_of("""
        import sys

        def test_it(cave_secrets_dir):
            heavy = {"flask", "cheroot", "numpy", "trustme", "responses", "middle_auth_client"}
            assert not heavy & set(sys.modules)
    """)
    assert outcome.counts == {"passed": 1}, outcome.out


def test_the_plugin_is_not_loaded_unless_named(outcome_of: OutcomeOf) -> None:
    names = [point.value for point in importlib.metadata.entry_points(group="pytest11")]
    assert names  # those of other libraries
    assert not [name for name in names if name.startswith("cave_auth")]
    outcome = outcome_of(
        """
        import sys

        def test_it():
            assert not [name for name in sys.modules if name.startswith("cave_auth")]
        """,
        conftest="",
    )
    assert outcome.counts == {"passed": 1}, outcome.out


# pytest warns that it can't rewrite an imported module, unless that module opts out.
IMPORTED_ABOVE = f"from cave_auth_adapter.testing import CaveResponses\n{USES_THE_KIT}"


@pytest.mark.parametrize(
    ("conftest", "command"),
    [
        (USES_THE_KIT, ("-m",)),
        (IMPORTED_ABOVE, ("-m",)),
        (IMPORTED_ABOVE, ("-m", "cave_auth_adapter", "run", "-m")),
    ],
)
def test_the_kit_is_loaded_without_a_warning(
    outcome_of: OutcomeOf, conftest: str, command: tuple[str, ...]
) -> None:
    source = "def test_it(cave_responses, cave_secrets_dir): pass"
    outcome = outcome_of(source, "-W", "error", conftest=conftest, command=command)
    assert outcome.counts == {"passed": 1}, outcome.out


def test_pytest_fixtures_documents_the_kit(outcome_of: OutcomeOf) -> None:
    out = outcome_of("", "--fixtures").out
    told = set(re.findall(r"^(\w+)(?: \[session scope\])? -- .*testing/__init__\.py", out, re.M))
    assert told == {name for name in testing.__all__ if name.islower()}


def test_a_failing_test_shows_its_own_line(outcome_of: OutcomeOf) -> None:
    out = outcome_of("""
        import requests

        def test_it(foreign_server):
            requests.get(foreign_server.url, headers={"Authorization": "Bearer hush"})
            foreign_server.assert_no_token()
    """).out
    assert "test_tool.py:6: AssertionError" in out
    assert "A token arrived at a server that is not CAVE:" in out
    assert "traces.py" not in out
