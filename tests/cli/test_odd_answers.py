"""Answers of unexpected shapes: each command, at each address that it requests.

The services are stand-ins: they answer as they should, except at one address.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import Result

from cave_auth_adapter import TokenStore

from ..support.answering import Answer, StubServer
from .conftest import Run, host

KEY, LOGIN_TOKEN, NEW_KEY = "0123456789abcdef" * 2, "fedcba9876543210" * 2, "ab" * 16
USER = {"id": 7, "name": "A User", "email": "user@lab.example"}
TERMS = {"tos_id": 1, "tos_name": "Terms", "dataset_name": "cells"}
LISTED = {"id": 17, "user_id": 7, "token": KEY, "description": "a laptop", "last_used": None}

MADE = "POST /auth/api/v1/user/token"

#: What the services answer where nothing is odd: the beginning of a path -> JSON.
PROPER = {
    "/auth/api/v1/user/me": USER,
    "/auth/api/v1/user/cache": {
        **USER,
        "groups": ["lab"],
        "permissions_v2": {"cells": ["view"]},
        "missing_tos": [TERMS],
    },
    f"/auth/api/v1/user/token/{LOGIN_TOKEN}/ttl": 3600,
    "/auth/api/v1/user/token/17": "success",
    "/auth/api/v1/user/token": [LISTED],
    MADE: NEW_KEY,
    "/auth/api/v1/logout": "success",
    "/auth/api/v1/user/missing": [TERMS],
    "/auth/api/v1/tos": [{"id": 1, "name": "Terms", "text": "Be kind."}],
    "/info/api/v2/datastacks": ["cells"],
    "/info/api/v2/datastack/full/cells": {"local_server": "https://data.lab.example"},
}

DEEP = b"[" * 100_000
ODD = {
    "a number": b"7",
    "null": b"null",
    "yes": b"true",
    "a text": b'"text"',
    "an empty text": b'""',
    "an object": b"{}",
    "a list of numbers": b"[7]",
    "a list of nulls": b"[null]",
    "a list of empty objects": b"[{}]",
    "an infinite number": b"1e400",
    "an infinite number inside": b'{"id": 1e400, "name": 1e400}',
    "an infinite number in a list": b'[{"id": 1e400, "token": 1e400}]',
    "no number": b"NaN",
    "a huge number": b"9" * 5000,
    "numbers for names": b'{"id": 7, "name": 7, "email": [7], "groups": 7, "missing_tos": 7}',
    "texts for numbers": b'[{"id": "7", "token": 7, "tos_id": "7", "name": 7, "text": 7}]',
    "a number for a token": b'[{"id": 17, "token": 7}]',
    "a list for a description": b'[{"id": 17, "token": "0123", "description": [7]}]',
    "deep nesting": DEEP,
    "deep nesting inside": b'{"id": 7, "name": ' + DEEP,
    "nesting at the bound": b"[" * 40 + b"]" * 40,
    "nothing": b"",
    "no text": b"\xff\xfe\x00",
    "terminal codes": json.dumps({"id": 7, "name": "\x1b[2J", "groups": ["\x07"]}).encode(),
}
#: Those of them that are no JSON, or none that anybody can work with.
UNREADABLE = {
    name for name in ODD if re.search("infinite|no number|huge|nest|nothing|no text", name)
}

ME, CACHE, KEYS = "user/me", "user/cache", "user/token"
DATASTACKS, DATASTACK = "/info/api/v2/datastacks", "/info/api/v2/datastack/full/cells"

#: The exit codes other than 1. A check reports whatever comes; a switch needs a name for the
#: account before, and a login has what it needs when it looks at the datastacks.
EXIT_CODES = {
    ("check", ME): 0,
    ("check", CACHE): 0,
    ("switch", ME): 0,
    ("login", ME): 3,
    ("login", "logout"): 0,
    ("login", DATASTACKS): 0,
    ("login", DATASTACK): 0,
}


class Command(NamedTuple):
    """A command, and the addresses that it asks for."""

    line: str
    asked: tuple[str, ...]
    token: str = KEY


COMMANDS = (
    Command("status", (CACHE, KEYS)),
    Command("status", (f"user/token/{LOGIN_TOKEN}/ttl",), LOGIN_TOKEN),
    Command("status --json", (CACHE, KEYS)),
    Command("whoami", (CACHE, KEYS)),
    Command("check {server}/auth/api/v1/user/me", (ME, CACHE)),
    Command("doctor", (CACHE, KEYS)),
    Command("permissions", (CACHE,)),
    Command("permissions cells --json", (CACHE,)),
    Command("terms", (CACHE, "user/missing", "tos")),
    Command("keys list", (CACHE, KEYS)),
    Command("keys create nightly", (CACHE, MADE)),
    Command("keys revoke 17 --yes", (CACHE, KEYS, "user/token/17")),
    Command("keys rotate --yes", (CACHE, KEYS, MADE, ME, "user/token/17")),
    Command("trust data.lab.example --server {host} --yes", (ME,)),
    Command("switch work --server {host}", (ME,)),
    Command("logout --revoke", (CACHE, KEYS, "user/token/17")),
    Command("logout --revoke", ("logout",), LOGIN_TOKEN),
    Command(
        "login {server} --token-stdin --overwrite",
        (ME, KEYS, MADE, "logout", DATASTACKS, DATASTACK),
        LOGIN_TOKEN,
    ),
)


class Services(StubServer):
    """The services of a deployment; one address gives an odd answer."""

    odd: tuple[str, bytes] = "", b""

    def answer_to(self, method: str, path: str) -> Answer:
        asked = MADE if f"{method} {path}" == MADE else path
        place, body = self.odd
        if asked == place:
            return Answer(body=body)
        if asked in PROPER:
            return Answer(body=json.dumps(PROPER[asked]).encode())
        return Answer(404, b'"not found"')


@pytest.fixture
def services(stub_context: ssl.SSLContext) -> Iterator[Services]:
    server = Services(stub_context)
    yield server
    server.close()


CASES = [
    pytest.param(command, asked, id=f"{command.line} | {asked}")
    for command in COMMANDS
    for asked in command.asked
]


@pytest.fixture
def try_(run: Run, services: Services, secrets: Path) -> Callable[[Command], Result]:
    def try_(command: Command) -> Result:
        for path in secrets.glob("*"):
            path.unlink()
        store, server = TokenStore(), host(services.address)
        store.save(command.token, server)
        store.save("cd" * 16, server, "work")
        line = command.line.format(server=services.address, host=server)
        given = command.token if "--token-stdin" in line else None
        return run(*line.split(), input=given)

    return try_


@pytest.mark.parametrize(("command", "asked"), CASES)
def test_an_odd_answer_is_reported_in_one_line(
    services: Services, try_: Callable[[Command], Result], command: Command, asked: str
) -> None:
    place = asked if asked[0] in "/P" else f"/auth/api/v1/{asked}"
    code = EXIT_CODES.get((command.line.split()[0], asked), 1)
    for name, body in ODD.items():
        services.odd = place, body
        result = try_(command)
        what = f"{name}: exit code {result.exit_code}\n{result.output}"
        # What is JSON may be an answer: no keys, an account without the permission (4).
        assert result.exit_code in ({code} if name in UNREADABLE else {code, 0, 4}), what
        told = [line for line in result.stderr.splitlines() if line.startswith("cave-auth: ")]
        reported = re.search('problem(?!": null)', result.stdout) is not None  # status, doctor
        assert len(told) + reported == (result.exit_code in (1, 3)), what
        assert not {"\x1b", "\x07"} & set(result.output), what
        assert command.token not in result.output, what
        assert len(result.output) < 4000, what


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.line)
def test_proper_answers_are_understood(
    services: Services, try_: Callable[[Command], Result], command: Command
) -> None:
    result = try_(command)
    assert result.exit_code == 0, result.output
    asked = {MADE if f"{method} {path}" == MADE else path for method, path, _ in services.requests}
    expected = {each if each[0] in "/P" else f"/auth/api/v1/{each}" for each in command.asked}
    assert expected <= asked


def test_an_unknown_kind_of_token_is_not_called_a_key(
    services: Services, try_: Callable[[Command], Result]
) -> None:
    services.odd = f"/auth/api/v1/{KEYS}", b"7"
    result = try_(COMMANDS[0])
    assert "A User" in result.stdout
    assert "API key" not in result.stdout
