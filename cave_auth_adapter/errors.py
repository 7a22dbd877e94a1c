"""What can go wrong, as exceptions that say what happened, to which thing, and what to do next."""

from __future__ import annotations

import os
from typing import Any

from requests import ConnectionError as RequestsConnectionError
from requests import HTTPError, RequestException, Response

from .plain import printable
from .redaction import is_like_token, without_token


class CaveAuthError(RequestException):
    """The base of every error raised by this package.

    It is a :class:`requests.RequestException`, so that code which already handles
    the failures of ``requests`` handles ours too. No message ever holds a token.

    >>> from cave_auth_adapter import CaveAuth
    >>> try:
    ...     CaveAuth("a token with spaces")
    ... except CaveAuthError as error:
    ...     print(error)
    the token given in code has white space in it. Copy it again, ...spaces or line breaks.
    """

    def __init__(self, message: str = "", **details: Any):
        super().__init__(without_token(message), **details)


class InvalidHostSpec(CaveAuthError, ValueError):
    """A host specification that is not one, or that would let a token travel unprotected.

    >>> from cave_auth_adapter import CaveAuth
    >>> try:
    ...     CaveAuth(hosts=["http://cave.example.org"])
    ... except InvalidHostSpec as error:
    ...     print(str(error).partition(";")[0])
    'http://cave.example.org': tokens travel over https only
    """


class InvalidToken(CaveAuthError, ValueError):
    """A token that can't be one: empty, or with a character that no bearer token has.

    >>> from cave_auth_adapter import TokenStore
    >>> try:
    ...     TokenStore().save("")
    ... except InvalidToken as error:
    ...     print(error)
    the token to save is empty. Copy it again, without quotes, spaces or line breaks.
    """


class LoginFailed(CaveAuthError):
    """A login that did not happen: it took too long, or the person declined it."""


class TokenFileError(CaveAuthError, OSError):
    """A secret file that can't be read or written, or that does not hold what it should.

    >>> from cave_auth_adapter import CaveAuth
    >>> try:
    ...     CaveAuth(token_file="/no/such/file").token_for("https://global.daf-apis.com/")
    ... except TokenFileError as error:
    ...     print(error.filename)
    /no/such/file

    :ivar filename: the path of the file, as for any :class:`OSError`.
    """

    def __init__(self, path: str | os.PathLike[str], problem: str, remedy: str):
        super().__init__(printable(f"{os.fspath(path)}: {problem}. {remedy}", None))
        name = os.fspath(path)
        self.filename = without_token(name) if is_like_token(os.path.basename(name)) else name
        self._arguments = self.filename, problem, remedy

    def __str__(self) -> str:  # with a file name, OSError shows nothing but it and the errno
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._arguments


class TokenExists(TokenFileError, ValueError):
    """Another token is there already, and was not to be replaced.

    CAVEclient raises a :class:`ValueError` for this, and people catch it.
    """


class Refusal(CaveAuthError, HTTPError):
    """A refusal by a CAVE service; a :class:`requests.HTTPError`, so that handlers catch it.

    :ivar response: the answer, a :class:`requests.Response`.
    :ivar host: ``host`` or ``host:port`` of the service.
    :ivar source: where the token came from, in words; None if there was none, or not from us.
    """

    def __init__(
        self,
        message: str,
        *,
        response: Response | None = None,
        host: str = "",
        source: str | None = None,
        **details: str,
    ):
        super().__init__(message, response=response)
        self.host = host
        self.source = source
        vars(self).update(details)


class TokenNotFound(Refusal):
    """The service wants a token, and the request had none."""


class TokenRefused(Refusal):
    """The token is invalid or has expired, or its header is malformed."""


class TermsNotAccepted(Refusal):
    """The account has yet to accept terms of service.

    :ivar form_url: the address of their form, as the server named it.
    """

    form_url: str | None = None


class PermissionMissing(Refusal):
    """The account lacks a permission or a role on a dataset, a group, or a privilege.

    Each attribute is None where something else is missing.

    :ivar dataset: the dataset.
    :ivar permission: the permission on it.
    :ivar role: the role on it, such as ``"dataset_admin"``.
    :ivar group: the group that the account is not in.
    :ivar privilege: of which kind of administrator: ``"admin"``, ``"superadmin"`` and the like.
    """

    dataset: str | None = None
    permission: str | None = None
    role: str | None = None
    group: str | None = None
    privilege: str | None = None


class ServerUnreachable(CaveAuthError, RequestsConnectionError):
    """A server that can't be reached, or gives no whole answer in time."""


class UnexpectedAnswer(CaveAuthError, HTTPError):
    """An answer that is no refusal and not what was asked for either.

    :ivar response: the answer, a :class:`requests.Response`.
    """
