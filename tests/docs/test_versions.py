"""The supported versions, and the commands of the workflows, are the same wherever they stand."""

from __future__ import annotations

import configparser
import os
import re
from typing import Any

import pytest
import yaml

from cave_auth_adapter import __version__

from .blocks import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PAGE = (ROOT / "docs" / "versions.md").read_text("utf-8")
NOXFILE = (ROOT / "noxfile.py").read_text("utf-8")
SETUP = configparser.ConfigParser()
SETUP.read_string((ROOT / "setup.cfg").read_text("utf-8"))

pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="the workflows are not in the distribution")


def jobs() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in WORKFLOWS:
        found |= yaml.safe_load(path.read_text("utf-8"))["jobs"]
    return found


def commands() -> list[str]:
    return [step["run"] for job in jobs().values() for step in job["steps"] if "run" in step]


def test_the_python_versions_agree() -> None:
    classifiers = SETUP["metadata"]["classifiers"]
    pythons = re.findall(r"Python :: (3\.\d+)", classifiers)
    assert len(pythons) >= 5
    assert re.findall(r"^\| (3\.\d+) \|", PAGE, re.MULTILINE) == pythons
    [tried] = re.findall(r"^PYTHONS = \[(.*)\]", NOXFILE, re.MULTILINE)
    assert re.findall(r"[\d.]+", tried) == pythons
    assert jobs()["test"]["strategy"]["matrix"]["python"] == pythons
    [all_of_them] = (
        step["with"]["python-version"].split()
        for step in jobs()["everything"]["steps"]
        if "setup-python" in step.get("uses", "")
    )
    assert sorted(all_of_them) == pythons
    assert f'python_version = "{pythons[0]}"' in (ROOT / "pyproject.toml").read_text("utf-8")


def test_the_operating_systems_agree() -> None:
    systems = jobs()["test"]["strategy"]["matrix"]["os"]
    assert systems == ["ubuntu-latest", "macos-latest", "windows-latest"]


def test_the_newest_release_in_the_changelog_is_the_version() -> None:
    """Above it, changes that are not released yet may stand under "Unreleased"."""
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    newest = headings[headings[0] == "Unreleased"]
    assert re.fullmatch(rf"{re.escape(__version__)} \(\d{{4}}-\d\d-\d\d\)", newest)


def test_the_oldest_versions_agree() -> None:
    """The page, setup.cfg and `make lowest` have the same versions."""
    bounds = dict(re.findall(r"^([a-z0-9-]+)>=([\d.]+)", _requirements(), re.MULTILINE))
    told = re.findall(r"^\| `?([\w-]+)`? \| ([\d.]+) \|", PAGE, re.MULTILINE)
    told = [(name.lower(), version) for name, version in told if not name.startswith("3.")]
    assert len(told) == 5
    for name, version in told:
        assert f"{bounds[name]}.0".startswith(version)
        assert re.search(rf'"{name}=={re.escape(bounds[name])}[.0]*"', NOXFILE), name


def _requirements() -> str:
    options = SETUP["options"], SETUP["options.extras_require"]
    return "\n".join(value for section in options for value in section.values())


@pytest.mark.parametrize("command", commands() if WORKFLOWS else [])
def test_the_commands_of_the_workflow_exist(command: str) -> None:
    program, *words = command.split()
    if program != "make":
        assert os.access(ROOT / program, os.X_OK)
        return
    matrix = jobs()["versions"]["strategy"]["matrix"]["include"]
    targets = [each["versions"] for each in matrix] if "${{" in words[0] else [words[0]]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in targets:
        assert re.search(rf"^(?:[\w ]* )?{target}(?: [\w ]*)?:", makefile, re.MULTILINE), target
