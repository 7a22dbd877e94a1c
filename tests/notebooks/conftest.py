"""A Chromium for the notebooks, and pictures of them where somebody wants some."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ..login.conftest import chromium as chromium
from .lab import Notebook

# Where JupyterLab is not installed, nothing here can be imported.
_HERE = find_spec("jupyterlab") is not None
collect_ignore_glob = [] if _HERE else ["*.py"]


def pytest_report_header() -> str:
    return (
        "" if _HERE else "tests/notebooks are left out, as JupyterLab is not here: make notebooks"
    )


@pytest.fixture
def notebook(chromium: Any) -> Notebook:
    """A notebook in a Chromium with an empty profile."""
    return Notebook(chromium)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where pictures go; ``SCREENSHOTS=docs/images`` takes those of the docs again."""
    return Path(os.environ.get("SCREENSHOTS", tmp_path)).absolute()
