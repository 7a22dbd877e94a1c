"""``login``, ``logout``, ``status``, ``whoami``: the accounts in use on this computer."""

from __future__ import annotations

import contextlib
import sys

import click

from ..diagnose.check import NotTrusted
from ..diagnose.status import (
    Holding,
    Status,
    holding_for,
    holdings,
    key_in_use,
    not_logged_in,
    signed_with,
    status_of,
    statuses_of,
    trusted,
)
from ..errors import CaveAuthError, TokenFileError, TokenRefused
from ..login import login as log_in
from ..login.dialogue import default_dialogue
from ..login.paste import token_in_paste
from ..saving import DeploymentFiles, named
from ..service import DEFAULT_SERVER
from ..shells import unset
from ..store import TokenStore
from ..tokens import LAST_DAY, Token
from ..words import files, labelled, person, printable, say, short, span
from .common import FAILED, NO_TOKEN, Server, Url, as_json, exit_code, fail, origin_of, print_json
from .holding import named_holding, warn_of_variables


@click.command()
@click.argument("server", type=Server(), default=DEFAULT_SERVER)
@click.option("--no-browser", is_flag=True, help="Show an address to open, and ask for the result.")
@click.option("--token-stdin", is_flag=True, help="Read a token from stdin, for scripts.")
@click.option("--overwrite", is_flag=True, help="Log in again, even if the saved token works.")
@click.option("--default", is_flag=True, help="Save the token in cave-secret.json as well.")
@click.option(
    "--as", "account", metavar="NAME", help="A name for this account, if you have several there."
)
@click.option("--no-store-key", is_flag=True, help="Save the login token, valid for 7 days.")
@click.option(
    "--trust-data-servers",
    is_flag=True,
    help="Send the token to every data server that the info service names.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, 86400, min_open=True),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the browser.",
)
def login(
    server: str,
    no_browser: bool,
    token_stdin: bool,
    overwrite: bool,
    default: bool,
    account: str | None,
    no_store_key: bool,
    trust_data_servers: bool,
    timeout: float,
) -> None:
    """Log in to a CAVE server in your browser.

    This makes an API key, which is valid until you revoke it, and saves it.

    Without SERVER, it is global.daf-apis.com, the server of MICrONS, FlyWire, FANC and BANC.

    \b
    cave-auth login
    cave-auth login global.em.brain.allentech.org
    cave-auth login --no-browser     on a remote computer
    cat my-token.txt | cave-auth login --token-stdin
    """
    token = _token_on_stdin(origin_of(server).server) if token_stdin else None
    log_in(
        server,
        open_browser=not no_browser,
        store_key=not no_store_key,
        overwrite=overwrite,
        default=default,
        account=account,
        timeout=timeout,
        token=token,
        trust_data_servers=trust_data_servers,
        dialogue=default_dialogue(),
    )


def _token_on_stdin(server: str) -> str:
    text = sys.stdin.readline(1 << 16).strip()
    if not text:
        fail(f"There is no token on stdin: cave-auth login {server} --token-stdin < FILE", NO_TOKEN)
    if text.startswith("{"):  # a secret file may have several lines
        text += sys.stdin.read(1 << 16)
    return token_in_paste(text, what="The input")


@click.command()
@click.argument("server", type=Server(), required=False)
@click.option("--as", "account", metavar="NAME", help="The account of that name, and no other.")
@click.option("--revoke", is_flag=True, help="Revoke the key at the server as well.")
def logout(server: str | None, account: str | None, revoke: bool) -> None:
    """Delete a saved token.

    It is deleted from the server's file, and from the other files of its deployment. You need not
    name SERVER if there is only one token.

    \b
    cave-auth logout
    cave-auth logout --revoke     end the key, too
    """
    holding = _saved(server) if account is None else named_holding(account, server)
    assert holding.token is not None  # noqa: S101 - both have checked it
    token, home = holding.token, holding.auth_servers[0]
    if server and account is None:
        home = origin_of(server).server
    secret_files = DeploymentFiles(home)
    accepted = _revoke(holding) if revoke else _accepts_default(secret_files, token)
    paths = secret_files.forget(token.value, accepted=accepted)
    if paths:
        say(f"Deleted the token from\n{files(paths)}")
        if not revoke:
            page = f"https://{secret_files.deployment}/sticky_auth/settings/tokens"
            say(f"The key itself still works. To revoke it, open {page}")
    left = _left_in_default(secret_files, token)
    if left:
        say(left, err=True, fg="yellow")
    elif not paths:
        kind = token.source.kind
        remedy = f"To remove it: {unset(kind)}" if kind.startswith("CAVE_") else "Remove it there."
        fail(f"The token is from {token.source}. {remedy}")
    if others := ", ".join(printable(each) for each in named(home)):
        say(f"Still saved for {home}: {others}. To use another account: cave-auth switch NAME")
    warn_of_variables()
    if not paths:
        sys.exit(FAILED)


def _accepts_default(secret_files: DeploymentFiles, token: Token) -> bool:
    """Whether the default deployment accepts a token that only ``cave-secret.json`` holds."""
    if not secret_files.is_default or secret_files.owners_of(token.value):
        return False
    with contextlib.suppress(CaveAuthError):
        signed_with(token, secret_files.deployment).me()
        return True
    return False


def _left_in_default(secret_files: DeploymentFiles, token: Token) -> str:
    """A warning if ``cave-secret.json`` still holds the token."""
    with contextlib.suppress(TokenFileError):
        if secret_files.default_token == token.value:
            path = short(TokenStore().path_for())
            owners = sorted(secret_files.owners_of(token.value))
            if owners:
                return f"{path} keeps the token: {owners[0]} uses the same one."
            return (
                f"{path} keeps the token, because it may belong to another deployment than "
                f"{secret_files.deployment}. If it does not, delete that file."
            )
    return ""


def _saved(server: str | None) -> Holding:
    """The token to delete: the named server's, or the only one."""
    if server is not None:
        origin = origin_of(server)
        if trusted(server) is None:
            fail(
                f"There is no token for {origin.server} to delete. To see what is saved: "
                "cave-auth status",
                NO_TOKEN,
            )
        return holding_for(origin)
    found = [holding for holding in holdings() if holding.token]
    if not found:
        fail("You are not logged in: there is no token to delete.", NO_TOKEN)
    if len(found) > 1:
        names = "\n".join(f"  cave-auth logout {each.auth_servers[0]}" for each in found)
        fail(f"There are {len(found)} tokens. Choose one:\n{names}", 2)
    return found[0]


def _revoke(holding: Holding) -> bool:
    """Revoke a token at the server; return whether the server knew it."""
    assert holding.token is not None  # noqa: S101 - _saved() has checked it
    try:
        server, user = holding.ask()
        key = key_in_use(server, holding.token)
        if key is not None:
            server.revoke_key(key.id)
            what = f"the API key {printable(key.description or key.id)!r}"
        else:
            server.log_out()
            what = "the login token"
    except TokenRefused:
        say("The server refuses the token already: there is nothing to revoke.")
        return False
    say(f"Revoked {what} of {person(user)}.\nServices may accept it for a few more minutes.")
    return True


@click.command()
@click.argument("server", metavar="[HOST|URL]", type=Url(), required=False)
@as_json
def status(server: str | None, as_json: bool) -> None:
    """Show who you are, with which token, and until when.

    \b
    cave-auth status
    cave-auth status minnie.microns-daf.com
    cave-auth status --json | jq '.[].user.name'
    """
    found = _statuses(server)
    if as_json:
        print_json([each.as_json() for each in found])
    else:
        for number, each in enumerate(found):
            _show(each, first=number == 0)
    if not found:
        if not as_json:
            say("You are not logged in. Log in: cave-auth login", err=True)
        sys.exit(NO_TOKEN)
    if errors := [each.error for each in found if each.error]:
        sys.exit(exit_code(errors[0]))


def _statuses(url: str | None) -> list[Status]:
    if url is None:
        return statuses_of(holdings())
    origin = trusted(url)
    if origin is None:
        raise NotTrusted(url)
    return [status_of(holding_for(origin))]


def _show(status: Status, first: bool) -> None:
    if not first:
        say()
    say(status.server, bold=True, fg="red" if status.problem else "green")
    for label, text in status.lines():
        alarming = label in ("problem", "to accept")
        say(labelled(f"  {label}", short(text)), fg="yellow" if alarming else None)
    if status.expires_in is not None and status.expires_in < LAST_DAY:
        say(
            f"This login token expires in {span(status.expires_in)}. For a lasting key: "
            f"cave-auth login {status.server} --overwrite",
            err=True,
            fg="yellow",
        )


@click.command()
@click.argument("server", type=Server(), required=False)
@as_json
def whoami(server: str | None, as_json: bool) -> None:
    """Show who you are, one line for each account.

    \b
    cave-auth whoami
    cave-auth whoami global.daf-apis.com
    """
    found = _statuses(server)
    if as_json:
        print_json([{"server": each.server, "user": each.user} for each in found])
    if not found:
        raise not_logged_in(origin_of(DEFAULT_SERVER).server)
    for each in found:
        if each.error:
            raise each.error
        if not as_json:
            assert each.user is not None  # noqa: S101 - there was no error
            say(f"{person(each.user)} at {each.server}")
