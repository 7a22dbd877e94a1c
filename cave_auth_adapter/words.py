"""Words on a screen: colour where it is welcome, a server's word made harmless, plain tables."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .plain import printable as printable
from .tokens import DEFAULT_KEY, FILES, Source

WIDTH = 80  # columns, of a terminal as people open it


def say(
    text: str = "", *, err: bool = False, fg: str | None = None, bold: bool | None = None
) -> None:
    """Print a line, or some; in colour on a terminal that wants it.

    Whatever is in the text, such as the name of a file, does nothing to the terminal.

    :param err: whether to print to stderr.
    :param fg: the colour, as click names it.
    """
    import click  # takes longer to import than all of us, and login() is a public name

    # https://no-color.org: the variable counts if it is there and not empty.
    color = False if os.environ.get("NO_COLOR") else None
    text = "\n".join(printable(line, None) for line in text.split("\n"))
    click.echo(click.style(text, fg, bold=bold), err=err, color=color)


def person(user: Any) -> str:
    """A user as the auth service describes one, for people.

    >>> person({"id": 7, "name": "A User", "email": "user@lab.example"})
    'A User <user@lab.example>'
    """
    name, email = printable(user.get("name") or "", 60), printable(user.get("email") or "", 80)
    if name and email:
        return f"{name} <{email}>"
    return name or email or f"the user with the id {printable(user.get('id'), 20)}"


def short(text: object) -> str:
    """A path, or a text with one in it, with ``~`` for the home directory."""
    home = os.path.expanduser("~")
    return str(text).replace(home + os.sep, "~" + os.sep) if len(home) > 1 else str(text)


def where(source: Source) -> str:
    """The source of a token, as short as it is clear.

    >>> where(Source("file", "/etc/cave-secret.json", "token")), where(Source("CAVE_TOKEN"))
    ('/etc/cave-secret.json', 'the variable CAVE_TOKEN')
    """
    if source.kind in FILES and source.key == DEFAULT_KEY:
        return short(source.path)
    return short(source)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterable[str]:
    """The lines of a table that fits a terminal: cells that are too long are cut.

    >>> print("\\n".join(table(["ID", "NAME"], [[1, "laptop"], [23, "cluster"]])))
    ID  NAME
    1   laptop
    23  cluster
    """
    lines = [list(header), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    while sum(widths) + 2 * (len(widths) - 1) > WIDTH:
        widths[widths.index(max(widths))] -= 1
    for line in lines:
        cells = (printable(cell, width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join(f"{c:{w}}" for c, w in zip(cells, widths, strict=True)).rstrip()


def labelled(label: str, text: str) -> str:
    """A label and a text beside it, over several lines where it is long.

    >>> print(labelled("  token", "from the file that you saved " * 3))
      token      from the file that you saved from the file that you saved from the
                 file that you saved
    """
    margin = " " * 13
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=f"{label:<12} ",
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def span(seconds: float) -> str:
    """A time in words.

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
