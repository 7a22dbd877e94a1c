"""Makes Markdown of docstrings in reStructuredText, for the API reference (a Griffe extension).

mkdocstrings reads Sphinx's fields (``:param x:``) and takes all other text for Markdown. So roles
become links, examples become code, and fields go to the end, where its parser wants them.
https://mkdocstrings.github.io/griffe/guide/users/extending/
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|attr|data|exc):`~?([\w.]+)`")
_FIELD = re.compile(r":\w+[^:]*:")


class ReStructuredText(griffe.Extension):
    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Convert the docstrings of a package, once all of it is loaded."""
        public = {name: _path(pkg, name) for name in pkg.exports or ()}
        _convert(pkg, {name: path for name, path in public.items() if path})


def _path(pkg: griffe.Module, name: object) -> str | None:
    """The path of a public name; a function that is named as its module has that in its path."""
    member = pkg.members.get(str(name))
    return f"{member.path}.{name}" if isinstance(member, griffe.Module) else member and member.path


def _convert(thing: griffe.Object, public: dict[str, str]) -> None:
    if thing.docstring:
        thing.docstring.value = _markdown(thing.docstring.value, public)
    for member in thing.members.values():
        if not member.is_alias:
            _convert(member, public)


def _markdown(text: str, public: dict[str, str]) -> str:
    text = _ROLE.sub(lambda match: _link(match[1], public), text)
    paragraphs = [_example(each) for each in text.split("\n\n") if each != "::"]
    return "\n\n".join(sorted(paragraphs, key=lambda each: bool(_FIELD.match(each))))


def _link(name: str, public: dict[str, str]) -> str:
    return f"[`{name}`][{public[name]}]" if name in public else f"`{name}`"


def _example(paragraph: str) -> str:
    return f"```pycon\n{paragraph}\n```" if paragraph.startswith(">>>") else paragraph
