"""``token`` and ``header``: the token itself, for scripts."""

from __future__ import annotations

import sys

import click

from ..diagnose.check import NotTrusted
from ..diagnose.status import not_logged_in, trusted
from ..service import DEFAULT_SERVER
from ..sources import Credentials
from ..words import say
from .common import Url


@click.command()
@click.argument("host", type=Url(), default=DEFAULT_SERVER)
def token(host: str) -> None:
    """Print the token that a host gets.

    \b
    cave-auth token global.em.brain.allentech.org
    cave-auth token | ssh hpc cave-auth login --token-stdin
    """
    _print_secret(_token_for(host))


@click.command()
@click.argument("url", type=Url())
def header(url: str) -> None:
    """Print the header that authenticates a request to a URL.

    For curl and similar tools. It works for trusted hosts only; see `cave-auth hosts`.

    \b
    cave-auth header URL | curl -H @- URL
    """
    _print_secret(f"Authorization: Bearer {_token_for(url)}")


def _token_for(url: str) -> str:
    origin = trusted(url)
    if origin is None:
        raise NotTrusted(url)
    found = Credentials().token_for(origin)
    if found is None:
        raise not_logged_in(origin.server)
    return found.value


def _print_secret(text: str) -> None:
    if sys.stdout.isatty():
        say(
            "A token is a password: clear this screen, and paste it nowhere.", err=True, fg="yellow"
        )
    click.echo(text)
