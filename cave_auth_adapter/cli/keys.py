"""``keys``: the API keys of the account, at the server."""

from __future__ import annotations

import click

from ..diagnose.check import NotTrusted
from ..diagnose.status import Holding, holding_for, holdings, not_logged_in, trusted
from ..login.keys import key_name
from ..service import DEFAULT_SERVER, ApiKey
from ..tokens import Token
from ..words import printable, say, table
from .common import USAGE, Server, as_json, fail, origin_of, print_json

_server = click.option(
    "--server", type=Server(), help="The auth server; needed if you use several."
)


@click.group()
def keys() -> None:
    """List, make and revoke your API keys.

    \b
    cave-auth keys list
    cave-auth keys create "nightly job on the cluster"
    cave-auth keys revoke 17
    """


@keys.command("list")
@_server
@as_json
def list_keys(server: str | None, as_json: bool) -> None:
    """List your API keys; their values are not shown."""
    holding = _holding(server)
    auth, _ = holding.ask()
    found = auth.api_keys()
    if as_json:
        print_json([_described(key, holding.token) for key in found])
        return
    rows = [
        (
            key.id,
            key.description or "-",
            _day(key.created),
            _day(key.last_used),
            "this machine" if _is(key, holding.token) else "",
        )
        for key in found
    ]
    for line in table(("ID", "DESCRIPTION", "CREATED", "LAST USED", ""), rows):
        say(line)


@keys.command()
@click.argument("description", default="")
@_server
def create(description: str, server: str | None) -> None:
    """Make an API key and print it, this once. It is not saved.

    \b
    cave-auth keys create "nightly job" | ssh cluster cave-auth login --token-stdin
    """
    auth, _ = _holding(server).ask()
    key = auth.create_key(description or key_name())
    say("A new API key. It is shown only now, and lasts until you revoke it.", err=True)
    click.echo(key)


@keys.command()
@click.argument("key_id", metavar="ID", type=int)
@click.option("--yes", is_flag=True, help="Even if it is the key that this machine uses.")
@_server
def revoke(key_id: int, yes: bool, server: str | None) -> None:
    """Revoke an API key: nobody can use it any more."""
    holding = _holding(server)
    auth, _ = holding.ask()
    key = next((key for key in auth.api_keys() if key.id == key_id), None)
    if key is None:
        fail(f"You have no key with the id {key_id}. List them: cave-auth keys list")
    if _is(key, holding.token) and not yes:
        fail("That is the key this machine uses: cave-auth logout --revoke, or add --yes.")
    auth.revoke_key(key_id)
    say(
        f"Revoked {printable(key.description or key_id)!r}. Services may accept it for some "
        "minutes more."
    )


def _holding(server: str | None) -> Holding:
    """The token to ask with: that of the server named, or the only one."""
    if server is not None:
        if trusted(server) is None:
            raise NotTrusted(server)
        return holding_for(origin_of(server))
    found = holdings()
    if not found:
        raise not_logged_in(origin_of(DEFAULT_SERVER).server)
    if len(found) > 1:
        names = "\n".join(f"  --server {each.auth_servers[0]}" for each in found)
        fail(f"You use {len(found)} tokens. Say which server you mean:\n{names}", USAGE)
    return found[0]


def _is(key: ApiKey, token: Token | None) -> bool:
    return token is not None and key.token == token.value


def _described(key: ApiKey, token: Token | None) -> dict[str, object]:
    return {
        "id": key.id,
        "description": key.description,
        "created": key.created,
        "last_used": key.last_used,
        "in_use_here": _is(key, token),
    }


def _day(moment: str | None) -> str:
    return printable((moment or "never")[:16])
