"""What can go wrong, as exceptions that say what happened, to which thing, and what to do next."""

from __future__ import annotations

import os
from typing import Any

from requests import RequestException


class CaveAuthError(RequestException):
    """The base of every error raised by this package.

    It is a :class:`requests.RequestException`, so that code which already handles
    the failures of ``requests`` handles ours too. No message ever holds a token.
    """


class InvalidHostSpec(CaveAuthError, ValueError):
    """A host specification that is not one, or that would let a token travel unprotected."""


class InvalidToken(CaveAuthError, ValueError):
    """A token that can't be one: empty, or with a character that no bearer token has."""


class TokenFileError(CaveAuthError, OSError):
    """A secret file that can't be read or written, or that does not hold what it should.

    :ivar filename: the path of the file, as for any :class:`OSError`.
    """

    def __init__(self, path: str | os.PathLike[str], problem: str, remedy: str, **kwargs: Any):
        super().__init__(f"{os.fspath(path)}: {problem}. {remedy}", **kwargs)
        self.filename = os.fspath(path)
