"""``hosts`` and ``check``: list the trusted hosts, and explain a server's answer."""

from __future__ import annotations

import sys

import click

from ..diagnose.check import Check
from ..hosts import trusted_hosts, wrongly_named_hosts
from ..words import labelled, say, table
from .common import Url, as_json, exit_code, print_json


@click.command()
@as_json
def hosts(as_json: bool) -> None:
    """List the hosts that may see a token, and why.

    Tokens are sent over https only, to port 443 unless the list names another.
    """
    found = list(trusted_hosts())
    if as_json:
        print_json([{"host": each.host, "why": each.why} for each in found])
    else:
        for line in table(("HOST", "WHY IT IS TRUSTED"), [(each.host, each.why) for each in found]):
            say(line)
    if wrong := next(wrongly_named_hosts(), None):
        raise wrong


@click.command()
@click.argument("url", type=Url())
@as_json
def check(url: str, as_json: bool) -> None:
    """Make a request and explain the answer.

    Is the host trusted? Which token does it get, from where? What does it answer, and what to do
    next? The exit code is 0 if the request succeeded. An address that changes something, such as
    .../logout, is not requested.

    \b
    cave-auth check global.daf-apis.com/info/api/v2/datastacks
    cave-auth check minnie.microns-daf.com
    """
    done = Check(url)
    done.run()
    code = 0 if done.succeeded else exit_code(done.error)
    if as_json:
        print_json({**done.as_json(), "exit_code": code})
    else:
        for number, (label, text, colour) in enumerate(done.lines(), 1):
            say(labelled(f"{number}. {label}", text), fg=colour)
    sys.exit(code)
