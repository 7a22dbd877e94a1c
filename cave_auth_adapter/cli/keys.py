"""``keys``: the API keys of the account, at the server."""

from __future__ import annotations

import contextlib
import sys
from email.utils import parsedate_to_datetime

import click

from ..errors import CaveAuthError
from ..login.dialogue import default_dialogue
from ..login.keys import rotate
from ..service import ApiKey
from ..service.keynames import key_name
from ..tokens import Token
from ..words import files, printable, say, table
from .common import FAILED, as_json, fail, print_json
from .holding import chosen_holding, server_option


@click.group()
def keys() -> None:
    """List, make, replace and revoke your API keys.

    \b
    cave-auth keys list
    cave-auth keys rotate
    cave-auth keys create "nightly job on the cluster"
    cave-auth keys revoke 17
    """


@keys.command("list")
@server_option
@as_json
def list_keys(server: str | None, as_json: bool) -> None:
    """List your API keys; their values are not shown."""
    holding = chosen_holding(server)
    auth, _ = holding.ask()
    found = auth.api_keys()
    if as_json:
        print_json([_described(key, holding.token) for key in found])
        return
    rows = [
        (
            key.id,
            key.description or "-",
            _moment(key.created),
            _moment(key.last_used),
            "this machine" if _is(key, holding.token) else "",
        )
        for key in found
    ]
    for line in table(("ID", "DESCRIPTION", "CREATED", "LAST USED", ""), rows):
        say(line)


@keys.command()
@click.argument("description", default="")
@server_option
def create(description: str, server: str | None) -> None:
    """Make an API key and print it, this once. It is not saved.

    \b
    cave-auth keys create "nightly job" | ssh cluster cave-auth login --token-stdin
    """
    auth, _ = chosen_holding(server).ask()
    key = auth.create_key(description or key_name())
    say("A new API key. It is shown only now, and lasts until you revoke it.", err=True)
    click.echo(key)


@keys.command()
@click.argument("key_id", metavar="ID", type=int)
@click.option("--yes", is_flag=True, help="Even if it is the key that this machine uses.")
@server_option
def revoke(key_id: int, yes: bool, server: str | None) -> None:
    """Revoke an API key: nobody can use it any more."""
    holding = chosen_holding(server)
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


@keys.command("rotate")
@click.option(
    "--yes", is_flag=True, help="End the old key without asking, unless a file is left with it."
)
@server_option
def rotate_key(yes: bool, server: str | None) -> None:
    """Put a new key in the place of the one that this machine uses, and end that.

    Do this when somebody may have seen your token. The new key is saved in each secret file of the
    deployment that holds the old one. A file of another server that holds it is listed, and with
    --yes the old key is then not ended. Other computers that use the old one have to log in again.

    \b
    cave-auth keys rotate
    cave-auth keys rotate --server global.daf-apis.com --yes
    """
    auth, user = (holding := chosen_holding(server)).ask()
    assert holding.token is not None  # noqa: S101 - ask() has checked it
    done = rotate(auth, user, holding.token)
    say(f"Saved a new API key, named {done.name!r}, in\n{files(done.paths)}")
    if done.left:
        say(
            "The old key is left in these files, which are another server's or can't be written:\n"
            f"{files(done.left)}\nThey stop working when it ends.",
            err=True,
            fg="yellow",
        )
    end = f"To end it: cave-auth keys revoke {done.old_id} --server {done.server.server_address}"
    if not _may_end_old(yes, left=bool(done.left)):
        say(f"The old key still works. {end}", err=True, fg="yellow")
        sys.exit(FAILED if yes else 0)
    try:
        done.end_old()
    except CaveAuthError:
        say(f"The old key may still work. {end}", err=True, fg="yellow")
        raise
    say("Ended the old key. Services may accept it for some minutes more.")


def _may_end_old(yes: bool, left: bool) -> bool:
    """Whether to end the old key; ``--yes`` alone does not stop files that are left with it."""
    if left:
        return not yes and _confirm("End the old key all the same, for all who use it?")
    return yes or _confirm("End the old key now, for all who use it?")


def _confirm(question: str) -> bool:
    return default_dialogue().confirm(question)


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


def _moment(text: str | None) -> str:
    """A time as the auth service writes it (RFC 1123), in the time zone of this computer."""
    if not text:
        return "never"
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return parsedate_to_datetime(text).astimezone().strftime("%Y-%m-%d %H:%M")
    return printable(text, 16)
