"""A pytest plugin that runs a suite under ``install()``, with or without a token."""

from __future__ import annotations

import json
import os
from pathlib import Path

import requests

import cave_auth_adapter
from cave_auth_adapter.hosts import KnownHosts, Trust
from cave_auth_adapter.origins import Origin, is_loopback, parse_origin

DECISIONS = os.environ.get("SUITE_DECISIONS", "")  # the file to write
CAVE = "https://global.daf-apis.com/"


class CountingHosts(KnownHosts):
    """Counts how often it was asked whether a URL may see a token, and how often one may."""

    asked = 0
    acted = 0

    def trusted_origin(self, url: str) -> Origin | None:
        origin = self.find(url)
        self.asked += 1
        self.acted += origin is not None
        return origin

    def find(self, url: str) -> Origin | None:
        return super().trusted_origin(url)


class AllHosts(CountingHosts):
    """Trusts each host that is reached by https, or on this machine."""

    def find(self, url: str) -> Origin | None:
        origin = parse_origin(url)
        if origin and (origin.scheme == "https" or is_loopback(origin.host)):
            return origin
        return None

    def names(self, origin: Origin) -> bool:
        return True

    def why(self, origin: Origin) -> Trust:
        return Trust(origin.server, "hosts=")


HOSTS = AllHosts() if os.environ.get("SUITE_TRUST") == "all" else CountingHosts()


def pytest_load_initial_conftests() -> None:
    auth = cave_auth_adapter.CaveAuth()
    auth.hosts = HOSTS
    assert auth.token_for(CAVE) == os.environ.get("CAVE_TOKEN")
    HOSTS.asked = HOSTS.acted = 0
    cave_auth_adapter.install(auth)


def pytest_sessionfinish() -> None:
    counted = {"asked": HOSTS.asked, "acted": HOSTS.acted}
    adapter = requests.Session().get_adapter(CAVE)
    assert isinstance(adapter, cave_auth_adapter.CaveAdapter), "the suite took the plugin out"
    Path(DECISIONS).write_text(json.dumps(counted))
