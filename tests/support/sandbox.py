"""What tests ask of the sandbox, and of the secret files that were written for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import requests

from cave_auth_adapter.sandbox import Sandbox

SECONDS = 20.0  # that a request may take


class Tokens(NamedTuple):
    """A different token for each server, so that a test can tell which one arrived."""

    data: str
    other: str
    auth: str

    def found_in(self, received: object) -> bool:
        return any(token in repr(received) for token in self)


def saved(secrets: Path) -> dict[str, str]:
    """The tokens in the secret files, by the name of the file."""
    return {p.name: json.loads(p.read_text())["token"] for p in secrets.glob("*.json")}


def keys_of(sandbox: Sandbox, token: str) -> dict[str, str]:
    """The user's API keys: token -> description."""
    answer = _ask(sandbox, "token", token)
    return {each["token"]: each["description"] for each in answer.json()}


def is_alive(sandbox: Sandbox, token: str) -> bool:
    """Whether the auth server takes a token."""
    return _ask(sandbox, "me", token).status_code == 200


def _ask(sandbox: Sandbox, what: str, token: str) -> requests.Response:
    return requests.get(
        f"{sandbox.auth_server}/auth/api/v1/user/{what}",
        headers={"Authorization": f"Bearer {token}", "X-Requested-With": "test"},
        verify=sandbox.ca_bundle,
        timeout=SECONDS,
    )
