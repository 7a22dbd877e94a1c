"""``doctor``: find, and fix, what is wrong with the set-up on this computer."""

from __future__ import annotations

import sys

import click

from ..diagnose.doctor import examine
from ..diagnose.findings import Finding, fixed
from ..login.dialogue import Dialogue
from ..words import labelled, say, short
from .common import FAILED, as_json, print_json


@click.command()
@click.option("--fix", is_flag=True, help="Do what is safe: permissions, the deprecated name.")
@as_json
def doctor(fix: bool, as_json: bool) -> None:
    """Look for what could keep you from being authenticated.

    Secret files, whether their tokens work and who gets them, variables, netrc, proxies, clock,
    certificates, versions. With --fix, permissions are tightened, and the deprecated secret file
    gets its new name if there is no other. A token is replaced only if you say yes. The exit code
    is 1 if a problem is left.

    At the end it lists all that was ever written, here and at the server, and what removes each.

    \b
    cave-auth doctor
    cave-auth doctor --fix
    """
    findings = []
    for finding in examine():
        findings.append(fixed(finding) if fix and _is_agreed(finding) else finding)
        if not as_json:
            _show(findings[-1])
    if as_json:
        print_json([{"level": each.level, "text": each.text} for each in findings])
    elif not fix and any(finding.fix for finding in findings):
        say("\nSome of this can be fixed: cave-auth doctor --fix")
    if any(finding.level == "problem" for finding in findings):
        sys.exit(FAILED)


def _is_agreed(finding: Finding) -> bool:
    """Whether to fix a finding; ask first if the fix loses something."""
    if finding.fix is None or finding.question is None:
        return True
    return Dialogue().confirm(finding.question)


def _show(finding: Finding) -> None:
    colour = {"ok": "green", "note": "yellow", "problem": "red"}[finding.level]
    say(labelled(finding.level, short(finding.text)), fg=colour)
