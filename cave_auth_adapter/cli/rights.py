"""``permissions`` and ``terms``: what the account may do, and the terms it must accept."""

from __future__ import annotations

import sys
from typing import Any

import click

from ..refusals.advice import form_address
from ..service import AuthServer, MissingTerms, Permissions
from ..words import labelled, person, printable, say, table
from .common import NOT_ALLOWED, as_json, fail, print_json
from .holding import chosen_holding, server_option


@click.command()
@click.argument("dataset", required=False)
@server_option
@as_json
def permissions(dataset: str | None, server: str | None, as_json: bool) -> None:
    """Show what your account may do: its groups, and its permissions on each dataset.

    With DATASET, show only that one; the exit code is 4 if you have no permission on it.

    \b
    cave-auth permissions
    cave-auth permissions minnie65
    """
    auth, user = chosen_holding(server).ask()
    rows = _rights(user)
    if dataset is not None:
        rows = [row for row in rows if row["dataset"] == dataset]
    if as_json:
        print_json(_described(auth, user, rows))
    else:
        _show(auth, user, rows, dataset)
    if dataset is not None and not any(row["permissions"] for row in rows):
        sys.exit(NOT_ALLOWED)


def _rights(user: Permissions) -> list[dict[str, Any]]:
    """For each dataset: permissions now, permissions after accepting terms, and these terms."""
    now = user.get("permissions_v2") or {}
    later = user.get("permissions_v2_ignore_tos") or now
    missing = _terms_by_dataset(user.get("missing_tos") or [])
    return [
        {
            "dataset": name,
            "permissions": sorted(now.get(name, [])),
            "after_accepting": sorted(set(later.get(name, [])) - set(now.get(name, []))),
            "missing_terms": missing.get(name, []),
        }
        for name in sorted({*now, *later, *missing})
    ]


def _terms_by_dataset(missing: list[MissingTerms]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in missing:
        found.setdefault(str(each.get("dataset_name")), []).append(str(each.get("tos_name")))
    return found


def _described(auth: AuthServer, user: Permissions, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "server": auth.server_address.removeprefix("https://"),
        "user": {name: user.get(name) for name in ("id", "name", "email", "admin")},
        "service_account": bool(user.get("service_account")),
        "parent_id": user.get("parent_id"),
        "groups": user.get("groups") or [],
        "groups_admin": user.get("groups_admin") or [],
        "datasets_admin": user.get("datasets_admin") or [],
        "datasets": rows,
    }


def _show(
    auth: AuthServer, user: Permissions, rows: list[dict[str, Any]], dataset: str | None
) -> None:
    server = auth.server_address.removeprefix("https://")
    if dataset is None:
        _show_account(server, user)
    if rows:
        cells = [(row["dataset"], _now(row), ", ".join(row["missing_terms"])) for row in rows]
        for line in table(("DATASET", "YOU MAY", "TERMS TO ACCEPT"), cells):
            say(line)
    elif dataset is not None:
        fail(
            f"Your account has no permission on the dataset {dataset!r} at {server}. Ask its "
            "administrators for access. To see what you have: "
            f"cave-auth permissions --server {server}",
            NOT_ALLOWED,
        )
    if any(row["missing_terms"] for row in rows):
        say(f"To read the terms and accept them: cave-auth terms --server {server}", fg="yellow")


def _show_account(server: str, user: Permissions) -> None:
    kind = ""
    if user.get("service_account"):
        kind = f", a service account of the user with the id {user.get('parent_id')}"
    say(labelled("account", f"{person(user)} at {server}{kind}"))
    for label, names in (
        ("groups", user.get("groups")),
        ("you manage", [*(user.get("groups_admin") or []), *(user.get("datasets_admin") or [])]),
    ):
        if names:
            say(labelled(label, ", ".join(printable(name, 60) for name in names)))


def _now(row: dict[str, Any]) -> str:
    now = ", ".join(row["permissions"]) or "nothing"
    later = ", ".join(row["after_accepting"])
    return f"{now}; after accepting: {later}" if later else now


@click.command()
@server_option
@as_json
def terms(server: str | None, as_json: bool) -> None:
    """List the terms of service that you have not accepted: the form, and the text.

    Accept them in the form, in your browser.

    \b
    cave-auth terms
    """
    auth, _ = chosen_holding(server).ask()
    waiting = _waiting(auth)
    if as_json:
        print_json(list(waiting.values()))
        return
    if not waiting:
        say("There are no terms of service to accept.", fg="green")
    for each in waiting.values():
        say(printable(each["name"]), bold=True)
        say(labelled("  for", ", ".join(printable(name, 60) for name in each["datasets"])))
        say(f"{'  form':<12} {each['form']}")
        for line in each["text"].splitlines():
            say(f"    {line}")
        say()


def _waiting(auth: AuthServer) -> dict[int | None, dict[str, Any]]:
    """The terms to accept, each once."""
    missing = auth.missing_terms()
    known = auth.terms() if missing else []
    texts = {each.get("id"): str(each.get("text") or "") for each in known}
    found: dict[int | None, dict[str, Any]] = {}
    for each in missing:
        number = each.get("tos_id")
        address = f"{auth.server_address}/sticky_auth/api/v1/tos/{number}/accept"
        entry: dict[str, Any] = {
            "id": number,
            "name": str(each.get("tos_name")),
            "datasets": [],
            "form": auth.settings_page if number is None else form_address(address),
            "text": texts.get(number, ""),
        }
        found.setdefault(number, entry)["datasets"].append(str(each.get("dataset_name")))
    return found
