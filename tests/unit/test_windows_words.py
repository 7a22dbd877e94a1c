"""The words of Windows' shells in every message, on any system.

On Linux and macOS Windows is simulated here, by the switch of ``shells``. PowerShell itself is not
needed; where there is one, tests/unit/test_shells.py has it read such lines.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click
import pytest
from click.testing import CliRunner
from filelock import Timeout

import cave_auth_adapter
from cave_auth_adapter import TokenStore, shells
from cave_auth_adapter.cli import main
from cave_auth_adapter.diagnose.written import look_at_what_was_written
from cave_auth_adapter.errors import TokenFileError
from cave_auth_adapter.refusals import advice
from cave_auth_adapter.service.unreachable import describe_failure
from cave_auth_adapter.store import files
from cave_auth_adapter.tokens import Kind, Source, Token
from cave_auth_adapter.words import short

ROOT = Path(cave_auth_adapter.__file__).parents[1]
PACKAGES = ("cave_auth_adapter", "cave_auth_startup")
#: What only a POSIX shell understands, or only a POSIX system has.
POSIX = re.compile(
    r"\b(?:chmod|export|sudo) +[\w\"'{$~/.-]|\bunset +[A-Z{$]|\bsource +[\w.~]*/"
    r"|(?<![\w-])rm +[\w\"'{$~/-]|~/\.cloudvolume.* |/etc/|\$\(|@<\("
    r"| < [\w.-]+\.txt|\bpip install '"
)
#: Where such words may be, and why no message on Windows has them.
ELSEWHERE = {
    "shells.py": "this is where the words of both are",
    "store/files.py": "one remedy for each system",
    "store/permissions.py": "modes and owners, which Windows has not got: it returns before",
    "diagnose/findings.py": "the same",
    "cli/completion.py": "for zsh",
    "sandbox/__main__.py": "one greeting for each system",
}


@pytest.fixture(autouse=True)
def on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shells, "WINDOWS", True)


def _texts(tree: ast.AST) -> Iterator[str]:
    """The strings of a module that are no docstrings."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def _posix_words(path: Path) -> list[str]:
    found = map(POSIX.search, _texts(ast.parse(path.read_text("utf-8"))))
    return [each[0] for each in found if each]


def test_no_message_has_the_words_of_one_shell_alone() -> None:
    found = {
        path.relative_to(ROOT / package).as_posix(): words
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if (words := _posix_words(path))
    }
    assert {name: words for name, words in found.items() if name not in ELSEWHERE} == {}


@pytest.mark.parametrize(
    "text",
    ["run chmod 600 x", "export A=b", "or unset A", "source .venv/bin", "rm 'x'", 'A="$(b)"'],
)
def test_such_words_are_found(text: str) -> None:
    assert POSIX.search(text)


def _commands(command: click.Command, *names: str) -> Iterator[tuple[str, ...]]:
    yield names
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from _commands(each, *names, name)


@pytest.mark.parametrize("names", list(_commands(main)), ids=" ".join)
def test_the_examples_of_help_are_for_every_shell(names: tuple[str, ...]) -> None:
    said = CliRunner().invoke(main, [*names, "--help"]).output
    assert not POSIX.search(said), said
    # neither is there on Windows, and a single quote is a letter of the word in cmd
    assert not re.search(r"\| (?:wc|grep|head)\b|sbatch", said), said


# --- Messages that name a variable, a file or a command ---------------------------------------


@pytest.mark.parametrize("kind", ["CAVE_TOKEN", "CAVE_TOKEN_FILE", "CAVE_TOKEN_COMMAND"])
def test_a_refused_token_of_a_variable(kind: Kind) -> None:
    token = Token("0123456789abcdef", Source(kind))
    about = advice.About("h.example", "h.example", "https://h.example/", None, True, token, None)
    assert f"or Remove-Item Env:{kind} and log in" in advice.refused(about)


def test_a_bundle_that_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "gone.pem"))
    said = describe_failure(OSError(), 1.0, "https://h.example/")
    assert said.endswith("or Remove-Item Env:REQUESTS_CA_BUNDLE.")


def test_a_relative_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_VOLUME_DIR", "my secrets")
    with pytest.raises(TokenFileError, match=r"\$env:CLOUD_VOLUME_DIR = '.*my secrets'"):
        TokenStore().path_for()


def test_a_directory_in_the_place_of_a_file(secrets: Path) -> None:
    (secrets / "cave-secret.json").mkdir(parents=True)
    with pytest.raises(TokenFileError) as caught:
        TokenStore().load()
    assert "Replace it with a file that you can read" in str(caught.value)


def test_a_lock_that_was_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(target: Path) -> NoReturn:
        raise Timeout(f"{target}.held")

    monkeypatch.setattr(files, "_lock_of", held)  # where a file system has no locks
    with pytest.raises(TokenFileError) as caught, files.locked(tmp_path / "x.json"):
        pass
    assert str(caught.value).endswith(f'del "{tmp_path / "x.json.held"}"')


def test_written_files_are_named_in_words_of_windows(secrets: Path) -> None:
    path = TokenStore().save("0123456789abcdef")
    told = [each.text for each in look_at_what_was_written(TokenStore(), [])]
    assert f'{path} is there. To remove it: del "{path}"' in told


def test_a_path_is_shown_without_a_tilde(secrets: Path) -> None:
    """Neither cmd nor Explorer knows what ``~`` is."""
    assert short(secrets) == str(secrets)
