"""Find the tokens in use on this computer, and ask their servers about them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..auth import CaveAuth
from ..errors import CaveAuthError, TokenNotFound
from ..hosts import KnownHosts
from ..origins import HostSpec, Origin, auth_server_of, server_name
from ..service import (
    DEFAULT_SERVER,
    ApiKey,
    AuthServer,
    InfoServer,
    Permissions,
    ServerUnreachable,
    UnexpectedAnswer,
)
from ..service.waiting import all_done
from ..sources import Credentials
from ..store import TokenStore
from ..tokens import Source, Token
from ..words import person, printable, span, where

_TIMEOUT = 15.0  # seconds


def signed_with(token: Token, server: str, timeout: float = _TIMEOUT) -> AuthServer:
    """A client of a server's auth service that uses one token only.

    It raises refusals, and does not log them.
    """
    return AuthServer(server, _auth_with(token, server), timeout)


def info_signed_with(token: Token, server: str) -> InfoServer:
    """A client of a server's info service, as :func:`signed_with`."""
    return InfoServer(server, _auth_with(token, server))


def _auth_with(token: Token, server: str) -> CaveAuth:
    auth = CaveAuth(token.value, hosts=[server], raise_errors=True)
    auth.credentials = Credentials(token)  # the same token, but with its true source
    return auth


@dataclass(frozen=True)
class Holding:
    """A token in use on this computer, or the reason why a server has none.

    :ivar servers: the servers with a secret file of their own that get it.
    :ivar problem: why there is no token.
    :ivar sources: server -> the source of its token; the token itself has one of them.
    """

    servers: tuple[str, ...]
    token: Token | None = None
    problem: CaveAuthError | None = None
    sources: dict[str, Source] = field(default_factory=dict)

    @property
    def auth_servers(self) -> list[str]:
        """The servers to ask about it, the likeliest first: a data server has no auth service."""
        known = [auth_server_of(HostSpec.parse(server).origin) for server in self.servers]
        return list(dict.fromkeys([*filter(None, known), *self.servers]))

    def ask(self) -> tuple[AuthServer, Permissions]:
        """Ask whose token it is; return the auth server that knows it, and the user.

        :raises CaveAuthError: as :meth:`AuthServer.permissions`, or because there is no token.
        """
        if self.problem:
            raise self.problem
        if self.token is None:
            raise not_logged_in(self.auth_servers[0])
        errors: list[CaveAuthError] = []
        for name in self.auth_servers:
            server = signed_with(self.token, name)
            try:
                return server, server.permissions()
            except (UnexpectedAnswer, ServerUnreachable) as error:
                errors.append(error)
        raise next((error for error in errors if not is_404(error)), errors[0])


@dataclass
class Status:
    """What is known about a token, without the token itself."""

    server: str
    also_for: list[str] = field(default_factory=list)
    source: Source | None = None
    user: dict[str, Any] | None = None  #: id, name and email
    key: str | None = None  #: the description, if the token is an API key
    expires_in: int | None = None  #: seconds; None: never, or unknown
    missing_terms: list[dict[str, str]] = field(default_factory=list)  #: name, dataset
    problem: str | None = None
    error: CaveAuthError | None = field(default=None, repr=False)
    keys: list[ApiKey] = field(default_factory=list, repr=False)  #: the account's, at the server
    key_id: int | None = field(default=None, repr=False)  #: of these, the one that is the token

    def as_json(self) -> dict[str, Any]:
        """The status for programs. New releases add keys, but don't remove or rename any."""
        return {
            "server": self.server,
            "also_for": self.also_for,
            "source": str(self.source) if self.source else None,
            "user": self.user,
            "key": self.key,
            "expires_in": self.expires_in,
            "missing_terms": self.missing_terms,
            "problem": self.problem,
        }

    def lines(self) -> Iterable[tuple[str, str]]:
        """The status for people: labels and texts."""
        if self.user:
            yield "account", f"{person(self.user)}, id {printable(self.user['id'], 20)}"
        if self.source:
            yield "token", f"from {where(self.source)}"
        if self.user and not self.problem:
            if self.expires_in is not None:
                yield "valid", f"for {span(self.expires_in)} more; it is a login token"
            else:
                named = f", named {printable(self.key)!r}" if self.key else ""
                yield "valid", f"until it is revoked; it is an API key{named}"
        if self.also_for:
            yield "also for", ", ".join(self.also_for)
        for terms in self.missing_terms:
            yield "to accept", f"{printable(terms['name'])}, for {printable(terms['dataset'])}"
        if self.problem:
            yield "problem", self.problem


def holdings() -> list[Holding]:
    """The tokens in use, each once.

    These are the tokens of the servers with a secret file of their own, and the default server's
    token if it is from elsewhere (``cave-secret.json``, ``CAVE_TOKEN``).

    :raises TokenFileError: if the directory of secret files can't be listed.
    """
    credentials = Credentials()
    own = TokenStore().servers()
    found: dict[Token, dict[str, Source]] = {}
    broken = []
    default = server_name(DEFAULT_SERVER)
    for server in dict.fromkeys([*own, default]):
        try:
            token = credentials.token_for(HostSpec.parse(server).origin)
        except CaveAuthError as error:
            broken.append(Holding((server,), problem=error))
            continue
        if token is not None and (server in own or token not in found):
            found.setdefault(token, {})[server] = token.source
    good = (Holding(tuple(sources), token, None, sources) for token, sources in found.items())
    return [*good, *broken]


def holding_for(origin: Origin) -> Holding:
    """The token that a trusted host gets.

    :raises TokenNotFound: if there is none.
    :raises InvalidToken, TokenFileError: if it can't be read.
    """
    token = Credentials().token_for(origin)
    if token is None:
        raise not_logged_in(origin.server)
    twins = [name for h in holdings() if h.token == token for name in h.servers]
    return Holding(tuple(dict.fromkeys([origin.server, *twins])), token)


def not_logged_in(server: str) -> TokenNotFound:
    """The error for a server without a token."""
    server = auth_server_of(HostSpec.parse(server).origin) or server
    return TokenNotFound(
        f"There is no token for {server}. Log in: cave-auth login {server}", host=server
    )


def status_of(holding: Holding) -> Status:
    """Ask the server about a token. The result says so if that fails."""
    status = Status(holding.auth_servers[0], source=holding.token.source if holding.token else None)
    try:
        server, user = holding.ask()
        status.server = server.server_address.partition("://")[2]
        status.source = holding.sources.get(status.server, status.source)
        status.user = {name: user.get(name) for name in ("id", "name", "email")}
        status.missing_terms = _missing_terms(user)
        assert holding.token is not None  # noqa: S101 - else ask() has raised
        status.keys = server.api_keys()
        key = _key_of(status.keys, holding.token)
        if key is not None:
            status.key, status.key_id = key.description or "", key.id
        else:
            status.expires_in = server.time_to_live()
    except CaveAuthError as error:
        status.problem, status.error = str(error), error
    status.also_for = [name for name in holding.servers if name != status.server]
    return status


def statuses_of(found: Sequence[Holding]) -> list[Status]:
    """Ask about several tokens, all servers at the same time; in the same order."""
    asked = all_done(
        [functools.partial(status_of, each) for each in found],
        [each.auth_servers[0] for each in found],
    )
    return [future.result() for future in asked]


def key_in_use(server: AuthServer, token: Token) -> ApiKey | None:
    """The API key that has the value of a token; None for a login token.

    To ask for the time to live instead, we would have to put the token into a URL.
    """
    return _key_of(server.api_keys(), token)


def _key_of(keys: list[ApiKey], token: Token) -> ApiKey | None:
    return next((key for key in keys if key.token == token.value), None)


def trusted(url: str) -> Origin | None:
    """The origin of a URL whose host is trusted without being named in code; None if it isn't."""
    return KnownHosts().trusted_origin(url)


def is_404(error: CaveAuthError) -> bool:
    """Whether the server answered 404: it has no auth service."""
    return error.response is not None and error.response.status_code == 404


def _missing_terms(user: Permissions) -> list[dict[str, str]]:
    terms = user.get("missing_tos") or []
    return [
        {"name": str(each.get("tos_name")), "dataset": str(each.get("dataset_name"))}
        for each in terms
        if isinstance(each, dict)
    ]
