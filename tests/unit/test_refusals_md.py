"""The table in docs/refusals.md: each answer of a protected service, and what is said about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from cave_auth_adapter import explain, raise_for_auth
from cave_auth_adapter.errors import Refusal
from cave_auth_adapter.refusals import remember_token
from cave_auth_adapter.tokens import Source, Token

from ..support.refusals import answer, followed
from ..support.stub import TOKEN

DOCUMENT = Path(__file__).parents[2] / "docs" / "refusals.md"
SERVICE = "https://cave.example.org/x"
STICKY = "https://auth.example.org/sticky_auth/api/v1"
CHALLENGE = f'Bearer realm="{STICKY}/authorize"'
FILE = "~/.cloudvolume/secrets/cave.example.org-cave-secret.json"


def asked(response: requests.Response, token: bool = True, led: bool = False) -> Any:
    """An answer of a trusted service to a signed request."""
    source = Source("file", FILE, "token")
    remember_token(response, Token(TOKEN, source) if token else None, led)
    return response


def refusal(status: int, error: str, **data: str) -> requests.Response:
    return asked(answer(status, SERVICE, {"error": error, "data": data}))


def said(text: str) -> requests.Response:
    return asked(answer(403, SERVICE, text.encode()))


def unauthorized(error: str = "") -> requests.Response:
    challenge = f'{CHALLENGE}, error="{error}"' if error else CHALLENGE
    return answer(401, SERVICE, WWW_Authenticate=challenge)


def redirected() -> requests.Response:
    return followed(SERVICE, f"{STICKY}/authorize", "https://accounts.google.com/o/oauth2/auth")


def with_a_password() -> requests.Response:
    response = asked(answer(400, SERVICE, {"error": "bad_auth_header"}), token=False)
    response.request = requests.Request("GET", SERVICE, auth=("me", "secret")).prepare()
    return response


ANSWERS: dict[str, Callable[[], requests.Response]] = {
    "no token": lambda: asked(unauthorized(), token=False),
    "no token, after a redirect": lambda: asked(unauthorized(), token=False, led=True),
    "no token, not trusted": redirected,
    "invalid token": lambda: asked(unauthorized("invalid_token")),
    "invalid token, in a cookie alone": lambda: asked(
        answer(302, SERVICE, Location=f"{STICKY}/authorize?redirect={SERVICE}")
    ),
    "bad header": with_a_password,
    "missing permission": lambda: refusal(
        403,
        "missing_permission",
        required_permission="view",
        auth_dataset="sandbox_restricted",
    ),
    "missing terms": lambda: refusal(
        403,
        "missing_tos",
        tos_name="Sandbox Terms of Service",
        tos_form_url=f"{STICKY}/tos/1/accept",
    ),
    "missing terms, by a redirect": lambda: asked(
        answer(302, SERVICE, Location=f"{STICKY}/tos/1/accept?redirect={SERVICE}")
    ),
    "missing role": lambda: refusal(
        403, "missing_role", required_role="dataset_admin", auth_dataset="sandbox_restricted"
    ),
    "missing group": lambda: said("Requires membership of group: sandbox_insiders"),
    "missing privilege": lambda: said("Requires superadmin privilege."),
    "unknown table": lambda: refusal(400, "invalid_table_id"),
    "no table": lambda: refusal(400, "missing_table_id"),
}


def answered(response: requests.Response) -> str:
    """The service's answer: the status, and the error or the page that it redirects to."""
    first = response.history[0] if response.history else response
    if location := first.headers.get("Location"):
        page = "terms" if "/tos/" in location else "login page"
        return f"{first.status_code}, to the {page}"
    try:
        said = f"`{response.json()['error']}`"
    except ValueError:
        challenge = re.search(r'error="(\w+)"', first.headers.get("WWW-Authenticate", ""))
        said = f"`{challenge[1] if challenge else response.text or 'no_token'}`"
    return f"{first.status_code} {said}"


def documented() -> dict[str, tuple[str, str, str]]:
    """The rows: refusal -> answer, error, sentence."""
    table = DOCUMENT.read_text().partition("## Every refusal")[2]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {name: (told, error.strip("`"), said) for name, told, error, said in rows[2:]}


@pytest.mark.parametrize("name", ANSWERS)
def test_each_refusal_is_explained_as_the_page_says(name: str) -> None:
    response = ANSWERS[name]()
    told, error, sentence = documented()[name]
    assert answered(response) == told
    assert explain(response) == sentence
    with pytest.raises(Refusal) as caught:
        raise_for_auth(response)
    assert type(caught.value).__name__ == error


def test_the_page_lists_no_other_refusal() -> None:
    assert list(documented()) == list(ANSWERS)
