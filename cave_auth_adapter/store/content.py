"""Read and change the content of one secret file: a JSON object, key -> token."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import InvalidToken, TokenFileError
from ..origins import HostSpec, auth_server_of, trusted_by_file
from ..tokens import Source, Token, check_token
from . import files, permissions
from .document import Document, RepeatedKey, Secrets

_MAX_BYTES = 1 << 20  # a secret file has some hundred bytes; a larger one is refused

#: Counts the writes of this process, so that caches of files are refreshed at once.
writes = 0

Changes = dict[str, str | None]  # key -> new value; None: delete the key


def read_secrets(path: Path) -> dict[str, Any] | None:
    """The JSON object in a secret file; None if there is no such file.

    :raises TokenFileError: if it can't be read or is not a JSON object.
    """
    document = _read(path)
    return None if document is None else _parse(document, path)


def read_named(path: Path) -> dict[str, Any] | None:
    """The content of a file that the caller named: a JSON object, or only a token.

    :return: the object; ``{"token": …}`` if the file holds only a token, with or without a newline
        at its end; None if there is no such file.
    :raises TokenFileError: if it can't be read, or holds something else.
    """
    document = _read(path)
    if document is None:
        return None
    if document.text.lstrip().startswith("{"):
        return _parse(document, path)
    try:
        return Secrets(token=check_token(document.text.rstrip("\r\n"), "the token in it"))
    except InvalidToken as error:
        raise TokenFileError(path, str(error).rstrip("."), _NAMED_FILE) from None


def _read(path: Path) -> Document | None:
    document = _open(path)
    if document is not None:  # not in _open, which is called under a lock: a handler may wait
        permissions.warn_if_exposed(path)
    return document


# The errors below are not chained: JSONDecodeError and UnicodeDecodeError hold the document, and so
# the token. Nor does a local variable hold it, which a traceback may show.


def _open(path: Path) -> Document | None:
    content = files.read(path, _MAX_BYTES + 1)
    if content is None:
        return None
    if len(content) > _MAX_BYTES:
        del content
        raise TokenFileError(path, f"has more than {_MAX_BYTES >> 20} MiB", _expected(path))
    try:
        return Document.decode(content)
    except UnicodeDecodeError:
        del content
        raise TokenFileError(path, "is not text in UTF-8", _expected(path)) from None


def _parse(document: Document, path: Path) -> Secrets:
    try:
        return document.secrets()
    except json.JSONDecodeError as error:
        problem = f"is not JSON ({error.msg}, line {error.lineno})"
    except TypeError as error:
        problem = f"holds a JSON {error} and not an object"
    except (ValueError, RecursionError):  # thousands of digits, or of brackets
        problem = "is not JSON"
    raise TokenFileError(path, problem, _expected(path))


def token_in(secrets: Mapping[str, Any], key: str, path: Path) -> str | None:
    """The token under a key of a secret file's content; None if there is none.

    :raises TokenFileError: if the value can't be a token.
    """
    if secrets.get(key) in (None, ""):  # CAVEclient saves null if it has no token
        return None
    try:
        return check_token(secrets[key], f"the value of {key!r}")
    except InvalidToken as error:
        raise TokenFileError(path, str(error).rstrip("."), _expected(path)) from None


Held = dict[str, Any]  # key -> token, not checked; an empty value stays as it is


def held(secrets: Mapping[str, Any], path: Path) -> Held:
    """The content of a secret file, to be kept: each value is hidden in a :class:`Token`.

    What shows local variables or objects may walk through a dictionary, but not into a token.
    """
    return {
        key: Token(value, Source("file", path, key)) if value else value
        for key, value in secrets.items()
    }


def token_of(content: Held, key: str, path: Path) -> Token | None:
    """The token under a key of what :func:`held` returned; None if there is none.

    :raises TokenFileError: if the value can't be a token.
    """
    token = content.get(key)
    if not isinstance(token, Token):
        token_in({key: token}, key, path)  # raises an error for [], 0 and the like
        return None
    token_in(Secrets({key: token.value}), key, path)
    return token


def _expected(path: Path) -> str:
    """What a secret file should hold, and how to get one that does."""
    server = path.name.removesuffix("-cave-secret.json").replace("@", ":")
    is_own = server != path.name and trusted_by_file(server)
    home = f" {auth_server_of(HostSpec.parse(server).origin) or server}" if is_own else ""
    return (
        'A secret file holds one JSON object: {"token": "…"}. Fix the file, or delete it '
        f"and log in again: cave-auth login{home}"
    )


_NAMED_FILE = 'Save only the token to it, or a JSON object: {"token": "…"}.'
_KEEP_ONE = "It was not changed. Edit the file so that each key is there once."


def change(path: Path, decide: Callable[[dict[str, Any]], Changes]) -> bool:
    """Change keys of a file under its lock; return whether anything changed.

    :param decide: returns the changes, given the content.
    :raises TokenFileError: if the file can't be read or written. It is not changed then.
    """
    with files.locked(path) as target:
        document = _open(target) or Document()
        changes = decide(_parse(document, target))
        if not changes:
            return False
        try:
            for key, token in changes.items():
                document = (
                    document.without_key(key) if token is None else document.with_key(key, token)
                )
            is_empty = not document.secrets()
        except RepeatedKey as error:
            raise TokenFileError(target, f"holds {error}", _KEEP_ONE) from None
        except RecursionError:  # though it could be read at another depth of the stack
            raise TokenFileError(target, "is nested too deep", _expected(target)) from None
        _write(target, document)
        if is_empty:
            files.remove(path)  # an empty file would still make its server trusted
    return True


def _write(target: Path, document: Document) -> None:
    global writes
    try:
        files.replace(target, document.text)
    finally:
        writes += 1
