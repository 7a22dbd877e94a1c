"""Which hosts are trusted by a `CaveAuth` that was given none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

from cave_auth_adapter import CaveAuth

from ..support.stub import CAVE, FOREIGN


def test_a_directory_that_can_not_be_listed_stops_no_request(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    secrets.mkdir(parents=True)
    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, refuse)

    auth = CaveAuth()
    assert not auth.trusts(FOREIGN)
    assert auth.trusts(CAVE)
