"""``trust``: save a deployment's token for another host, after explaining what that means."""

from __future__ import annotations

from typing import NamedTuple

import click

from ..diagnose.check import NotTrusted, doubtful_file
from ..diagnose.status import holdings, not_logged_in, signed_with
from ..errors import InvalidHostSpec
from ..login.dialogue import default_dialogue
from ..origins import auth_server_of, trusted_by_file
from ..sources import Credentials
from ..store import TokenStore
from ..tokens import Token
from ..words import person, say, short
from .common import NO_TOKEN, USAGE, Server, fail, origin_of


@click.command()
@click.argument("host", type=Server())
@click.option("--server", type=Server(), help="The auth server; needed if you use several.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--undo", is_flag=True, help="Delete the host's own file, and no other.")
def trust(host: str, server: str | None, yes: bool, undo: bool) -> None:
    """Trust another host with a server's token.

    Use it for a lab's own data server, for example. It shows what it will do, asks you, and saves
    your token for the auth server in a secret file of the host. If you undo it, you stay logged in.

    \b
    cave-auth trust data.my-lab.org --server cave.my-lab.org
    cave-auth trust --undo data.my-lab.org
    """
    if undo:
        _undo(origin_of(host).server)
        return
    plan = _plan(origin_of(host).server, _auth_server(host, server))
    if plan is None:
        _insist_on_trust(host)
        say(f"{host} has that token already.", fg="green")
        return
    for line in plan.lines():
        say(line)
    if not yes and not default_dialogue().confirm(f"Trust {plan.host}?"):
        fail("Nothing was saved. To trust it without a question, add --yes.")
    path = TokenStore().save(plan.token.value, plan.host, overwrite=True)
    say(f"Saved in {short(path)}. To undo it: cave-auth trust --undo {plan.host}", fg="green")
    _insist_on_trust(host)


def _insist_on_trust(host: str) -> None:
    """Fail if the host is not trusted in spite of its file, because others can write to it."""
    if doubtful_file(host):
        raise NotTrusted(host)


def _undo(host: str) -> None:
    """Delete the token in a host's own file; every other file stays as it is.

    ``logout`` would log out of the whole deployment, because a lab's data server and its auth
    server have the same token.
    """
    store = TokenStore()
    path = short(store.path_for(host))
    if not store.delete(host):
        fail(f"{host} has no secret file of its own: {path}. Nothing was changed.", NO_TOKEN)
    say(f"Deleted the token from {path}. No other file was changed.", fg="green")


class _Plan(NamedTuple):
    """What to save.

    :ivar present: the token in the host's own file, which is replaced.
    """

    host: str
    server: str
    who: str
    token: Token
    present: str | None

    def lines(self) -> list[str]:
        path = short(TokenStore().path_for(self.host))
        found = [
            f"This saves the token of {self.who} at {self.server} in {path}.",
            f"From then on, requests to https://{self.host} carry it. The people who run that host "
            f"can then do what you can do at {self.server}. Continue only if you know them.",
        ]
        if self.present:
            found.append(f"It replaces another token in {path}.")
        return found


def _plan(host: str, server: str) -> _Plan | None:
    """What to save; None if it is saved already."""
    if not trusted_by_file(host):
        raise InvalidHostSpec(
            f"A secret file can't make the host {host!r} trusted. To trust it anyway, name it in "
            "the variable CAVE_AUTH_HOSTS."
        )
    origin = origin_of(server)
    token = Credentials().token_for(origin)
    if token is None:
        raise not_logged_in(origin.server)
    present = TokenStore().load(host)
    if present == token.value:
        return None
    # Ask the server, so that we don't save a revoked token, or another server's.
    return _Plan(host, origin.server, person(signed_with(token, server).me()), token, present)


def _auth_server(host: str, named: str | None) -> str:
    """The auth server whose token the host gets: the one named, its own, or the only one."""
    name, home = origin_of(host).server, auth_server_of(origin_of(host))
    if named is not None:
        if home is not None and auth_server_of(origin_of(named)) != home:
            fail(f"{name} accepts only tokens of {home}: cave-auth trust {name}", USAGE)
        return named
    if home is not None:
        return f"https://{home}"
    servers = {each.auth_servers[0] for each in holdings() if each.token}
    if len(servers) == 1:
        return f"https://{servers.pop()}"
    if not servers:
        fail(
            "You are not logged in. Log in to the host's auth server first: "
            "cave-auth login AUTH_SERVER",
            NO_TOKEN,
        )
    known = "\n".join(f"  cave-auth trust {name} --server {each}" for each in sorted(servers))
    fail(f"You use {len(servers)} servers. Choose whose token the host gets:\n{known}", USAGE)
