"""The exceptions of this package. Each message says what happened and what to do next."""

from __future__ import annotations

import os
from typing import Any

from requests import ConnectionError as RequestsConnectionError
from requests import HTTPError, RequestException, Response

from .plain import printable
from .redaction import is_like_token, without_token


class CaveAuthError(RequestException):
    """The base of every error raised by this package.

    It is a :class:`requests.RequestException`, so code that handles the errors of
    ``requests`` handles these as well. No message contains a token.

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
    """A malformed host specification, or one that would send a token unencrypted.

    >>> from cave_auth_adapter import CaveAuth
    >>> try:
    ...     CaveAuth(hosts=["http://cave.example.org"])
    ... except InvalidHostSpec as error:
    ...     print(str(error).partition(";")[0])
    'http://cave.example.org': tokens are sent over https only
    """


class InvalidToken(CaveAuthError, ValueError):
    """A string that can't be a token: it is empty, or has a character no bearer token has.

    >>> from cave_auth_adapter import TokenStore
    >>> try:
    ...     TokenStore().save("")
    ... except InvalidToken as error:
    ...     print(error)
    the token to save is empty. Copy it again, without quotes, spaces or line breaks.
    """


class LoginFailed(CaveAuthError):
    """The login did not complete: it timed out, or you declined it."""


class TokenFileError(CaveAuthError, OSError):
    """A secret file can't be read or written, or does not contain a token.

    >>> from cave_auth_adapter import CaveAuth
    >>> try:
    ...     CaveAuth(token_file="/no/such/file").token_for("https://global.daf-apis.com/")
    ... except TokenFileError as error:
    ...     print(error.filename)
    /no/such/file

    :ivar filename: the path of the file, a :class:`str`, as for any :class:`OSError`.
    """

    def __init__(self, path: str | os.PathLike[str], problem: str, remedy: str):
        super().__init__(printable(f"{os.fspath(path)}: {problem}. {remedy}", None))
        name = os.fspath(path)
        self.filename = without_token(name) if is_like_token(os.path.basename(name)) else name
        self._arguments = self.filename, problem, remedy

    def __str__(self) -> str:  # OSError with a file name shows only that and the errno
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._arguments


class TokenExists(TokenFileError, ValueError):
    """The file holds another token already, and ``overwrite`` is False.

    It is a :class:`ValueError`, too: that is what CAVEclient raises.
    """


class Refusal(CaveAuthError, HTTPError):
    """A CAVE service refused a request. It is a :class:`requests.HTTPError`.

    :ivar response: the answer, a :class:`requests.Response`.
    :ivar host: ``host`` or ``host:port`` of the service.
    :ivar source: where the token came from, in words; None if this plugin added no token.
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
    """The service wants a token, but the request had none."""


class TokenRefused(Refusal):
    """The token is invalid or has expired, or its header is malformed."""


class TermsNotAccepted(Refusal):
    """The account has not accepted the terms of service.

    :ivar form_url: the address of the form, as the server gave it.
    """

    form_url: str | None = None


class PermissionMissing(Refusal):
    """The account lacks a permission or role on a dataset, a group membership, or a privilege.

    The attributes tell which; the others are None.

    :ivar dataset: the dataset.
    :ivar permission: the permission on it, such as ``"view"``.
    :ivar role: the role on it, such as ``"dataset_admin"``.
    :ivar group: the group that the account is not in.
    :ivar privilege: the kind of administrator: ``"admin"``, ``"superadmin"`` and the like.
    """

    dataset: str | None = None
    permission: str | None = None
    role: str | None = None
    group: str | None = None
    privilege: str | None = None


class ServerUnreachable(CaveAuthError, RequestsConnectionError):
    """The server can't be reached, or does not send a complete answer in time."""


class UnexpectedAnswer(CaveAuthError, HTTPError):
    """The server's answer is neither what was asked for nor a refusal.

    :ivar response: the answer, a :class:`requests.Response`.
    """
