"""``keys``: the account's API keys at the server."""

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
from .common import FAILED, Group, as_json, fail, origin_of, print_json
from .holding import chosen_holding, server_option


@click.group(cls=Group)
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
            "this computer" if _is(key, holding.token) else "",
        )
        for key in found
    ]
    for line in table(("ID", "DESCRIPTION", "CREATED", "LAST USED", ""), rows):
        say(line)


@keys.command()
@click.argument("description", default="")
@server_option
def create(description: str, server: str | None) -> None:
    """Make an API key and print it. It is shown only now, and not saved.

    \b
    cave-auth keys create "nightly job" |
        ssh cluster cave-auth login --token-stdin
    """
    auth, _ = chosen_holding(server).ask()
    key = auth.create_key(description or key_name())
    say("A new API key. It is shown only now, and is valid until you revoke it.", err=True)
    click.echo(key)


@keys.command()
@click.argument("key_id", metavar="ID", type=int)
@click.option("--yes", is_flag=True, help="Even if this computer uses the key.")
@server_option
def revoke(key_id: int, yes: bool, server: str | None) -> None:
    """Revoke an API key: nobody can use it any more."""
    holding = chosen_holding(server)
    auth, _ = holding.ask()
    home = origin_of(auth.server_address).server
    key = next((key for key in auth.api_keys() if key.id == key_id), None)
    if key is None:
        fail(
            f"You have no key with the id {key_id} at {home}. List them: cave-auth keys list "
            f"--server {home}"
        )
    if _is(key, holding.token) and not yes:
        fail(f"This computer uses that key. Add --yes, or: cave-auth logout {home} --revoke")
    auth.revoke_key(key_id)
    say(
        f"Revoked {printable(key.description or key_id)!r}. Services may accept it for a few more "
        "minutes."
    )


@keys.command("rotate")
@click.option(
    "--yes", is_flag=True, help="Revoke the old key without asking, unless a file still has it."
)
@server_option
def rotate_key(yes: bool, server: str | None) -> None:
    """Replace the key that this computer uses by a new one, and revoke the old one.

    Do this if somebody may have seen your token. The new key is saved in each secret file of the
    deployment that holds the old one. Files of other servers that hold it are listed; with --yes,
    the old key is then not revoked. Other computers that use the old key must log in again.

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
            "These files still have the old key: they belong to another server, or can't be "
            f"written.\n{files(done.left)}\nThey stop working when it is revoked.",
            err=True,
            fg="yellow",
        )
    home = origin_of(done.server.server_address).server
    end = f"To revoke it: cave-auth keys revoke {done.old_id} --server {home}"
    try:
        if not _may_end_old(yes, left=bool(done.left)):
            say(f"The old key still works. {end}", err=True, fg="yellow")
            sys.exit(FAILED if yes else 0)
        done.end_old()
    except KeyboardInterrupt:
        say(f"\nThe old key may still work. {end}", err=True, fg="yellow")
        raise
    except CaveAuthError:
        say(f"The old key may still work. {end}", err=True, fg="yellow")
        raise
    say("Revoked the old key. Services may accept it for a few more minutes.")


def _may_end_old(yes: bool, left: bool) -> bool:
    """Whether to revoke the old key. If files still have it, ``--yes`` is not enough."""
    if left:
        return not yes and _confirm("Revoke the old key anyway, for everything that uses it?")
    return yes or _confirm("Revoke the old key now, for everything that uses it?")


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
    """A time of the auth service (RFC 1123), in this computer's time zone."""
    if not text:
        return "never"
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return parsedate_to_datetime(text).astimezone().strftime("%Y-%m-%d %H:%M")
    return printable(text, 16)
