"""Change one key in the text of a secret file, and leave every other character as it is.

Loading and dumping the JSON would change it: big numbers lose digits, and indentation is lost.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, NamedTuple

from ..tokens import Hidden

_SPACE = re.compile(r"[ \t\n\r]*")  # RFC 8259, section 2
_decode = json.JSONDecoder().raw_decode
_KINDS: dict[type, str] = {
    list: "list",
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


class RepeatedKey(ValueError):
    """An object has a key twice, so no change is safe.

    :ivar line: the line of the second one, from 1.
    """

    def __init__(self, line: int):
        super().__init__(f"the same key twice (line {line})")
        self.line = line


class Secrets(dict[str, Any]):
    """The content of a secret file, key -> token. Tracebacks show its ``repr``: it has no token."""

    def __repr__(self) -> str:
        return f"<{len(self)} secrets>"


class Document:
    """The text of a secret file. Its ``repr`` does not show it."""

    def __init__(self, text: str = "{}"):
        self.text = Hidden(text)

    @classmethod
    def decode(cls, content: bytes) -> Document:
        """Decode the content of a file.

        Editors on Windows add a byte order mark to UTF-8, or write UTF-16. Other programs can't
        read these, so the document is written as plain UTF-8 again.

        :raises UnicodeDecodeError: if it is not text.
        """
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return cls(content.decode("utf-16"))
        return cls(content.removeprefix(codecs.BOM_UTF8).decode())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.text)} characters>"

    def secrets(self) -> Secrets:
        """The JSON object.

        :raises ValueError: if it is not JSON.
        :raises TypeError: if it is not an object; the message is what JSON calls it.
        """
        value = json.loads(self.text)
        if not isinstance(value, dict):
            kind, value = type(value), None
            raise TypeError(_KINDS[kind])
        return Secrets(value)

    def with_key(self, key: str, value: str) -> Document:
        """The document with a key set, in place if it exists, otherwise at the end.

        >>> print(Document('{"n": 1e400}').with_key("token", "0123").text)
        {"n": 1e400, "token": "0123"}

        :raises RepeatedKey: if the object has any key twice.
        """
        text, members = self.text, self._members()
        for member in members:
            if member.key == key:
                return Document(text[: member.value] + json.dumps(value) + text[member.end :])
        item = f"{json.dumps(key)}: {json.dumps(value)}"
        if not members:
            return Document(f"{{{item}}}")
        last = members[-1]
        before = len(text[: last.start].rstrip(" \t\n\r"))
        space = text[before : last.start] or " "  # on its own line if the last key is on its own
        return Document(f"{text[: last.end]},{space}{item}{text[last.end :]}")

    def without_key(self, key: str) -> Document:
        """The document without an existing key.

        >>> print(Document('{"token": "0123", "n": 1e400}').without_key("token").text)
        {"n": 1e400}

        :raises RepeatedKey: if the object has any key twice.
        """
        text, members = self.text, self._members()
        (index,) = (n for n, member in enumerate(members) if member.key == key)
        if len(members) == 1:
            return Document()
        if index:
            return Document(text[: members[index - 1].end] + text[members[index].end :])
        return Document(text[: members[0].start] + text[members[1].start :])

    def _members(self) -> list[_Member]:
        """The members of the object, in order. :meth:`secrets` has checked that it is one."""
        text, members = self.text, dict[str, _Member]()
        position = self._skip(self._skip(0) + 1)  # after the brace
        while text[position] != "}":
            key, end = _decode(text, position)
            value = self._skip(self._skip(end) + 1)  # after the colon
            _, end = _decode(text, value)
            if key in members:
                raise RepeatedKey(text.count("\n", 0, position) + 1)
            members[key] = _Member(key, position, value, end)
            position = self._skip(end)
            if text[position] == ",":
                position = self._skip(position + 1)
        return list(members.values())

    def _skip(self, position: int) -> int:
        """The first position after white space."""
        match = _SPACE.match(self.text, position)
        assert match is not None  # noqa: S101 - it matches an empty string, too
        return match.end()


class _Member(NamedTuple):
    """A key, and the positions of the key and its value in the text."""

    key: str
    start: int
    value: int
    end: int
