"""The command ``cave-auth``.

The exit codes are in ``cave-auth --help``. ``run`` exits with the code of the program, or with 127
(not found) and 126 (can't be executed), as a shell does.
"""

from __future__ import annotations

import click

from .._version import __version__
from ..providers import tokens_changed
from . import completion as completion
from .accounts import login, logout, status, whoami
from .common import Commands
from .doctor import doctor
from .keys import keys
from .look import check, hosts
from .programs import disable, enable, run
from .rights import permissions, terms
from .switch import accounts, switch_account
from .tokens import header, token
from .trust import trust


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cave-auth")
def main() -> None:
    """Authenticate Python programs to CAVE services, without changing their code.

    \b
    cave-auth login             log in, in a browser, once
    cave-auth status            who am I, for how long
    cave-auth check URL         does it let me in, and why
    cave-auth run my_script.py  a program, and all it starts
    cave-auth enable            every program of this Python
    cave-auth logout            forget the token

    \b
    Exit codes: 0 it worked, 1 it did not, 2 wrong usage,
    3 no token or a refused one, 4 a permission or terms are
    missing, 5 the server can't be reached, 6 the host is
    not trusted, 130 Ctrl-C.
    """
    tokens_changed()  # a program that runs several commands must not get a cached token


for _command in (login, logout, status, whoami, check, doctor, hosts, keys, token, header):
    main.add_command(_command)
for _command in (run, enable, disable, trust, permissions, terms, accounts, switch_account):
    main.add_command(_command)

__all__ = ["main"]
