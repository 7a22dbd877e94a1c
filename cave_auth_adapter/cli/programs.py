"""``run``, ``enable``, ``disable``: install the plugin in whole programs."""

from __future__ import annotations

import sys

import click

from cave_auth_startup import command as startup
from cave_auth_startup import disabled

from .. import programs
from ..words import say


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
def run(command: tuple[str, ...]) -> None:
    """Run a Python program with the plugin installed.

    Python programs that it starts get the plugin, too.

    \b
    cave-auth run my_script.py --its-own-options
    cave-auth run -m my_package.module
    cave-auth run jupyter lab
    cave-auth run cloudfiles cp middleauth+https://... .
    """
    sys.exit(startup.run(command))


@click.command()
@click.option("--status", is_flag=True, help="Only tell whether it is enabled.")
def enable(status: bool) -> None:
    """Install the plugin in every program of this Python environment.

    Programs that import requests sign their requests from then on. Others start as before.
    `cave-auth disable` undoes it.
    """
    if status:
        state = "enabled" if programs.hook_file().exists() else "not enabled"
        say(f"{state} in {programs.hook_file().parent}")
        if disabled():
            say("The variable CAVE_AUTH_DISABLE switches the plugin off.")
        return
    say(f"Enabled: {programs.enable()}\nTo undo it: cave-auth disable")


@click.command()
def disable() -> None:
    """Undo `cave-auth enable`."""
    was_enabled = programs.disable()
    say("Disabled." if was_enabled else "It was not enabled; nothing to do.")
