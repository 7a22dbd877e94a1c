"""Shared by the commands: exit codes, errors, and servers and URLs as arguments."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from ..diagnose.check import NotAsked, NotTrusted
from ..errors import (
    CaveAuthError,
    InvalidHostSpec,
    InvalidToken,
    LoginFailed,
    PermissionMissing,
    TermsNotAccepted,
    TokenFileError,
    TokenNotFound,
    TokenRefused,
)
from ..login.names import server_named
from ..origins import DEPLOYMENTS, Origin, parse_origin
from ..redaction import is_like_token, without_token
from ..runtime import logger
from ..service import ServerUnreachable, base_url
from ..service.waiting import waits_told
from ..store import TokenStore
from ..words import breakable, fitted, say, unbreakable, width

FAILED, USAGE, NO_TOKEN, NOT_ALLOWED, UNREACHABLE, NOT_TRUSTED, INTERRUPTED = 1, 2, 3, 4, 5, 6, 130


def exit_code(error: BaseException | None) -> int:
    """The documented exit code for an error."""
    for kinds, code in _EXIT_CODES:
        if isinstance(error, kinds):
            return code
    return FAILED


_EXIT_CODES: tuple[tuple[tuple[type[BaseException], ...], int], ...] = (
    ((InvalidHostSpec, NotAsked), USAGE),
    ((TokenNotFound, TokenRefused, LoginFailed, InvalidToken), NO_TOKEN),
    ((TermsNotAccepted, PermissionMissing), NOT_ALLOWED),
    ((ServerUnreachable,), UNREACHABLE),
    ((NotTrusted,), NOT_TRUSTED),
)


_SILENCE = logging.NullHandler()


class _Help(click.HelpFormatter):
    """Breaks a text between words and commands only; click breaks `cave-auth` at its hyphen."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        if options.get("width") is None:
            self.width = min(self.width, width() - 2)  # click takes 50 columns at least

    def write_text(self, text: str) -> None:
        super().write_text(unbreakable(text))

    def write_dl(self, rows: Iterable[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().write_dl([(name, unbreakable(text)) for name, text in rows], *args, **kwargs)

    def getvalue(self) -> str:
        return breakable(super().getvalue())


class _Context(click.Context):
    formatter_class = _Help


class Group(click.Group):
    """Commands whose help fits the terminal, with whole words and whole commands."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        cmd.context_class = _Context
        super().add_command(cmd, name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(500)) for name, each in commands])


class Commands(Group):
    """A group of commands that show each error in one line and exit with the documented code."""

    context_class = _Context

    def main(self, *args: Any, **kwargs: Any) -> Any:
        # Errors are raised and shown once; the log would repeat them, also amid a completion.
        logger.addHandler(_SILENCE)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # for what click writes itself: help, errors
                stream.reconfigure(errors="replace")
        try:
            return super().main(*args, **kwargs)
        except OSError as error:  # a full disk, say; click handles a closed pipe
            _abandon_stdout()
            what = error.filename or "the output"
            fail(f"{what} can't be written or read: {(error.strerror or str(error)).lower()}.")

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _fit_to_show():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _fit_to_show(), waits_told():
                return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            say("\ncave-auth: interrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except CaveAuthError as error:
            fail(str(error), exit_code(error))


@contextlib.contextmanager
def _fit_to_show() -> Iterator[None]:
    """Mask tokens in the messages of a usage error, and wrap them."""
    try:
        yield
    except click.UsageError as error:
        said = error.format_message()
        shown = fitted(f"Error: {without_token(said)}", sys.stderr).removeprefix("Error: ")
        if shown == said:
            raise
        raise click.UsageError(shown, error.ctx) from None


def _abandon_stdout() -> None:
    """Drop unwritten output, so that the interpreter does not try to write it again at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Show a message on stderr and exit."""
    say(f"cave-auth: {without_token(message)}", err=True, fg="red")
    sys.exit(code)


def print_json(value: object) -> None:
    """Print the output of ``--json``."""
    click.echo(json.dumps(value, indent=2))


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


class Server(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """``host``, ``host:port``, ``https://host`` or a data set's name; converted to an address."""

    name = "server"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        _refuse_token(value)
        try:
            return base_url(server_named(value))
        except InvalidHostSpec as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        known = list(DEPLOYMENTS)
        with contextlib.suppress(TokenFileError):
            known += TokenStore().servers()
        return [
            CompletionItem(name) for name in dict.fromkeys(known) if name.startswith(incomplete)
        ]


def _refuse_token(value: str) -> None:
    if is_like_token(value):
        raise click.UsageError(
            "That is a token, not an address. To save it, name its server, and paste the token at "
            "the prompt: cave-auth login SERVER --no-browser"
        )


class Url(Server):
    """An ``http`` or ``https`` URL. A host or a data set's name becomes an ``https`` URL."""

    name = "url"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        named = server_named(value)
        url = named if "://" in named else f"https://{named}"
        origin = parse_origin(url)
        _refuse_token(origin.host if origin else value)
        has_host = re.match(r"https?://[^/?#]", url, re.IGNORECASE)
        if not has_host or " " in url or not url.isprintable():
            self.fail(f"{value!r} is not a URL. Write https://HOST/PATH or HOST.", param, ctx)
        return url


def origin_of(server: str) -> Origin:
    """The origin of an argument that :class:`Server` has converted."""
    origin = parse_origin(server)
    assert origin is not None  # noqa: S101 - Server has checked it
    return origin
