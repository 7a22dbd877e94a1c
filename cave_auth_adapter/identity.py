"""Warn once if a program's requests to one host use the tokens of two accounts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from .errors import TokenFileError
from .origins import Origin
from .runtime import on_reset, warn_once
from .store import TokenStore
from .store.content import read_secrets
from .tokens import Source, Token

_MOST = 256
_looked_at: set[tuple[Origin, Token]] = set()
on_reset(_looked_at.clear)


def warn_of_two(origin: Origin, theirs: str, ours: Token) -> None:
    """Warn if a caller's own token is saved on this computer, but is not the one in use.

    A library that reads a secret file by itself ignores ``CAVE_TOKEN``, for example.

    :param theirs: the token that the request already has. It stays.
    :param ours: the token that other requests to the host get.
    """
    token = Token(theirs, Source("token="))
    if token == ours or (origin, token) in _looked_at:
        return
    if len(_looked_at) >= _MOST:
        _looked_at.clear()
    _looked_at.add((origin, token))  # read the files once for each token
    if source := next((each.source for each in _saved() if each == token), None):
        warn_once(
            f"A library sends {origin.server} the token from {source}; other requests use the one "
            f"from {ours.source}. They may belong to two accounts. To see whose they are: "
            "cave-auth status",
            "two identities",
            origin,
        )


def _saved() -> Iterator[Token]:
    """The tokens on this computer that a library may find by itself."""
    if value := os.environ.get("CAVE_TOKEN"):
        yield Token(value, Source("CAVE_TOKEN"))
    store = TokenStore()
    with contextlib.suppress(TokenFileError):
        for path in sorted(store.directory.glob("*cave-secret.json")):
            with contextlib.suppress(TokenFileError):
                for key, each in (read_secrets(path) or {}).items():
                    if isinstance(each, str):
                        yield Token(each, Source("file", path, key))
