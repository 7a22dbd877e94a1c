"""Text for people: colour if the terminal wants it, wrapped lines, tables, safe to print."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from . import shells
from .plain import is_rewritable, writable
from .plain import printable as printable
from .tokens import DEFAULT_KEY, FILES, Source

_NARROW, _USUAL, _WIDE = 40, 80, 100  # columns
_KEPT = {" ": "\1", "-": "\2"}  # lines are not broken there; no text has them
# A command line: a program, its subcommand, and arguments that are no words of the sentence:
# options and their values, quoted words, hosts, paths, NAMES.
_PROGRAM = (
    r"cave-auth(?: keys| switch)? [a-z-]+|(?:python -m )?pip install|python -m \S+|keyring del"
    r"|chmod|rm|del|attrib|unset|export|Remove-Item|\$env:\w+"
)
_ARGUMENT = r"""--(?:as|server) \S+|"[^"\n]*"|'[^'\n]*'|(?=\S*(?:[^a-z\s.,;:)]|[a-z]\.[a-z]))\S+"""
_COMMAND = rf"(?<![\w-])(?:{_PROGRAM})(?:(?<![.,;:]) (?:{_ARGUMENT}))*"


def say(
    text: str = "", *, err: bool = False, fg: str | None = None, bold: bool | None = None
) -> None:
    """Print one or more lines; in colour on a terminal that wants it, and wrapped to its width.

    Control characters in the text, say in the name of a file, have no effect on the terminal.

    :param err: whether to print to stderr.
    :param fg: the colour, as click names it.
    """
    import click  # slow to import, so only when something is printed

    stream = sys.stderr if err else sys.stdout
    # https://no-color.org: the variable counts if it is set and not empty.
    color = None if is_rewritable(stream) and not os.environ.get("NO_COLOR") else False
    lines = [printable(line, None) for line in text.split("\n")]
    text = writable(fitted("\n".join(lines), stream), stream)
    click.echo(click.style(text, fg, bold=bold), err=err, color=color)


def fitted(text: str, stream: Any) -> str:
    """Wrap a text to fit a terminal; leave it as it is for a file or a pipe."""
    if stream is None or not stream.isatty():
        return text
    lines = text.split("\n")
    return "\n".join(wrapped(line, line[: len(line) - len(line.lstrip())]) for line in lines)


def width() -> int:
    """The columns that a text may use: the terminal's, from 40 to 100; 80 without a terminal."""
    return max(_NARROW, min(shutil.get_terminal_size((_USUAL, 24)).columns, _WIDE))


def wrapped(text: str, margin: str = "", first: str = "") -> str:
    """Wrap a text to fit the terminal, without breaking a word or a command.

    :param margin: the start of the second and later lines.
    :param first: the start of the first line.

    >>> print(wrapped(  # doctest: +NORMALIZE_WHITESPACE
    ...     "Your token was refused by global.daf-apis.com. To log in again, run "
    ...     "cave-auth login --overwrite"))
    Your token was refused by global.daf-apis.com. To log in again, run
    cave-auth login --overwrite
    """
    filled = textwrap.fill(
        unbreakable(text),
        width(),
        initial_indent=first,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return breakable(filled)


def unbreakable(text: str) -> str:
    """A text in which no command can be broken, and no word at a hyphen."""
    whole = re.sub(_COMMAND, lambda command: command[0].replace(" ", _KEPT[" "]), text)
    return whole.replace("-", _KEPT["-"])


def breakable(text: str) -> str:
    """The text that :func:`unbreakable` was given."""
    for usual, kept in _KEPT.items():
        text = text.replace(kept, usual)
    return text


def person(user: Any) -> str:
    """Name a user of the auth service.

    >>> person({"id": 7, "name": "A User", "email": "user@lab.example"})
    'A User <user@lab.example>'
    """
    name, email = printable(user.get("name") or "", 60), printable(user.get("email") or "", 80)
    if name and email:
        return f"{name} <{email}>"
    return name or email or f"the user with the id {printable(user.get('id'), 20)}"


def short(text: object) -> str:
    """A path, or a text with paths in it, with ``~`` for the home directory."""
    if shells.WINDOWS:  # neither cmd nor Explorer understands that
        return str(text)
    home = os.path.expanduser("~")
    return str(text).replace(home + os.sep, "~" + os.sep) if len(home) > 1 else str(text)


def where(source: Source) -> str:
    """The source of a token, in short.

    >>> where(Source("file", "/etc/cave-secret.json", "token")), where(Source("CAVE_TOKEN"))
    ('/etc/cave-secret.json', 'the variable CAVE_TOKEN')
    """
    if source.kind in FILES and source.key == DEFAULT_KEY:
        return short(source.path)
    return short(source)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterable[str]:
    """The lines of a table that fits the terminal: long cells are cut.

    >>> print("\\n".join(table(["ID", "NAME"], [[1, "laptop"], [23, "cluster"]])))
    ID  NAME
    1   laptop
    23  cluster
    """
    lines = [list(header), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    while sum(widths) + 2 * (len(widths) - 1) > width():
        widths[widths.index(max(widths))] -= 1
    for line in lines:
        cells = (printable(cell, width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join(f"{c:{w}}" for c, w in zip(cells, widths, strict=True)).rstrip()


def labelled(label: str, text: str) -> str:
    """A label with a text beside it, wrapped.

    >>> print(  # doctest: +NORMALIZE_WHITESPACE
    ...     labelled("  token", "from the file that you saved " * 3))
      token      from the file that you saved from the file that you saved from the
                 file that you saved
    """
    return wrapped(text, " " * 13, f"{label:<12} ")


def span(seconds: float) -> str:
    """A duration in words.

    >>> span(604800), span(90), span(7200)
    ('7 days', '90 seconds', '2 hours')
    """
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length or (unit == "day" and seconds >= length):
            count = int(seconds // length)
            return f"{count} {unit}{'s' * (count != 1)}"
    return f"{int(seconds)} second{'s' * (int(seconds) != 1)}"


def files(paths: Iterable[Path]) -> str:
    """Paths as an indented list."""
    return "\n".join(f"  {short(path)}" for path in paths)


def html_table(rows: Iterable[tuple[str, str]], title: str = "") -> str:
    """Labels and texts as a table for a notebook. Markup in them is escaped.

    >>> html_table([("name", "<b>Eve</b>")])
    '<table><tr><th ...>name</th><td ...>&lt;b&gt;Eve&lt;/b&gt;</td></tr></table>'
    """
    left = ' style="text-align:left"'  # notebooks align cells to the right by default
    cells = "".join(
        f"<tr><th{left}>{as_html(label)}</th><td{left}>{as_html(short(text))}</td></tr>"
        for label, text in rows
    )
    caption = f"<strong>{as_html(title)}</strong>" if title else ""
    return f"{caption}<table>{cells}</table>"


def as_html(text: object) -> str:
    """A text as HTML, without markup, control characters or changes of writing direction."""
    from html import escape  # slow to import, and rarely needed

    return escape(printable(text, None))
