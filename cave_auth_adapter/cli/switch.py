"""``accounts`` and ``switch``: several accounts at one server, by name."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from typing import NamedTuple

import click

from ..diagnose.status import signed_with
from ..errors import CaveAuthError
from ..login.accounts import switch
from ..origins import DEFAULT_DEPLOYMENT, HostSpec, deployment_of
from ..saving import DeploymentFiles, named
from ..service.waiting import all_done
from ..store import TokenStore
from ..tokens import Source, Token
from ..words import files, person, printable, say, table
from .common import NO_TOKEN, Server, as_json, fail, print_json
from .holding import home_of, server_with, warn_of_variables

_VARIABLE = "CAVE_AUTH_ACCOUNT"


class _Account(NamedTuple):
    """An account in a secret file; ``who`` is the user, or why the server didn't tell."""

    server: str
    name: str
    in_use: bool
    who: str


@click.command()
@click.argument("server", type=Server(), required=False)
@as_json
def accounts(server: str | None, as_json: bool) -> None:
    """List the accounts that are saved on this computer, by name.

    \b
    cave-auth accounts
    cave-auth login --as project_b   save another account
    cave-auth switch project_b       use it, in all tools
    """
    servers = [home_of(server)] if server else _auth_servers()
    found = _accounts(servers)
    if as_json:
        print_json([each._asdict() for each in found])
    elif not found:
        there = f" {servers[0]}" if server else ""
        fail(f"There are no accounts. Log in: cave-auth login{there} --as NAME", NO_TOKEN)
    else:
        rows = [(each.server, each.name, each.who, "in use" * each.in_use) for each in found]
        for line in table(("SERVER", "NAME", "ACCOUNT", ""), rows):
            say(line)
        _tell_variable()


def _auth_servers() -> list[str]:
    """The servers with a secret file of their own, except known data servers."""
    servers = TokenStore().servers()
    found = [each for each in servers if deployment_of(HostSpec.parse(each).origin) == each]
    if DEFAULT_DEPLOYMENT not in found and DeploymentFiles(DEFAULT_DEPLOYMENT).in_use:
        found.append(DEFAULT_DEPLOYMENT)  # by cave-secret.json
    return found


def _accounts(servers: Iterable[str]) -> list[_Account]:
    """The accounts at some servers, which are all asked at the same time."""
    saved = [(server, *account) for server in servers for account in _saved(server)]
    asked = all_done(
        [functools.partial(_who, server, name, token) for server, name, token, _ in saved],
        [server for server, *_ in saved],
    )
    return [
        _Account(server, name, in_use, who)
        for (server, name, _, in_use), answer in zip(saved, asked, strict=True)
        if (who := answer.result()) is not None
    ]


def _saved(server: str) -> list[tuple[str, str, bool]]:
    """The names at a server, their tokens, and whether they are in use; that one comes first."""
    present, names = DeploymentFiles(server).in_use, named(server)
    if present is not None and present not in names.values():
        names = {"(no name)": present, **names}
    found = [(name, token, token == present) for name, token in names.items()]
    return sorted(found, key=lambda account: not account[2])


def _who(server: str, name: str, token: str) -> str | None:
    """Whose token it is, or why that is unknown; None if the server has no auth service."""
    source = Source("file", TokenStore().path_for(server), name)
    try:
        return person(signed_with(Token(token, source), server).me())
    except CaveAuthError as error:
        if error.response is not None and error.response.status_code == 404:
            return None
        return f"? {printable(error, 60)}"


@click.command("switch")
@click.argument("name")
@click.option("--server", type=Server(), help="The auth server; needed if several have it.")
def switch_account(name: str, server: str | None) -> None:
    """Use another account in all tools.

    The previous account stays saved under its name, or gets one. To use another account in one
    process only, set the variable CAVE_AUTH_ACCOUNT instead.

    \b
    cave-auth switch project_b
    """
    home = server_with(name, server)
    before = named(home)
    paths = switch(home, name)
    for each in named(home).keys() - before.keys():
        say(f"The previous account is now named {printable(each)!r}.")
    say(f"{printable(name)!r} is now in use at {home}. Saved in\n{files(paths)}", fg="green")
    warn_of_variables()
    _tell_variable()


def _tell_variable() -> None:
    if chosen := os.environ.get(_VARIABLE):
        say(
            f"The variable {_VARIABLE} is set: this shell uses {printable(chosen)!r}.",
            err=True,
            fg="yellow",
        )
