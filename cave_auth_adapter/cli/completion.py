"""Shell completion: for PowerShell, and fixes to click's completion for fish and zsh."""

from __future__ import annotations

import contextlib
import os
import shlex
from typing import Any

from click.shell_completion import (
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

_REGISTER = "compdef %(complete_func)s %(prog_name)s"
_REGISTER_OR_TELL = f"""\
if (( $+functions[compdef] )); then
        {_REGISTER}
    else
        print -ru2 -- '%(prog_name)s: zsh completes nothing yet. Put this line before that of' \\
            '%(prog_name)s in ~/.zshrc: autoload -Uz compinit && compinit'
    fi"""

# Without an answer, PowerShell completes file names.
_POWERSHELL = """\
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($word, $line, $position)
    $env:COMP_WORDS = $line.ToString()
    $env:COMP_CWORD = $word
    $env:%(complete_var)s = 'powershell_complete'
    try {
        %(prog_name)s | ForEach-Object {
            $value, $help = $_ -split "`t", 2
            [System.Management.Automation.CompletionResult]::new(
                $value, $value, 'ParameterValue', $help)
        }
    } finally {
        Remove-Item Env:COMP_WORDS, Env:COMP_CWORD, Env:%(complete_var)s -ErrorAction Ignore
    }
}
"""


class Fish(FishComplete):
    """Shows the whole help of a command, even if it has commas."""

    source_template = FishComplete.source_template.replace(
        'string split ","', 'string split --max 1 ","'
    )


class Zsh(ZshComplete):
    """Says what to do if zsh has not loaded its completion."""

    source_template = ZshComplete.source_template.replace(_REGISTER, _REGISTER_OR_TELL)


class PowerShell(ShellComplete):
    """For ``Register-ArgumentCompleter``; click has none."""

    name = "powershell"
    source_template = _POWERSHELL

    def get_completion_args(self) -> tuple[list[str], str]:
        words = _words(os.environ["COMP_WORDS"])[1:]
        incomplete = os.environ.get("COMP_CWORD", "")  # PowerShell has no empty variables
        # PowerShell may give it with its quotes.
        if incomplete and words and words[-1] in (incomplete, *_words(incomplete)):
            incomplete = words.pop()
        return words, incomplete

    def format_completion(self, item: CompletionItem[Any]) -> str:
        help_text = " ".join((item.help or "").split())
        return f"{item.value}\t{help_text or item.value}" if item.type == "plain" else ""


def _words(line: str) -> list[str]:
    r"""The words of a line in PowerShell, where the escape character is the backtick.

    The last one may lack its closing quote. See about_Quoting_Rules and about_Special_Characters.

    >>> _words(r"cave-auth run C:\my\tool.py 'two wor")
    ['cave-auth', 'run', 'C:\\my\\tool.py', 'two wor']
    """
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", "`"
    words: list[str] = []
    with contextlib.suppress(ValueError):  # no closing quote
        words.extend(lexer)
        return words
    return [*words, lexer.token]


for _shell in (Fish, Zsh, PowerShell):
    add_completion_class(_shell)
