"""The auth service's HTTP API: who am I, my keys, make one, revoke one, users and groups."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypedDict

from requests import ConnectionError as RequestsConnectionError
from requests import HTTPError, PreparedRequest, RequestException, Response, Session
from requests.exceptions import ProxyError, SSLError, Timeout

from .adapter import mount
from .answers import redirect_target
from .auth import CaveAuth
from .errors import (
    CaveAuthError,
    InvalidHostSpec,
    InvalidToken,
    PermissionMissing,
    TokenNotFound,
    TokenRefused,
)
from .origins import HostSpec, parse_origin
from .refusals import raise_for_auth, source_of
from .tokens import check_token

DEFAULT_SERVER = "https://global.daf-apis.com"
DEFAULT_TIMEOUT = 30.0  # seconds

_API = "/auth/api/v1"
_SHOWN = 200  # characters of a server's word that are shown


class ServerUnreachable(CaveAuthError, RequestsConnectionError):
    """A server that can't be reached, or does not answer in time."""


class UnexpectedAnswer(CaveAuthError, HTTPError):
    """An answer that is no refusal and not what was asked for either.

    :ivar response: the answer, a :class:`requests.Response`.
    """


class User(TypedDict, total=False):
    """A user, as the auth service describes one; it may say less, or more."""

    id: int
    name: str
    email: str
    admin: bool
    affiliations: list[Any]


class Permissions(User, total=False):
    """A user, and what the user may do."""

    groups: list[str]
    permissions_v2: dict[str, list[str]]  #: dataset -> "view", "edit" and the like
    missing_tos: list[dict[str, Any]]  #: terms of service that are yet to be accepted
    datasets_admin: list[Any]


@dataclass(frozen=True)
class ApiKey:
    """A lasting token of the user; ``repr`` does not show the token itself."""

    id: int
    user_id: int
    token: str = field(repr=False)
    description: str | None = None
    created: str | None = None
    updated: str | None = None
    last_used: str | None = None


def base_url(server_address: str) -> str:
    """A server's address in its one proper form, ``https://host`` or ``https://host:port``.

    :param server_address: the same, or without the scheme, or with a slash behind it;
        ``http://`` for a loopback address.
    :raises InvalidHostSpec: (also a :class:`ValueError`) if it is none of these.

    >>> base_url("Global.DAF-apis.com/")
    'https://global.daf-apis.com'
    """
    text = server_address.strip().rstrip("/") if isinstance(server_address, str) else server_address
    if isinstance(text, str) and "/" in text.partition("://")[2]:  # a page, copied from a browser
        origin = parse_origin(text)
        if origin is not None and origin.scheme == "https":
            raise InvalidHostSpec(f"{server_address!r}: name the server alone, {origin.server}.")
    spec = HostSpec.parse(text)
    if spec.wildcard:
        raise InvalidHostSpec(
            f"{server_address!r} stands for many servers. Name one: host, host:port or "
            "https://host:port."
        )
    return f"{spec.origin.scheme}://{spec.origin.server}"


def describe_failure(error: BaseException, timeout: float = DEFAULT_TIMEOUT) -> str:
    """Why a server gave no answer, as the end of a sentence that begins with its name.

    :param timeout: in seconds, that was waited.
    """
    check = "Check the address and your network connection, and try again."
    if isinstance(error, Timeout):
        return f"did not answer within {timeout:g} seconds. Try again later. {check}"
    if isinstance(error, SSLError):
        return (
            "can't be trusted: its certificate does not check out. If your network needs a "
            "certificate of its own, name it in the variable REQUESTS_CA_BUNDLE."
        )
    if isinstance(error, ProxyError):
        return "can't be reached through the proxy. Check the variable HTTPS_PROXY."
    return f"can't be reached: {_reason(error)}. {check}"


class JsonApi:
    """Calls of a CAVE server that answer in JSON, each signed, with a time-out and errors of ours.

    :param server_address: ``https://host``, ``host`` or ``host:port``. Naming a server here is
        trusting it; a redirect to another is not followed.
    :param auth: what to sign with; None: ``CaveAuth(hosts=[server_address])``.
    :param timeout: in seconds, for connecting and again for each wait for an answer.
    :raises InvalidHostSpec: (also a :class:`ValueError`) if the address is not one.
    """

    def __init__(
        self,
        server_address: str = DEFAULT_SERVER,
        auth: CaveAuth | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ):
        self.server_address = base_url(server_address)
        self.timeout = timeout
        self._auth = CaveAuth(hosts=[self.server_address]) if auth is None else auth
        self._session: Session | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.server_address!r})"

    def call(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        json: Any = None,
        hidden: str = "",
    ) -> Any:
        """Send a request and return what its answer holds.

        :param path: begins with a slash.
        :param hidden: a token that is in the path, and so has to be kept out of every message.
        :raises TokenNotFound, TokenRefused, TermsNotAccepted, PermissionMissing: a refusal.
        :raises ServerUnreachable: no connection, or no answer in time.
        :raises UnexpectedAnswer: any other answer than success in JSON.
        :raises InvalidToken, TokenFileError: before anything is sent.
        """
        url, problem = self.server_address + path, ""
        with _out_of_urllib3s_log(hidden):
            try:
                response = self._open_session().request(
                    method,
                    url,
                    params=params,
                    json=json,
                    timeout=self.timeout,
                    allow_redirects=False,
                )
            except CaveAuthError:
                raise
            except (RequestException, OSError) as error:
                problem = describe_failure(error, self.timeout)
        # Raised out here so that the cause, whose text and request have the URL, is not chained.
        if problem:
            raise ServerUnreachable(f"{self.server_address} {problem}")
        _hide(response, hidden)
        self._check(response, hidden)
        return self._json(response)

    def _open_session(self) -> Session:
        if self._session is None:
            session = mount(Session(), self._auth)
            # With none of its own, a session would take a password for this host from netrc,
            # and the adapter leaves alone what is signed already.
            session.auth = _leave_unsigned
            self._session = session
        return self._session

    def _check(self, response: Response, hidden: str) -> None:
        raise_for_auth(response)
        status = response.status_code
        if status < 300:
            return
        said = self._shown(response, hidden)
        host, of = self.server_address.partition("://")[2], source_of(response)
        source = str(of) if of else None
        if status == 401:  # with a token of ours this is a refusal of it, and raised above
            raise TokenNotFound(
                f"{self.server_address} wants a token, and there was none: {said}. "
                + self._how_to_get_one(),
                response=response,
                host=host,
                source=source,
            )
        if status == 403:
            raise PermissionMissing(
                f"{self.server_address}: your account may not do this: {said}. The token is good; "
                "ask those who run the server, or an account with more rights.",
                response=response,
                host=host,
                source=source,
            )
        if response.is_redirect:
            target = (redirect_target(response) or "").partition("?")[0]
            said = f"a redirect to {self._scrub(target, hidden)!r}, which is not followed"
        advice = (
            "Try again later." if status >= 500 else "Check the address and what you asked for."
        )
        raise UnexpectedAnswer(
            f"{self.server_address} answered with status {status}: {said}. {advice}",
            response=response,
        )

    def _json(self, response: Response) -> Any:
        with contextlib.suppress(ValueError, RecursionError):
            return response.json()
        # Outside of the handler: a JSONDecodeError carries the whole document.
        kind = self._scrub(response.headers.get("Content-Type", "unknown"), "")[:_SHOWN]
        raise self.unexpected(f"something that is not JSON (content type {kind!r})")

    def _how_to_get_one(self) -> str:
        client = f"cave_auth_adapter.AuthClient(server_address={self.server_address!r})"
        return f"Get one and save it: {client}.get_new_token() tells how."

    def unexpected(self, what: str) -> UnexpectedAnswer:
        """The error for an answer that holds something else than was asked for."""
        return UnexpectedAnswer(
            f"{self.server_address} answered with {what}. "
            "Check that this is the address of a CAVE server."
        )

    def _shown(self, response: Response, hidden: str) -> str:
        """A server's word on one line, without any token."""
        # Scrubbed before it is cut: half a token would go unnoticed.
        text = self._scrub(" ".join(response.text.split()), hidden)[:_SHOWN].rstrip(". ")
        return repr(text) if text else "without a word"

    def _scrub(self, text: str, hidden: str) -> str:
        for secret in {hidden, *self._auth.credentials.known()} - {""}:
            text = text.replace(secret, "<token>")
        return text


class AuthServer(JsonApi):
    """The auth service of a CAVE deployment.

    :param server_address: ``https://host``, ``host`` or ``host:port``. Naming a server here is
        trusting it; a redirect to another is not followed.
    :param auth: what to sign with; None: ``CaveAuth(hosts=[server_address])``.
    :param timeout: in seconds, for connecting and again for each wait for an answer.
    :raises InvalidHostSpec: (also a :class:`ValueError`) if the address is not one.

    Every method that asks the server raises :class:`TokenNotFound`, :class:`TokenRefused`,
    :class:`TermsNotAccepted` or :class:`PermissionMissing` where it refuses,
    :class:`ServerUnreachable` where it does not answer in time, and :class:`UnexpectedAnswer`
    where its answer makes no sense. No message or ``repr`` shows a token.

    >>> server = AuthServer("global.daf-apis.com", timeout=5)
    >>> server
    AuthServer('https://global.daf-apis.com')
    >>> server.settings_page
    'https://global.daf-apis.com/sticky_auth/settings/tokens'
    """

    @property
    def settings_page(self) -> str:
        """The address of the page on which people see, make and revoke their tokens."""
        return self.server_address + "/sticky_auth/settings/tokens"

    @property
    def create_page(self) -> str:
        """The address that makes a new API key and shows it, after a login in the browser."""
        return self.server_address + _API + "/create_token"

    def me(self) -> User:
        """The user to whom the token belongs."""
        user: User = self._object("/user/me")
        return user

    def permissions(self) -> Permissions:
        """The user, with groups, permissions per dataset and terms of service to accept."""
        permissions: Permissions = self._object("/user/cache")
        return permissions

    def api_keys(self) -> list[ApiKey]:
        """The user's API keys. A login token is none."""
        known = ApiKey.__dataclass_fields__
        keys = []
        for entry in self._objects("/user/token"):
            if not isinstance(entry.get("id"), int) or not isinstance(entry.get("token"), str):
                raise self.unexpected("an API key that has no id or no token")
            entry.setdefault("user_id", 0)
            keys.append(ApiKey(**{name: entry[name] for name in known if name in entry}))
        return keys

    def create_key(self, description: str) -> str:
        """Make an API key and return it; it lasts until it is revoked.

        :param description: what it is for, in words; shown where the keys are listed.
        """
        answer = self.call("POST", _API + "/user/token", json={"description": description})
        with contextlib.suppress(InvalidToken):
            return check_token(answer, "the answer")
        raise self.unexpected("something that is not a token")

    def revoke_key(self, key_id: int) -> None:
        """End an API key. Services that saw it lately accept it for some minutes more (300 s).

        :param key_id: :attr:`ApiKey.id`, not the token.
        """
        self.call("DELETE", f"{_API}/user/token/{int(key_id)}")

    def time_to_live(self, token: str | None = None) -> int | None:
        """How long a token lives: in seconds; None for an API key, which lasts.

        :param token: a token of the same user; None: the one that signs the requests.
        :raises TokenRefused: also if the token is not, or no longer, one of the user's.
        """
        if token is None:
            token = self._auth.token_for(self.server_address)
            if token is None:
                raise TokenNotFound(
                    f"There is no token for {self.server_address}. {self._how_to_get_one()}",
                    host=self.server_address.partition("://")[2],
                )
        check_token(token, "the token to ask about")
        # The service wants the token in the path of the URL (neuroglancer_auth/server.py), where
        # its own access log gets to see it. Here it stays out of messages, logs and responses.
        try:
            seconds = self.call("GET", f"{_API}/user/token/{token}/ttl", hidden=token)
        except UnexpectedAnswer as error:
            if error.response is None or error.response.status_code != 404:
                raise
            raise TokenRefused(
                f"{self.server_address} does not know that token, or it is another user's. List "
                "your keys with AuthServer(…).api_keys().",
                response=error.response,
            ) from None
        if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
            raise self.unexpected("something that is not a number of seconds")
        return None if seconds < 0 else int(seconds)

    def log_out(self) -> None:
        """End the login token that signs the requests.

        :raises UnexpectedAnswer: with status 422, if it is an API key; revoke that by its id.
        """
        self.call("GET", _API + "/logout")

    def users(self, user_ids: Iterable[int]) -> list[User]:
        """Users by id; unknown ones are left out. Takes an account with more rights than most."""
        users: list[Any] = self._objects("/user", {"id": _joined(user_ids)})
        return users

    def usernames(self, user_ids: Iterable[int]) -> dict[int, str]:
        """Users' names by id; unknown ones are left out."""
        entries = self._objects("/username", {"id": _joined(user_ids)})
        with contextlib.suppress(KeyError, TypeError, ValueError):
            return {int(entry["id"]): str(entry["name"]) for entry in entries}
        raise self.unexpected("a user that has no id or no name")

    def group_users(self, group_id: int) -> list[User]:
        """The users of a group; none if there is no such group. Takes an administrator."""
        users: list[Any] = self._objects(f"/group/{int(group_id)}/user")
        return users

    def _object(self, path: str) -> Any:
        answer = self.call("GET", _API + path)
        if not isinstance(answer, dict) or "id" not in answer:
            raise self.unexpected("something that is not a user")
        return answer

    def _objects(self, path: str, params: dict[str, str] | None = None) -> list[dict[str, Any]]:
        answer = self.call("GET", _API + path, params=params)
        if not isinstance(answer, list) or not all(isinstance(entry, dict) for entry in answer):
            raise self.unexpected("something that is not a list")
        return answer


def _leave_unsigned(request: PreparedRequest) -> PreparedRequest:
    return request


def _joined(user_ids: Iterable[int]) -> str:
    return ",".join(str(int(user_id)) for user_id in user_ids)


def _hide(response: Response, token: str) -> None:
    """Take a token out of the URLs that an answer carries."""
    if token:
        response.url = (response.url or "").replace(token, "<token>")
        if response.request is not None:
            response.request.url = (response.request.url or "").replace(token, "<token>")


@contextlib.contextmanager
def _out_of_urllib3s_log(token: str) -> Iterator[None]:
    """urllib3 logs the path of each request, at the level DEBUG."""

    def without_token(record: logging.LogRecord) -> bool:
        if token in (text := record.getMessage()):
            record.msg, record.args = text.replace(token, "<token>"), ()
        return True

    if not token:
        yield
        return
    logger = logging.getLogger("urllib3.connectionpool")
    logger.addFilter(without_token)
    try:
        yield
    finally:
        logger.removeFilter(without_token)


def _reason(error: BaseException | None) -> str:
    """The operating system's word for a failure, from the depth of what urllib3 wraps around it."""
    for _ in range(10):  # reasons and causes can't go in circles for longer than that
        if error is None:
            break
        if isinstance(error, OSError) and error.strerror and error.errno:
            return str(error.strerror).lower()
        inner = [arg for arg in error.args if isinstance(arg, BaseException)]
        reason = getattr(error, "reason", None)
        if isinstance(reason, BaseException):
            inner.insert(0, reason)
        error = inner[0] if inner else error.__cause__ or error.__context__
    return "the connection failed"
