"""The steps of a login: a token comes, a lasting key takes its place, and is saved.

The auth service brings its login token, which lives for seven days, to an address on this machine
(the loopback redirect of RFC 8252, section 7.3). It is exchanged for an API key and then ended.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, urlencode, urlsplit

from ..diagnose.status import key_in_use, signed_with, trusted
from ..errors import (
    CaveAuthError,
    InvalidToken,
    LoginFailed,
    TokenFileError,
    TokenNotFound,
    TokenRefused,
)
from ..origins import HostSpec, Origin, auth_server_of, parse_origin
from ..saving import DeploymentFiles
from ..service import AuthServer, User
from ..sources import Credentials
from ..store import TokenStore
from ..tokens import DEFAULT_KEY, Source, Token, check_token
from ..words import files, person, printable, short, span, where
from . import pages
from .callback import CallbackServer, token_in_query
from .dialogue import Dialogue
from .pages import Page

_DATASTACKS = 100  # that are asked about, at most
_LOOKING_AROUND = 30.0  # seconds for that


class Brought(Protocol):
    """A token that somebody brought, and a way to show them what became of it."""

    @property
    def token(self) -> str: ...

    def show(self, page: Page) -> None: ...


class Account(NamedTuple):
    """The account that is in use for a server; ``user`` is None if the server refuses its token."""

    token: Token
    user: User | None


@dataclass(frozen=True)
class Options:
    """What was asked for: the parameters of :func:`cave_auth_adapter.login.login`."""

    in_browser: bool
    store_key: bool = True
    overwrite: bool = False
    default: bool = False
    timeout: float = 300.0  # seconds
    token: str | None = field(default=None, repr=False)
    trust_data_servers: bool = False


def log_in(server: str, talk: Dialogue, options: Options) -> None:
    """Take all steps.

    :param server: as :func:`base_url` gives it.
    """
    present = _account_in_use(server)
    if present and present.user and not options.overwrite:
        _stay_logged_in(server, present.token, present.user, talk, options)
        return
    before = _account_to_replace(server, present)
    try:
        with _brought(server, talk, options) as brought:
            new = _accept_or_explain(server, brought, before, talk, options)
    except KeyboardInterrupt:
        talk.warn("Nothing was saved.")
        raise
    _offer_default_file(server, new, talk)
    _look_around(server, new, talk, options)


def _stay_logged_in(
    server: str, token: Token, user: User, talk: Dialogue, options: Options
) -> None:
    """Leave a token that works as it is, and do what else was asked for."""
    already = f"You are logged in to {server} as {person(user)} already."
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
        _offer_default_file(server, token, talk)
    if options.trust_data_servers:
        _look_around(server, token, talk, options)


def login_address(server: str, target: str) -> str:
    """The page at which a person logs in, and which then brings the token to ``target``."""
    return f"{server}/sticky_auth/api/v1/authorize?{urlencode({'redirect': target})}"


def _account_in_use(server: str) -> Account | None:
    """The account whose token the server gets today; None if it gets none."""
    origin = trusted(server)
    token = Credentials().token_for(origin) if origin else None
    return _account_of(token, server) if token else None


def _account_to_replace(server: str, present: Account | None) -> Account | None:
    """The account whose token a login takes the place of, in the secret files.

    :raises LoginFailed: if a variable would outrank what is saved, with a token that is dead.
    """
    name = next((name for name in ("CAVE_TOKEN", "CAVE_TOKEN_FILE") if os.environ.get(name)), None)
    if name is None:
        return present
    if present and present.user is None:
        raise LoginFailed(
            f"The variable {name} gives a token that {server} refuses, and it outranks what a "
            f"login saves. Remove it first: unset {name}"
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


# --- How a token comes ---------------------------------------------------------------------


class _Pasted(NamedTuple):
    token: str

    def show(self, page: Page) -> None:
        """Whoever pastes sees the terminal."""

    def __repr__(self) -> str:
        return "<a token that was pasted>"


@contextlib.contextmanager
def _brought(server: str, talk: Dialogue, options: Options) -> Iterator[Brought]:
    if options.token is not None:
        yield _Pasted(check_token(options.token, "the token"))
    elif options.in_browser:
        with CallbackServer() as callbacks:
            address = login_address(server, callbacks.address)
            talk.show_address(address, opened=True)
            _open(address)
            try:
                callback = callbacks.wait(options.timeout, talk.waiting)
            finally:
                talk.waited()
            if callback is None:
                raise LoginFailed(
                    f"Nobody logged in within {span(options.timeout)}; nothing was saved. Try "
                    "again, or add --no-browser to log in with any browser elsewhere."
                )
            yield callback
    else:
        yield _Pasted(_ask(server, talk))


def _open(address: str) -> None:
    import webbrowser

    # Without a browser, the address is on the screen.
    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(address)


def _ask(server: str, talk: Dialogue) -> str:
    """Ask for a token, or for the address at which a login elsewhere ended."""
    if not talk.asks:
        raise LoginFailed(
            "There is no browser here and nobody to ask. Give a token on stdin: "
            "cave-auth login --token-stdin"
        )
    # A server that is gone at once: nothing listens at that address, and its path is nobody's.
    with CallbackServer() as nobody:
        target = nobody.address
    talk.show_address(login_address(server, target), opened=False)
    talk.tell(
        "Your browser then fails to load a page that begins with http://127.0.0.1. Copy its\n"
        "address from the address bar. (Or copy a token from the page\n"
        f"{server}/sticky_auth/settings/tokens)"
    )
    try:
        pasted = talk.ask_secret("Paste it here; it will not be shown: ").strip()
    except EOFError:
        raise LoginFailed("Nothing was pasted, and nothing was saved.") from None
    return _token_in_paste(pasted, target)


def _token_in_paste(pasted: str, target: str) -> str:
    if not pasted:
        raise LoginFailed("Nothing was pasted, and nothing was saved.")
    if "://" not in pasted:
        return check_token(pasted, "what you pasted")
    try:
        parts = urlsplit(pasted)
    except ValueError:
        parts = urlsplit("")
    if f"{parts.scheme}://{parts.netloc}{parts.path}" != target:
        raise InvalidToken(
            "What you pasted is not the address at which this login ends. Log in at the address "
            "above, and copy the one that begins with http://127.0.0.1."
        )
    found = token_in_query(parts.query)
    if found is None:
        raise InvalidToken("The address that you pasted has no token in it. Copy it whole.")
    return found


# --- What becomes of it --------------------------------------------------------------------


def _accept_or_explain(
    server: str, brought: Brought, before: Account | None, talk: Dialogue, options: Options
) -> Token:
    """Accept a token; if that fails, whoever brought it is shown why."""
    try:
        return _accept(server, brought, before, talk, options)
    except CaveAuthError as error:
        brought.show(pages.failure(error))
        raise


def _accept(
    server: str, brought: Brought, before: Account | None, talk: Dialogue, options: Options
) -> Token:
    """Verify a token, make a key of it, save that, and end it."""
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
            paths = _save(server, user, token.value, before, options)
            ends = False
        else:
            with _new_key(visitor, user) as token:
                paths = _save(server, user, token.value, before, options)
    finally:
        if ends:
            # The login is done or has failed; a token that lingers dies within seven days.
            with contextlib.suppress(CaveAuthError):
                visitor.log_out()
    brought.show(pages.logged_in(person(user), server.partition("://")[2]))
    talk.tell(f"Logged in to {server} as {person(user)}.", good=True)
    kind = "an API key of yours" if lasts else f"a new API key, named {key_name()!r},"
    kind = kind if lasts or options.store_key else "the login token, which lives for 7 days,"
    talk.tell(f"Saved {kind} in\n{files(paths)}")
    return token


def _ask_before_change(
    server: str, user: User, before: Account | None, brought: Brought, talk: Dialogue
) -> None:
    """Let nobody slip another account's token in (login CSRF: RFC 6749, section 10.12)."""
    if before is None or before.user is None or before.user["id"] == user["id"]:
        return
    brought.show(pages.question(person(user), server.partition("://")[2]))
    talk.warn(f"This login is that of {person(user)}.")
    if not talk.confirm(f"Until now you were {person(before.user)} at {server}. Change?"):
        raise LoginFailed("The account was not changed, and nothing was saved.")


def key_name() -> str:
    """The description of the keys that are made on this machine."""
    return f"cave-auth on {printable(socket.gethostname(), 60)}"


@contextlib.contextmanager
def _new_key(visitor: AuthServer, user: User) -> Iterator[Token]:
    """A new API key, verified; it is revoked again if it can't be made use of."""
    name, present = key_name(), {key.id for key in visitor.api_keys()}
    try:
        token = Token(visitor.create_key(name), Source("login"))
        if signed_with(token, visitor.server_address).me()["id"] != user["id"]:
            raise visitor.unexpected("an API key of another account")
        yield token
    except BaseException:  # Ctrl-C as well
        # By its name, since it may have been interrupted before it told its value.
        with contextlib.suppress(CaveAuthError):
            for key in visitor.api_keys():
                if key.id not in present and key.description == name:
                    visitor.revoke_key(key.id)
        raise


def _save(
    server: str, user: User, token: str, before: Account | None, options: Options
) -> list[Path]:
    """Save a token for a server, and in each file of its deployment with the one it replaces."""
    return DeploymentFiles(server).save(
        token,
        replaced=before.token.value if before else None,
        same_account=bool(before and before.user and before.user["id"] == user["id"]),
        default=options.default,
        overwrite=options.overwrite,
    )


def _offer_default_file(server: str, token: Token, talk: Dialogue) -> None:
    """Offer to replace another token in ``cave-secret.json``, for the default deployment."""
    files = DeploymentFiles(server)
    with contextlib.suppress(TokenFileError):
        other = files.default_token
        if not files.is_default or other is None or other == token.value:
            return
        owners = ", ".join(sorted(files.owners_of(other)))
        path = short(TokenStore().path_for())
        talk.warn(
            f"{path} holds another token. CloudVolume uses it for each host that has no file of "
            "its own."
        )
        lost = "No other file holds that token."
        if owners:
            lost = f"That token is also in the file of {owners}, and stays there."
        if talk.confirm(f"{lost} Replace it with the one of {files.deployment}?"):
            TokenStore().replace(other, token.value, key=DEFAULT_KEY)
            talk.tell(f"Replaced it in {path}.")
        else:
            talk.warn("It stays. To replace it: cave-auth login --overwrite")


# --- What can be reached with it -----------------------------------------------------------


def _look_around(server: str, token: Token, talk: Dialogue, options: Options) -> None:
    """Tell which datastacks can be reached, and save the token for their own servers."""
    api = signed_with(token, server, timeout=10.0)
    try:
        local_servers = _datastacks(api)
    except CaveAuthError as error:
        talk.warn(f"The datastacks could not be listed. {error}")
        local_servers = {}
    if local_servers:
        names = ", ".join(printable(name, 60) for name in local_servers)
        talk.tell(f"Datastacks that you can reach: {names}")
    own, others = _data_servers(server, local_servers)
    if others and (
        options.trust_data_servers or _may_trust(others, server.partition("://")[2], talk)
    ):
        own += others
    _save_for(own, token, talk)
    in_use = Credentials().token_for(HostSpec.parse(server).origin)
    if in_use != token and in_use is not None:
        talk.warn(
            f"The token from {where(in_use.source)} is still in use, and outranks the new one."
        )


def _datastacks(api: AuthServer) -> dict[str, str]:
    """The datastacks that the token can reach, and the server that each names as its own."""
    until = time.monotonic() + _LOOKING_AROUND
    names: Any = api.call("GET", "/info/api/v2/datastacks")
    if not isinstance(names, list):
        raise api.unexpected("something that is not a list")
    found = {}
    for name in [name for name in names if isinstance(name, str)][:_DATASTACKS]:
        if time.monotonic() > until:
            break
        with contextlib.suppress(CaveAuthError):
            info = api.call("GET", f"/info/api/v2/datastack/full/{quote(name, safe='')}")
            local = info.get("local_server") if isinstance(info, dict) else None
            found[name] = local if isinstance(local, str) else ""
    return found


def _data_servers(server: str, local_servers: dict[str, str]) -> tuple[list[str], list[str]]:
    """The servers of datastacks: those of the same known deployment, and others."""
    home = HostSpec.parse(server).origin
    origins = dict.fromkeys(map(parse_origin, local_servers.values()))
    found = [o for o in origins if o is not None and o.scheme == "https" and o != home]
    own = [o.server for o in found if _same_deployment(o, home)]
    has_file = TokenStore().servers()
    return own, [o.server for o in found if o.server not in (*own, *has_file)]


def _same_deployment(origin: Origin, home: Origin) -> bool:
    deployment = auth_server_of(home)
    return deployment is not None and auth_server_of(origin) == deployment


def _may_trust(servers: list[str], home: str, talk: Dialogue) -> bool:
    """Ask whether to trust servers that only the info service vouches for."""
    names = ", ".join(servers)
    if talk.confirm(f"Their data is on {names}. Send your token there, too?"):
        return True
    talk.warn(
        f"Your token is not sent to {names}: that they are data servers of {home} is its own word. "
        f"If you know them: cave-auth login {home} --trust-data-servers"
    )
    return False


def _save_for(servers: list[str], token: Token, talk: Dialogue) -> None:
    """Save the token for data servers; one that has another token keeps it."""
    store, paths = TokenStore(), []
    for server in servers:
        try:
            paths.append(store.save(token.value, server))
        except TokenFileError as error:
            talk.warn(f"The token was not saved for {server}. {error}")
    if paths:
        talk.tell(f"Saved it for their servers in\n{files(paths)}")
