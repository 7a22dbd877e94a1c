"""A refusal gives one warning for each host and cause; a stub answers."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import requests

from cave_auth_adapter import CaveAuth, TokenStore, explain, mount

from ..support.hostile import CAVE, HOSTS, Server, Through
from ..support.refusals import LAB, LOGIN_PAGE
from ..support.stub import TOKEN

STRANGER = {"location": LOGIN_PAGE}
CHALLENGE = {"www-authenticate": f'Bearer realm="{LOGIN_PAGE}"'}


@pytest.mark.parametrize(("status", "headers"), [(302, STRANGER), (401, CHALLENGE)])
def test_an_untrusted_service_that_wants_a_token_warns_once(
    through: Through,
    warnings: Callable[[], list[str]],
    status: int,
    headers: dict[str, str],
) -> None:
    for _ in range(3):
        through(Server(status=status, headers=headers)).get(LAB, allow_redirects=False)
    (warning,) = warnings()
    assert "is not trusted" in warning
    assert f"cave-auth trust {LAB[8:]} --server global.daf-apis.com" in warning


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (302, {"location": f"{LAB}/elsewhere"}),
        (401, {"www-authenticate": 'Basic realm="x"'}),
        (200, CHALLENGE),
        (None, {}),
    ],
)
def test_other_hosts_give_no_warning(
    through: Through,
    warnings: Callable[[], list[str]],
    status: int,
    headers: dict[str, str],
) -> None:
    through(Server(status=status, headers=headers)).get(LAB, allow_redirects=False)
    assert warnings() == []


# --- One warning each ----------------------------------------------------------------------


class Service(Server):
    """Refuses every token but one."""

    good = TOKEN

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        alive = request.headers.get("Authorization") == f"Bearer {self.good}"
        self.arrived.clear()
        self.answer = {} if alive else {
            "status": 401, "headers": {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        }  # fmt: skip
        return super().send(request, **options)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    def since() -> list[str]:
        messages = [each.message for each in caplog.records if each.levelno == logging.WARNING]
        caplog.clear()
        return messages

    return since


def test_each_refused_token_gives_its_own_warning(
    warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    service, session = Service(), requests.Session()
    session.mount("https://", service)
    mount(session, CaveAuth(hosts=HOSTS))
    for token in (TOKEN, TOKEN[::-1]):
        monkeypatch.setenv("CAVE_TOKEN", token)
        service.good = token
        assert session.get(CAVE).status_code == 200
        service.good = "another"
        assert [session.get(CAVE).status_code for _ in range(3)] == [401] * 3
        assert len(warnings()) == 1
    monkeypatch.setenv("CAVE_TOKEN", TOKEN.upper())  # and a token that never worked
    assert session.get(CAVE).status_code == 401
    assert len(warnings()) == 1


def test_each_dataset_gives_its_own_warning(
    through: Through,
    warnings: Callable[[], list[str]],
) -> None:
    for dataset in ("fish", "fly", "fish"):
        data = {"required_permission": "view", "auth_dataset": dataset}
        body = json.dumps({"error": "missing_permission", "data": data}).encode()
        through(Server(status=403, body=body)).get(f"{CAVE}/x")
    assert [message.partition("dataset ")[2][:6] for message in warnings()] == ["'fish'", "'fly'."]


def test_a_refused_token_from_a_file_names_the_file(through: Through) -> None:
    path = TokenStore().save(TOKEN, CAVE)
    session = requests.Session()
    session.mount("https://", Service(status=401))
    mount(session, CaveAuth(hosts=HOSTS))
    Service.good = "another"
    try:
        assert str(path) in (explain(session.get(CAVE)) or "")
    finally:
        Service.good = TOKEN
