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
    """The login did not complete: it timed out, you declined it, or it is not possible.

    >>> from cave_auth_adapter import login
    >>> try:
    ...     login(account="token")
    ... except LoginFailed as error:
    ...     print(error)
    'token' can't be the name of an account. ...
    """


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

    >>> import tempfile
    >>> from cave_auth_adapter import TokenStore
    >>> store = TokenStore(tempfile.mkdtemp())
    >>> _ = store.save("0123456789abcdef")
    >>> try:
    ...     store.save("fedcba9876543210")
    ... except TokenExists:
    ...     print("not replaced")
    not replaced
    """


class Refusal(CaveAuthError, HTTPError):
    """A CAVE service refused a request. It is a :class:`requests.HTTPError`.

    >>> from cave_auth_adapter import raise_for_auth
    >>> response = Response()
    >>> response.status_code, response.url = 401, "https://global.daf-apis.com/info"
    >>> response.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    >>> try:
    ...     raise_for_auth(response)
    ... except Refusal as error:
    ...     print(type(error).__name__, error.host, error.source)
    TokenRefused global.daf-apis.com None

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
    """The service wants a token, but the request had none. See :class:`Refusal`."""


class TokenRefused(Refusal):
    """The token is invalid or has expired, or its header is malformed. See :class:`Refusal`."""


class TermsNotAccepted(Refusal):
    """The account has not accepted the terms of service. See :class:`Refusal`.

    :ivar form_url: the address of the form, as the server gave it.
    """

    form_url: str | None = None


class PermissionMissing(Refusal):
    """The account lacks a permission or role on a dataset, a group membership, or a privilege.

    The attributes tell which; the others are None.

    >>> import io
    >>> from cave_auth_adapter import raise_for_auth
    >>> response = Response()
    >>> response.status_code, response.url = 403, "https://minnie.microns-daf.com/info"
    >>> response.raw = io.BytesIO(b"Requires membership of group: my_lab")
    >>> try:
    ...     raise_for_auth(response)
    ... except PermissionMissing as error:
    ...     print(error.group)
    my_lab

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
    """The server can't be reached, or does not send a complete answer in time.

    It is a :class:`requests.ConnectionError`, too. :func:`login` raises it, for example.
    """


class UnexpectedAnswer(CaveAuthError, HTTPError):
    """The server's answer is neither what was asked for nor a refusal.

    It is a :class:`requests.HTTPError`, too. :func:`login` raises it, for example, for a server
    that answers with an error of its own.

    :ivar response: the answer, a :class:`requests.Response`.
    """
