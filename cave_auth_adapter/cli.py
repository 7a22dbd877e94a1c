"""The command ``cave-auth``: a thin skin over the library.

Exit codes: 0 it worked, 1 it did not, 2 the command line is wrong; ``run`` gives those of the
program, or 127 (not found) and 126 (can't be executed), as a shell does.
"""

from __future__ import annotations

import sys

import click

from . import programs
from ._version import __version__
from .errors import CaveAuthError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cave-auth")
def main() -> None:
    """Authenticate Python programs to CAVE services, with no code changed.

    \b
    cave-auth run my_script.py       one program, and all that it starts
    cave-auth enable                 every program of this Python environment
    """


@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
def run(command: tuple[str, ...]) -> None:
    """Run a Python program with the plugin installed, and in all that it starts.

    \b
    cave-auth run my_script.py --its-own-options
    cave-auth run -m my_package.module
    cave-auth run jupyter lab
    cave-auth run cloudfiles cp middleauth+https://... .
    """
    try:
        if not programs.is_python(command):
            click.echo(
                f"cave-auth: {command[0]} is no Python program. It runs as it is; Python programs "
                "that it starts are signed.",
                err=True,
            )
        sys.exit(programs.run(command))
    except programs.CommandError as error:
        click.echo(f"cave-auth: {error}", err=True)
        sys.exit(error.exit_code)


@main.command()
@click.option("--status", is_flag=True, help="Only tell whether it is enabled.")
def enable(status: bool) -> None:
    """Install the plugin in every interpreter of this Python environment.

    From then on any program of the environment that imports requests is signed, and nothing is
    added to the start of one that does not. `cave-auth disable` undoes it.
    """
    if status:
        state = "enabled" if programs.hook_file().exists() else "not enabled"
        click.echo(f"{state} in {programs.hook_file().parent}")
        return
    try:
        click.echo(f"Enabled: {programs.enable()}\nTo undo it: cave-auth disable")
    except CaveAuthError as error:
        raise click.ClickException(str(error)) from error


@main.command()
def disable() -> None:
    """Undo `cave-auth enable`."""
    try:
        was_enabled = programs.disable()
    except CaveAuthError as error:
        raise click.ClickException(str(error)) from error
    click.echo("Disabled." if was_enabled else "It was not enabled; nothing to do.")
