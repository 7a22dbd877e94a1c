"""Choose the token that a command uses: by ``--server``, or the only one."""

from __future__ import annotations

import os

import click

from ..diagnose.check import NotTrusted
from ..diagnose.status import Holding, holding_for, holdings, not_logged_in, trusted
from ..origins import auth_server_of
from ..saving import named, saved_name
from ..service import DEFAULT_SERVER
from ..store import TokenStore
from ..tokens import Source, Token
from ..words import printable, say
from .common import NO_TOKEN, USAGE, Server, fail, origin_of

server_option = click.option(
    "--server", type=Server(), help="The auth server; needed if you use several."
)


def chosen_holding(server: str | None) -> Holding:
    """The named server's token, or the only one."""
    if server is not None:
        if trusted(server) is None:
            home = origin_of(server).server
            raise NotTrusted(
                server,
                f"{home} is not trusted, so it gets no token. If it is your auth server, log in "
                f"there: cave-auth login {home}",
            )
        return holding_for(origin_of(server))
    found = holdings()
    if not found:
        raise not_logged_in(origin_of(DEFAULT_SERVER).server)
    if len(found) > 1:
        names = "\n".join(f"  --server {each.auth_servers[0]}" for each in found)
        fail(f"You have {len(found)} tokens. Choose a server:\n{names}", USAGE)
    return found[0]


def home_of(server: str) -> str:
    """The auth server of a server; the server itself if no other is known."""
    origin = origin_of(server)
    return auth_server_of(origin) or origin.server


def server_with(name: str, server: str | None) -> str:
    """The server whose secret file has an account of that name: the named one, or the only one.

    In place of a data server, its auth server is taken.
    """
    if server is not None:
        own = origin_of(server).server
        return own if saved_name(name, named(own)) else home_of(server)
    found = [each for each in TokenStore().servers() if saved_name(name, named(each))]
    if len(found) == 1:
        return found[0]
    if not found:
        fail(
            f"There is no account named {printable(name)!r}. List them: cave-auth accounts",
            NO_TOKEN,
        )
    choices = "\n".join(f"  --server {each}" for each in found)
    fail(f"Several servers have an account of that name. Choose one:\n{choices}", USAGE)


def named_holding(name: str, server: str | None) -> Holding:
    """The token that is saved under the name of an account."""
    home = server_with(name, server)
    names = named(home)
    saved = saved_name(name, names)
    if saved is None:
        fail(f"There is no account named {printable(name)!r} for {home}.", NO_TOKEN)
    source = Source("file", TokenStore().path_for(home), saved)
    return Holding((home,), Token(names[saved], source))


def warn_of_variables() -> None:
    """Say which variables give a token, whatever the secret files hold."""
    for variable in ("CAVE_TOKEN", "CAVE_TOKEN_FILE"):
        if os.environ.get(variable):
            say(f"The variable {variable} is set, and still gives a token.", err=True, fg="yellow")
