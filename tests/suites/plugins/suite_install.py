"""A pytest plugin that runs a suite under ``install()``, with a token that is known."""

from __future__ import annotations

import os
from pathlib import Path

import requests

import cave_auth_adapter
from cave_auth_adapter.hosts import KnownHosts
from cave_auth_adapter.origins import Origin

DECISIONS = os.environ.get("SUITE_DECISIONS", "")  # the file to write
CAVE = "https://global.daf-apis.com/"


class CountingHosts(KnownHosts):
    """Counts how often it was asked whether a URL may see a token."""

    asked = 0

    def trusted_origin(self, url: str) -> Origin | None:
        self.asked += 1
        return super().trusted_origin(url)


HOSTS = CountingHosts()


def pytest_load_initial_conftests() -> None:
    auth = cave_auth_adapter.CaveAuth()
    auth.hosts = HOSTS
    assert auth.token_for(CAVE) == os.environ["CAVE_TOKEN"]
    cave_auth_adapter.install(auth)


def pytest_sessionfinish() -> None:
    adapter = requests.Session().get_adapter(CAVE)
    assert isinstance(adapter, cave_auth_adapter.CaveAdapter), "the suite took the plugin out"
    Path(DECISIONS).write_text(str(HOSTS.asked))
