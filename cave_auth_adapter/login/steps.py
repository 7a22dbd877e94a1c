"""The steps of a login: receive a token, exchange it for a lasting key, and save the key.

The auth service redirects the browser to an address on this computer, with a login token that
expires in seven days (the loopback redirect of RFC 8252, section 7.3). We make an API key with it,
and then revoke it.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import NamedTuple

from ..diagnose.status import key_in_use, signed_with, trusted
from ..errors import CaveAuthError, InvalidToken, LoginFailed, TokenNotFound, TokenRefused
from ..providers import tokens_changed
from ..saving import DeploymentFiles
from ..service import DEFAULT_SERVER, AuthServer, User
from ..shells import quoted, unset
from ..sources import Credentials
from ..sources.endings import note_end
from ..store import TokenStore
from ..tokens import DEFAULT_KEY, Source, Token
from ..words import files, person, printable, short, where
from . import pages
from .accounts import name_in_variable
from .around import look_around, offer_other_files
from .arrival import Brought, arrivals
from .dialogue import Dialogue
from .keys import new_key
from .names import explaining_wrong_servers, probe
from .places import below_notebook

_PASTES = 3  # wrong pastes until the login fails


class Account(NamedTuple):
    """An account at a server; ``user`` is None if the server refuses its token."""

    token: Token
    user: User | None


@dataclass(frozen=True)
class Options:
    """The parameters of :func:`cave_auth_adapter.login.login`."""

    in_browser: bool
    store_key: bool = True
    overwrite: bool = False
    default: bool = False
    account: str | None = None
    timeout: float = 300.0  # seconds
    token: str | None = field(default=None, repr=False)
    trust_data_servers: bool = False

    def as_call(self, server: str) -> str:
        """A call of ``login()`` with the same parameters."""
        arguments = [] if server == DEFAULT_SERVER else [repr(server.removeprefix("https://"))]
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name not in ("in_browser", "token") and value != each.default:
                arguments.append(f"{each.name}={value!r}")
        return f"login({', '.join(arguments)})"

    def as_command(self, server: str) -> str:
        """A command that logs in with the same options."""
        flags = {
            "--overwrite": self.overwrite,
            "--default": self.default,
            "--no-store-key": not self.store_key,
            "--trust-data-servers": self.trust_data_servers,
        }
        words = ["cave-auth login", server.removeprefix("https://")]
        words += [f"--as {quoted(self.account)}"] if self.account else []
        return " ".join([*words, *(flag for flag, is_on in flags.items() if is_on)])


def log_in(server: str, talk: Dialogue, options: Options) -> None:
    """Take all steps of a login.

    :param server: as :func:`base_url` returns it.
    """
    if options.token is None and not talk.asks and below_notebook():
        raise LoginFailed(
            "A command in a notebook can't ask you for anything. Run these lines in a separate "
            f"cell:\n\nfrom cave_auth_adapter import login\n{options.as_call(server)}"
        )
    tokens_changed()  # no cached token: a file may have changed just now
    if options.account is None and (name := name_in_variable(server)):
        talk.tell(f"CAVE_AUTH_ACCOUNT is set: this is the login of the account {name!r}.")
        options = replace(options, account=name)
    with explaining_wrong_servers(server):
        present = _account_in_use(server, options.account)
        if present is None:
            probe(server)
    if present and present.user and not options.overwrite:
        _stay_logged_in(server, present.token, present.user, talk, options)
        return
    before = present if options.account else _account_to_replace(server, present)
    try:
        now = _log_in_again(server, before, talk, options)
    except KeyboardInterrupt:
        talk.warn("Nothing was saved.")
        raise
    if options.account is None or _take_into_use(server, options.account, now.token, talk):
        offer_other_files(server, now.token, talk)
        look_around(server, now.token, talk, options.trust_data_servers)
    if before is not None:  # the last question: by now, no other file need hold the old key
        _offer_to_end_key(server, before, now, talk)


def _take_into_use(server: str, account: str, token: Token, talk: Dialogue) -> bool:
    """Use a named account in all tools if no other is in use; return whether they use it."""
    files = DeploymentFiles(server)
    present = files.in_use
    if present is None:
        files.save(token.value)
    elif present != token.value:
        home = server.removeprefix("https://")
        talk.tell(
            "Another token is still in use. To use this one:\n"
            f"  cave-auth switch {quoted(account)} --server {home}"
        )
        return False
    return True


def _log_in_again(server: str, before: Account | None, talk: Dialogue, options: Options) -> Account:
    """Wait for a token and accept it; after a wrong paste, ask again."""
    if options.token is None and not options.in_browser and not talk.asks:
        raise LoginFailed(
            "There is no browser here, and nobody to ask. Pass a token on stdin: "
            f"{options.as_command(server)} --token-stdin"
        )
    with arrivals(
        server,
        talk,
        token=options.token,
        in_browser=options.in_browser,
        timeout=options.timeout,
    ) as coming:
        wrong = 0
        while True:
            brought = None
            try:
                brought = coming.wait()
                return _accept_or_explain(server, brought, before, talk, options)
            except (InvalidToken, TokenRefused) as error:
                wrong += 1
                pasted = options.token is None and (brought is None or brought.pasted)
                if not pasted or wrong == _PASTES:
                    raise
                talk.warn(f"{_what_is_wrong(error)} Try again; the address above is still valid.")


def _what_is_wrong(error: InvalidToken | TokenRefused) -> str:
    """The error of a paste without its advice: to log in again, for one, is already under way."""
    if isinstance(error, TokenRefused):
        return f"{error.host} refuses the token that you pasted: it is invalid or has expired."
    return str(error)


def _stay_logged_in(
    server: str, token: Token, user: User, talk: Dialogue, options: Options
) -> None:
    """Keep a token that works, and do what else the options say."""
    already = f"You are already logged in to {server} as {person(user)}."
    if options.token not in (None, token.value):
        raise LoginFailed(f"{already} To replace that token, add --overwrite (overwrite=True).")
    talk.tell(already, good=True)
    talk.tell(
        f"The token is from {where(token.source)}.\n"
        "To log in again, add --overwrite (overwrite=True)."
    )
    if TokenStore().load(server) == token.value:
        if options.default:
            DeploymentFiles(server).save(token.value, default=True)
        offer_other_files(server, token, talk)
    if options.trust_data_servers:
        look_around(server, token, talk, options.trust_data_servers)


def _account_in_use(server: str, name: str | None) -> Account | None:
    """The account in use for a server, or the named one; None if there is none."""
    if name is not None:
        saved = TokenStore().load(server, name)
        source = Source("file", TokenStore().path_for(server), name)
        return _account_of(Token(saved, source), server) if saved else None
    origin = trusted(server)
    token = Credentials().token_for(origin) if origin else None
    return _account_of(token, server) if token else None


def _account_to_replace(server: str, present: Account | None) -> Account | None:
    """The account whose token in the secret files a login replaces.

    :raises LoginFailed: if a variable outranks the secret files with a token that is refused.
    """
    name = next((name for name in ("CAVE_TOKEN", "CAVE_TOKEN_FILE") if os.environ.get(name)), None)
    if name is None:
        return present
    if present and present.user is None:
        raise LoginFailed(
            f"The variable {name} holds a token that {server} refuses, and it outranks the token "
            f"that a login saves. Remove it first: {unset(name)}"
        )
    saved = TokenStore().load(server)
    return (
        _account_of(
            Token(saved, Source("file", TokenStore().path_for(server), DEFAULT_KEY)), server
        )
        if saved
        else None
    )


def _account_of(token: Token, server: str) -> Account:
    try:
        return Account(token, signed_with(token, server).me())
    except (TokenRefused, TokenNotFound):
        return Account(token, None)


# --- Accepting a token -----------------------------------------------------------------------


def _accept_or_explain(
    server: str, brought: Brought, before: Account | None, talk: Dialogue, options: Options
) -> Account:
    """Accept a token; if that fails, show the reason in the browser that brought it."""
    try:
        return _accept(server, brought, before, talk, options)
    except CaveAuthError as error:
        brought.show(pages.failure(error))
        raise


def _accept(
    server: str, brought: Brought, before: Account | None, talk: Dialogue, options: Options
) -> Account:
    """Verify a token, make an API key with it, save the key, and revoke the token."""
    given = Token(brought.token, Source("login"))
    visitor = signed_with(given, server)
    user = visitor.me()
    lasts = key_in_use(visitor, given) is not None
    ends = not lasts
    try:
        if options.token is None:
            _ask_before_change(server, user, before, brought, talk)
        if lasts or not options.store_key:
            token = given
            kind = "your API key" if lasts else "the login token, which expires in 7 days,"
            paths = _save(server, user, token.value, before, options)
            if ends:
                _note_end(visitor, token, talk)
            ends = False
        else:
            with new_key(visitor, user) as (token, name):
                kind = f"a new API key, named {name!r},"
                paths = _save(server, user, token.value, before, options)
    finally:
        if ends:
            # If this fails, ignore it: the token expires within seven days.
            with contextlib.suppress(CaveAuthError):
                visitor.log_out()
    brought.show(pages.logged_in(person(user), server.partition("://")[2]))
    talk.tell(f"Logged in to {server} as {person(user)}.", good=True)
    talk.tell(f"Saved {kind} in\n{files(paths)}")
    if options.default and TokenStore().path_for() not in paths:
        talk.warn(f"{short(TokenStore().path_for())} has another token, which was not changed.")
    return Account(token, user)


def _note_end(visitor: AuthServer, token: Token, talk: Dialogue) -> None:
    """Note when a saved login token expires, so that programs can warn on its last day."""
    try:
        seconds = visitor.time_to_live()
        if seconds is not None:
            note_end(token.value, seconds)
    except CaveAuthError as error:
        talk.warn(f"The time at which the login token expires could not be saved. {error}")


def _ask_before_change(
    server: str, user: User, before: Account | None, brought: Brought, talk: Dialogue
) -> None:
    """Ask before a change of accounts: a link may log the user in to another person's account.

    This is login CSRF (RFC 6749, section 10.12).
    """
    if before is None or before.user is None or before.user["id"] == user["id"]:
        return
    brought.show(pages.question(person(user), server.partition("://")[2]))
    talk.warn(f"You logged in as {person(user)}.")
    if not talk.confirm(f"Until now you were {person(before.user)} at {server}. Change accounts?"):
        home = server.removeprefix("https://")
        raise LoginFailed(
            "The account was not changed, and nothing was saved. To use both: "
            f"cave-auth login {home} --as NAME"
        )


def _save(
    server: str, user: User, token: str, before: Account | None, options: Options
) -> list[Path]:
    """Save a token for a server, and in each file of its deployment that holds the old one."""
    return DeploymentFiles(server, options.account or DEFAULT_KEY).save(
        token,
        replaced=before.token.value if before else None,
        same_account=bool(before and before.user and before.user["id"] == user["id"]),
        default=options.default,
        overwrite=options.overwrite,
    )


def _offer_to_end_key(server: str, before: Account, now: Account, talk: Dialogue) -> None:
    """Offer to revoke the key that a login has replaced, if it is the same account's."""
    if not before.user or not now.user or before.user["id"] != now.user["id"]:
        return
    if before.token == now.token:
        return
    visitor, home = signed_with(now.token, server), server.removeprefix("https://")
    try:
        key = key_in_use(visitor, before.token)
        if key is None:
            return
        named = f"The old key, {printable(key.description or key.id)!r},"
        end = f"To revoke it: cave-auth keys revoke {key.id} --server {home}"
        if left := TokenStore().holding(before.token.value):
            talk.warn(f"{named} still works, and is in use in\n{files(left)}\n{end}")
        elif talk.confirm(f"{named} still works. Revoke it, for everything that uses it?"):
            visitor.revoke_key(key.id)
            talk.tell(f"{named} is revoked. Services may accept it for a few more minutes.")
        else:
            talk.tell(f"{named} still works.\n{end}")
    except KeyboardInterrupt:
        talk.warn(f"\nThe old key may still work. To see it: cave-auth keys list --server {home}")
        raise
    except CaveAuthError as error:
        talk.warn(f"The old key could not be revoked. {error}")
