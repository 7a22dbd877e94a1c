"""``CAVE_AUTH_DEBUG=1``: one line on stderr for each decision."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ..support.stub import CAVE, FOREIGN, TOKEN

PROGRAM = f"""
import sys
import requests
from requests.adapters import BaseAdapter
from cave_auth_adapter import CaveAuth, install, mount

class Answers(BaseAdapter):
    def send(self, request, **options):
        response = requests.Response()
        response.status_code, response.url, response.request = 200, request.url, request
        response._content = b""
        return response

    def close(self):
        pass

session = requests.Session()
session.mount("https://", Answers())
if sys.argv[1] == "auth":
    session.auth = CaveAuth()
elif sys.argv[1] == "mount":
    mount(session)
else:
    install()
session.get({CAVE + "/x"!r})
session.get({FOREIGN!r})
"""


@pytest.mark.parametrize("door", ["auth", "mount", "install"])
def test_each_decision_is_logged_as_one_line(door: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, door],
        env={**os.environ, "CAVE_AUTH_DEBUG": "1", "CAVE_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("cave-auth: ")]
    assert lines[0] == (
        "cave-auth: global.daf-apis.com: trusted (known deployment of global.daf-apis.com), signed "
        "with the token from the variable CAVE_TOKEN"
    )
    assert lines[1:] == ["cave-auth: elsewhere.example.org: not trusted, not signed"]
    assert TOKEN not in done.stderr
