"""``trust``: let another host have a deployment's token, after showing what that means."""

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
@click.option(
    "--server", type=Server(), help="Whose token it gets; needed if you use several servers."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--undo", is_flag=True, help="Forget the host's own file, and no other.")
def trust(host: str, server: str | None, yes: bool, undo: bool) -> None:
    """Save a server's token for another host, which is trusted from then on.

    For a lab's data server, say. It shows what it will do, and asks. The token is the one that you
    have for the auth server; it is saved in a secret file of the host. You stay logged in when you
    undo it.

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
        fail("Nothing was saved. Where nobody can be asked, add --yes.")
    path = TokenStore().save(plan.token.value, plan.host, overwrite=True)
    say(f"Saved in {short(path)}. To undo it: cave-auth trust --undo {plan.host}", fg="green")
    _insist_on_trust(host)


def _insist_on_trust(host: str) -> None:
    """Fail where the file makes the host no trusted one, because others can write there."""
    if doubtful_file(host):
        raise NotTrusted(host)


def _undo(host: str) -> None:
    """Forget the token in a host's own file; every other file stays as it is.

    ``logout`` would log out of the whole deployment: a lab's data server and its auth server hold
    the same token, and nothing on this computer tells which of them is which.
    """
    store = TokenStore()
    path = short(store.path_for(host))
    if not store.delete(host):
        fail(f"{host} has no token in a file of its own: {path}. Nothing was changed.", NO_TOKEN)
    say(f"Forgotten, in {path}. No other file was changed.", fg="green")


class _Plan(NamedTuple):
    """What is about to be saved.

    :ivar present: the token that the host's own file has, and that is replaced.
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
            f"Requests to https://{self.host} carry it from then on. Those who run that host can "
            f"then do what you can do at {self.server}. Go on only if you know them.",
        ]
        if self.present:
            found.append(f"Another token is in {path}, and is replaced.")
        return found


def _plan(host: str, server: str) -> _Plan | None:
    """What there is to do; None if nothing is."""
    if not trusted_by_file(host):
        raise InvalidHostSpec(
            f"A secret file makes no host called {host!r} a trusted one. To trust it all the same, "
            "name it in the variable CAVE_AUTH_HOSTS."
        )
    origin = origin_of(server)
    token = Credentials().token_for(origin)
    if token is None:
        raise not_logged_in(origin.server)
    present = TokenStore().load(host)
    if present == token.value:
        return None
    # The server is asked, so that no dead token, and none of another server's, is passed on.
    return _Plan(host, origin.server, person(signed_with(token, server).me()), token, present)


def _auth_server(host: str, named: str | None) -> str:
    """The auth server whose token the host gets: the one named, its own, or the only one."""
    home = auth_server_of(origin_of(host))
    if named is not None:
        if home is not None and auth_server_of(origin_of(named)) != home:
            fail(f"{host} takes tokens of {home}, and of no other: cave-auth trust {host}", USAGE)
        return named
    if home is not None:
        return f"https://{home}"
    servers = {each.auth_servers[0] for each in holdings() if each.token}
    if len(servers) == 1:
        return f"https://{servers.pop()}"
    if not servers:
        fail(
            "You are not logged in. Log in to the host's auth server first: cave-auth login",
            NO_TOKEN,
        )
    known = "\n".join(f"  cave-auth trust {host} --server {each}" for each in sorted(servers))
    fail(f"You use {len(servers)} tokens. Say whose the host gets:\n{known}", USAGE)
