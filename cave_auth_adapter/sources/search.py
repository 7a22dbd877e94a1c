"""Search the sources of a host's token, in their order."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..bridges import keyring
from ..errors import TokenFileError
from ..origins import Origin, auth_server_of, deployment_of
from ..providers import Asked, TokenSource, process_source
from ..runtime import warn_once
from ..shells import unset
from ..store import DEFAULT_FILE, DEPRECATED_FILE
from ..store.ownership import ownership
from ..tokens import DEFAULT_KEY, LAST_DAY, Source, Token, check_token, spellings
from ..words import span
from .reading import Look


class Wanted(NamedTuple):
    """The choices made in code: ``token_file=``, ``token_key=``, ``source=``.

    :ivar server: an auth server whose tokens are also for hosts of no other known deployment.
    """

    file: Path | None = None
    key: str = DEFAULT_KEY
    source: TokenSource | None = None
    server: Origin | None = None


class NoSuchKey(TokenFileError):
    """No secret file that a host may get a token from has the key that was chosen."""


class Search:
    """One search for the token of a host.

    :param is_named: whether the caller named the host, by ``CAVE_AUTH_HOSTS`` or ``hosts=``.
    :param refused: the tokens that the host has refused, the latest first.
    :param is_refusal: whether the host refused a request just now.
    :ivar renew_at: when to search again in any case, in seconds of ``time.monotonic``.
    """

    def __init__(
        self,
        wanted: Wanted,
        origin: Origin,
        look: Look,
        asked: Asked,
        *,
        is_named: bool,
        refused: tuple[Token, ...],
        is_refusal: bool,
    ):
        self._wanted = wanted
        self._origin = origin
        self._look = look
        self._asked = asked
        self._is_named = is_named
        self._refused = refused
        self._is_refusal = is_refusal
        self.renew_at = float("inf")

    def token(self) -> Token | None:
        """The first token that the host has not refused; if it refused all, the first.

        :raises InvalidToken, TokenFileError: if a source is broken that has no fallback.
        """
        token = self._first()
        if token is not None:
            self._warn_of_end(token)
        return token

    def _first(self) -> Token | None:
        first: Token | None = None
        for token in self._tokens():
            if token not in self._refused:
                if first is not None and first.source.kind == "file":
                    self._warn_of_stale(first, token)
                return token
            first = first or token
        return first

    def idle_variables(self, token: Token | None) -> set[str]:
        """The variables that can't change the result. Each other one is checked at every request.

        :param token: the result.
        """
        if token is None or token.source.kind != "file":
            return set()
        idle = {keyring.VARIABLE}  # the keyring comes last
        return idle | {"CAVE_AUTH_HOSTS"} if auth_server_of(self._origin) else idle

    def _tokens(self) -> Iterator[Token]:
        """The tokens in the order of their sources.

        A source that the caller named, or a variable, has no fallback.
        """
        wanted, look = self._wanted, self._look
        if wanted.file is not None:
            yield look.named(wanted.file, wanted.key, "token_file=")
            return
        if wanted.key == DEFAULT_KEY:
            yield from self._provided()
            if os.environ.get("CAVE_TOKEN"):
                yield _of_variable()
                return
        if path := os.environ.get("CAVE_TOKEN_FILE"):
            yield look.named(Path(os.path.expanduser(path)), wanted.key, "CAVE_TOKEN_FILE")
            return
        if wanted.key == DEFAULT_KEY:
            yield from self._of_command()
        yield from self._saved(_key_in_files(wanted.key))

    def _provided(self) -> Iterator[Token]:
        """The tokens of the caller's functions."""
        refused = self._refused[0] if self._is_refusal and self._refused else None
        for source in (self._wanted.source, process_source()):
            if source is not None:
                token = self._asked.ask(source, self._origin.server, refused, self._is_refusal)
                if token is not None:
                    yield token

    def _of_command(self) -> Iterator[Token]:
        if not os.environ.get("CAVE_TOKEN_COMMAND"):
            return
        from . import command  # takes 2 ms, for subprocess

        refused = self._refused[0] if self._is_refusal and self._refused else None
        answer = command.ask(self._origin.server, refused)
        if answer is not None:
            self.renew_at = answer.renew_at
            yield answer.token

    def _saved(self, key: str) -> Iterator[Token]:
        """The tokens in the secret files; if there are none, the one in the keyring."""
        is_there = False
        for token in (each for form in spellings(key) for each in self._in_files(form)):
            yield token
            is_there = True
            if key != DEFAULT_KEY:  # choosing a key means choosing that account, and no other
                return
        if is_there:
            return
        if key == DEFAULT_KEY:
            if token_of_keyring := keyring.find(self._servers()):
                yield token_of_keyring
            return
        raise NoSuchKey(
            self._look.path_for(),
            f"has no key {key!r}, and no other secret file for {self._origin.server} has it",
            f"Save it: cave_auth_adapter.TokenStore().save(token, key={key!r})."
            if self._wanted.key == key
            else "CAVE_AUTH_ACCOUNT selects it. To list the accounts: cave-auth accounts",
        )

    def _in_files(self, key: str) -> Iterator[Token]:
        """The tokens of the host's own files, then the default file's if the host may get it."""
        look, is_first = self._look, True
        own = [look.path_for(server) for server in self._servers()]
        for path in (*own, look.path_for(), look.path_for().with_name(DEPRECATED_FILE)):
            try:
                token = look.token(path, key)
            except TokenFileError:
                if is_first:
                    raise
                continue  # `cave-auth doctor` reports it
            if token is None or (path not in own and not self._may_get(token, key, is_first)):
                continue
            if path.name == DEPRECATED_FILE:
                warn_once(
                    f"The token is from {path}, whose name is deprecated. Rename the file to "
                    f"{path.with_name(DEFAULT_FILE)}."
                )
            yield token
            is_first = False

    def _may_get(self, token: Token, key: str, is_first: bool) -> bool:
        """Whether the host may get the token of a default file."""
        whose = ownership(token, self._look.own_contents(key))
        if is_first:
            return whose.serves(self._origin, is_named=self._is_named)
        return whose.may_replace_a_refused_one(self._origin)

    def _servers(self) -> list[str]:
        """The servers whose secret files may hold a token for the host."""
        home = auth_server_of(self._origin)
        names = [self._origin.server, home]
        server = self._wanted.server
        if server is not None and home in (None, deployment_of(server)):
            names += [server.server, auth_server_of(server)]
        return list(dict.fromkeys(name for name in names if name))

    def _warn_of_stale(self, stale: Token, token: Token) -> None:
        host = self._origin.server
        warn_once(
            f"{host} refuses the token from {stale.source}, so the one from {token.source} is "
            "used. To see which files differ: cave-auth doctor",
            *("stale", host, stale.source.path),
        )

    def _warn_of_end(self, token: Token) -> None:
        """Warn on the last day of a login token; before that, plan to search again on that day."""
        left = self._look.end_of(token) - time.time()
        if left > LAST_DAY:
            self.renew_at = min(self.renew_at, time.monotonic() + left - LAST_DAY)
        elif left > 0:
            server = auth_server_of(self._origin) or self._origin.server
            warn_once(
                f"The login token from {token.source} expires in {span(left)}. For a lasting key: "
                f"cave-auth login {server} --overwrite",
                *("ends", token),
            )


def _of_variable() -> Token:
    source = Source("CAVE_TOKEN")
    if os.environ.get("CAVE_AUTH_ACCOUNT"):
        warn_once(
            "CAVE_AUTH_ACCOUNT has no effect while CAVE_TOKEN is set: that is the token of one "
            f"account. To choose an account: {unset('CAVE_TOKEN')}"
        )
    return Token(check_token(os.environ.get("CAVE_TOKEN"), str(source)), source)


def _key_in_files(key: str) -> str:
    """The key in the secret files: ``token_key=``, else the variable ``CAVE_AUTH_ACCOUNT``."""
    account = os.environ.get("CAVE_AUTH_ACCOUNT")
    return account if account and key == DEFAULT_KEY else key
