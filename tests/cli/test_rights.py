"""``cave-auth permissions`` and ``cave-auth terms``, against the sandbox."""

from __future__ import annotations

import json
import re

import pytest

from cave_auth_adapter import TokenStore
from cave_auth_adapter.sandbox import Sandbox

from ..support.answering import Answer, StubServer
from .conftest import Run, host, parsed

FORM = "{0}/sticky_auth/api/v1/tos/1/accept?redirect={0}/sticky_auth/settings/tokens"


def test_permissions_are_listed(run: Run, logged_in: Sandbox) -> None:
    result = run("permissions")
    assert result.exit_code == 0
    assert f"Sandbox User <sandbox.user@sandbox.example> at {host(logged_in.auth_server)}" in (
        " ".join(result.stdout.split())
    )
    lines = result.stdout.splitlines()
    (sandbox,) = [line for line in lines if re.match("sandbox ", line)]
    (waiting,) = [line for line in lines if line.startswith("sandbox_terms")]
    assert sandbox.split() == ["sandbox", "edit,", "view"]
    assert "nothing; after accepting: view" in waiting
    assert "Sandbox Terms of" in waiting
    assert lines[-1].endswith(f"cave-auth terms --server {host(logged_in.auth_server)}")


@pytest.mark.parametrize(
    ("dataset", "code"),
    [("sandbox", 0), ("sandbox_terms", 4), ("sandbox_restricted", 4), ("none\x1b[2J", 4)],
)
def test_permissions_on_one_dataset_are_listed(
    run: Run, logged_in: Sandbox, dataset: str, code: int
) -> None:
    result = run("permissions", dataset)
    assert result.exit_code == code
    assert dataset.partition("\x1b")[0] in result.output
    assert "\x1b" not in result.output
    told = run("permissions", dataset, "--json")
    assert told.exit_code == code
    assert {row["dataset"] for row in parsed(told)["datasets"]} <= {dataset}


def test_permissions_are_printed_as_json(run: Run, sandbox: Sandbox) -> None:
    parent = sandbox.create_user("Parent", groups=["lab"])
    robot = sandbox.create_user("Robot", parent=parent, permissions={"sandbox": ["view"]})
    TokenStore().save(sandbox.create_token(robot), sandbox.auth_server)
    told = parsed(run("permissions", "--json"))
    assert told["service_account"] is True
    assert told["parent_id"] == parent
    assert told["datasets"] == [
        {
            "dataset": "sandbox",
            "permissions": ["view"],
            "after_accepting": [],
            "missing_terms": [],
        }
    ]
    shown = " ".join(run("permissions").stdout.split())
    assert f"a service account of the user with the id {parent}" in shown


def test_terms_are_listed(run: Run, logged_in: Sandbox) -> None:
    result = run("terms")
    assert result.exit_code == 0
    assert "Sandbox Terms of Service" in result.stdout
    assert "sandbox_terms" in result.stdout
    assert FORM.format(logged_in.auth_server) in result.stdout  # in one piece
    (told,) = parsed(run("terms", "--json"))
    assert told["form"] == FORM.format(logged_in.auth_server)
    assert told["datasets"] == ["sandbox_terms"]
    assert told["text"]


def test_terms_says_when_none_are_missing(run: Run, sandbox: Sandbox) -> None:
    user = sandbox.create_user("Alice", permissions={"sandbox": ["view"]})
    TokenStore().save(sandbox.create_token(user), sandbox.auth_server)
    assert "no terms of service" in run("terms").stdout
    assert parsed(run("terms", "--json")) == []


@pytest.mark.parametrize("command", ["terms", "permissions"])
@pytest.mark.parametrize(
    "answer",
    [
        {"id": 1, "permissions_v2": 7},
        {"id": 1, "groups": 7},
        {"id": 1, "groups_admin": 7},
        {"id": 1, "datasets_admin": {"a": 1}},
        {"id": 1, "missing_tos": [None]},
        {"id": 1, "name": "\x1b[2J", "service_account": [1], "parent_id": {"a": "\x07"}},
        [{"tos_id": None, "tos_name": None}],
        None,
    ],
)
def test_answers_of_other_shapes_are_reported(
    run: Run, stub_server: StubServer, command: str, answer: object
) -> None:
    TokenStore().save("0123456789abcdef", host(stub_server.address))
    stub_server.answer = Answer(body=json.dumps(answer).encode())
    result = run(command)
    assert result.exit_code in (0, 1)
    assert not {"\x1b", "\x07"} & set(result.output)
    assert "0123456789abcdef" not in result.output


@pytest.mark.parametrize("command", ["terms", "permissions"])
def test_without_a_token_the_next_step_is_a_login(run: Run, command: str) -> None:
    assert run(command).exit_code == 3
