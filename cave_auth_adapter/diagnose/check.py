"""Make one request as a program would, and explain it step by step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import requests

from ..adapter import mount
from ..auth import CaveAuth
from ..errors import CaveAuthError, InvalidToken, Refusal, ServerUnreachable, TokenFileError
from ..hosts import KnownHosts
from ..origins import Origin, parse_origin
from ..plain import printable
from ..redaction import masked
from ..refusals import Verdict, judge
from ..refusals.answers import covered, parsed, redirect_target
from ..refusals.bodies import peek
from ..service.jsonapi import DEFAULT_TIMEOUT
from ..service.shapes import Permissions
from ..service.unreachable import describe_failure
from ..service.waiting import within
from ..sources import Credentials
from ..store import DoubtfulFile, TokenStore
from ..tokens import Token
from ..words import person, short, where
from .status import holding_for, trusted

#: Addresses of the auth service that change something, even with GET.
CHANGING = {
    "refresh_token": "replaces your API key",
    "create_token": "makes a new API key",
    "logout": "ends your login",
    "logout_all": "ends all your logins",
}


class NotTrusted(CaveAuthError):
    """The host is not trusted, so it gets no token."""

    def __init__(self, url: str, sentence: str | None = None):
        origin = parse_origin(url)
        if doubt := doubtful_file(url):
            super().__init__(str(doubt))
        elif sentence:
            super().__init__(sentence)
        elif origin is None:
            super().__init__(f"{without_query(url)}: an address of this form gets no token.")
        elif origin.scheme == "http":
            super().__init__(f"{origin.server}: tokens are sent over https only.")
        else:
            super().__init__(
                f"{origin.server} is not trusted, so it gets no token. If you know who runs it, "
                "and which auth server's tokens it accepts: "
                f"cave-auth trust {origin.server} --server AUTH_SERVER"
            )


def doubtful_file(url: str) -> DoubtfulFile | None:
    """A host's secret file, if it doesn't make the host trusted: another user may have made it."""
    origin = parse_origin(url)
    if origin is None or trusted(url) is not None:
        return None
    with contextlib.suppress(TokenFileError):
        return next((d for d in TokenStore().doubtful() if d.server == origin.server), None)
    return None


class NotAsked(CaveAuthError):
    """The address would change something, so it was not requested."""


class Check:
    """A request to a URL, and its result.

    :ivar error: why the request failed; None if it succeeded.
    :ivar verdict: the refusal, if the error is a known one.
    :ivar said: the server's own message about a failure.
    :ivar user: the user that the token belongs to, if the request succeeded.
    """

    def __init__(self, url: str):
        self.url = url
        self.origin = trusted(url)
        self.token: Token | None = None
        self.response: requests.Response | None = None
        self.verdict: Verdict | None = None
        self.error: CaveAuthError | None = None
        self.said: str | None = None
        self.user: Permissions | None = None
        self._unknown: CaveAuthError | None = None  # why we don't know whose token it is

    def run(self) -> None:
        """Make the request; a failure is in ``error`` afterwards."""
        try:
            refuse_to_change(self.url)
            self.token = Credentials().token_for(self.origin) if self.origin else None
            self.response = self._ask()
            self._judge(self.response)
            if self.succeeded and self.token and self.origin:
                self._ask_who(self.origin)
        except CaveAuthError as error:
            self.error = error

    def _ask(self) -> requests.Response:
        session = mount(requests.Session(), CaveAuth())
        options: dict[str, Any] = {"allow_redirects": False, "stream": True}
        origin = parse_origin(self.url)
        try:
            return within(
                DEFAULT_TIMEOUT,
                lambda: session.get(self.url, timeout=DEFAULT_TIMEOUT, **options),
                origin.server if origin else "the server",
            )
        except CaveAuthError:
            raise
        except (requests.RequestException, OSError, ValueError) as error:
            raise unreachable(self.url, error) from None

    def _judge(self, response: requests.Response) -> None:
        body = peek(response) if response.status_code >= 400 else b""
        response.close()
        self.said = self._message(body)
        self.verdict = judge(response, body)
        if self.verdict and not self.origin:
            self.error = NotTrusted(self.url, self.verdict.sentence)
        elif self.verdict:
            self.error = self.verdict.as_error(response)

    def _message(self, body: bytes) -> str | None:
        """The message in the body of a failure: from JSON, or a text that isn't HTML."""
        try:
            said = parsed(body)
        except ValueError:
            said = body.decode("utf-8", "replace")
        if isinstance(said, dict):
            said = said.get("message") or said.get("error")
        if not isinstance(said, str) or "<html" in said.lower() or not said.strip():
            return None
        return printable(covered(" ".join(said.split()), [self.token.value] if self.token else []))

    def _ask_who(self, origin: Origin) -> None:
        """Ask the auth server whose token it is: public data can be read with a bad token, too."""
        try:
            _, self.user = holding_for(origin).ask()
        except CaveAuthError as error:
            self._unknown = error

    @property
    def succeeded(self) -> bool:
        """Whether the server answered and did not refuse."""
        answered = self.response is not None and self.response.status_code < 400
        return answered and self.error is None

    @property
    def why(self) -> str:
        """Why the host is trusted, or why it is not."""
        if self.origin is None:
            if doubt := doubtful_file(self.url):
                return f"it has a secret file, but {doubt.reason}"
            return "no known deployment, no secret file of its own, not in CAVE_AUTH_HOSTS"
        trust = KnownHosts().why(self.origin)
        return trust.why if trust else f"{self.origin.server} is known"

    @property
    def answer(self) -> str | None:
        """The server's answer in short."""
        if self.response is None:
            return None
        kind = self.response.headers.get("Content-Type", "no content type")
        text = f"{self.response.status_code} {self.response.reason or ''}".strip()
        target = redirect_target(self.response)
        return printable(f"{text}, to {without_query(target)}" if target else f"{text}, {kind}")

    @property
    def conclusion(self) -> str:
        """The meaning of the answer, and what to do next."""
        if self.error:
            return str(self.error)
        assert self.response is not None  # noqa: S101 - else there is an error
        status, target = self.response.status_code, redirect_target(self.response)
        if status >= 500:
            return "Server error; your token is fine. Try again later."
        if status >= 400:
            accepted = "Your token was accepted. " if self.token else ""
            return f"{accepted}Check the address and its parameters."
        if target:
            return f"It redirects to {without_query(target)}; check that address, too."
        if self.origin is None:
            return "It answered without a token; none was sent."
        return self._who_is_in()

    def _who_is_in(self) -> str:
        if self.token is None:
            return "This is public: it answers without a token."
        if self.user:
            return f"You are in, as {person(self.user)}."
        if isinstance(self._unknown, Refusal):
            return (
                "It answered, but your token is refused: the data is public, or the server caches "
                f"the token for a few more minutes. {self._unknown}"
            )
        return f"It answered, but we could not check whose token it is: {self._unknown}"

    @property
    def cause(self) -> str | None:
        """The kind of failure, in one word for programs; None if there is none."""
        if self.verdict:
            return self.verdict.cause
        for kind, cause in _CAUSES.items():
            if isinstance(self.error, kind):
                return cause
        return None

    def as_json(self) -> dict[str, object]:
        """The steps for programs. New releases add keys, but don't remove or rename any."""
        details = self.verdict.details if self.verdict else {}
        return {
            "url": without_query(self.url),
            "trusted": self.origin is not None,
            "why": self.why,
            "token_source": str(self.token.source) if self.token else None,
            "status": self.response.status_code if self.response is not None else None,
            "verdict": self.conclusion,
            "cause": self.cause,
            "message": self.said,
            "user": self.user and {name: self.user.get(name) for name in ("id", "name", "email")},
            "dataset": details.get("dataset"),
            "form": details.get("form_url"),
        }

    def lines(self) -> Iterator[tuple[str, str, str | None]]:
        """The steps for people: label, text, colour."""
        trusted_ = "yes: " if self.origin else "no: "
        yield "trusted?", trusted_ + short(self.why), "green" if self.origin else "yellow"
        if self.origin is not None:
            source = f"from {where(self.token.source)}" if self.token else "none"
            yield "token", source, "green" if self.token else "yellow"
        if self.response is not None or isinstance(self.error, ServerUnreachable):
            yield "request", f"GET {without_query(self.url)}", None
        if self.answer:
            said = f"; it says {self.said!r}" if self.said else ""
            yield "answer", self.answer + said, "green" if self.succeeded else "yellow"
        yield "verdict", short(self.conclusion), "green" if self.succeeded else "red"


_CAUSES: dict[type[CaveAuthError], str] = {
    NotTrusted: "not_trusted",
    NotAsked: "changes_something",
    ServerUnreachable: "unreachable",
    TokenFileError: "bad_file",
    InvalidToken: "bad_token",
}


def refuse_to_change(url: str) -> None:
    """Refuse an address that would change something at the auth service, in any encoding.

    :raises NotAsked: if it would change something.
    """
    path = urlsplit(url).path
    for _ in range(3):
        path = unquote(path)
    parts = path.replace("\\", "/").lower().split("/")
    for part in (each.partition(";")[0].strip(". \t\x00") for each in parts):
        if part in CHANGING:
            raise NotAsked(
                f"Requesting {without_query(url)} {CHANGING[part]}, so it was not requested. Check "
                "another address of that server."
            )


def unreachable(url: str, error: BaseException) -> ServerUnreachable:
    """The error for a server that can't be reached."""
    origin = parse_origin(url)
    where = f"{origin.scheme}://{origin.server}" if origin else without_query(url)
    return ServerUnreachable(f"{where} {describe_failure(error, DEFAULT_TIMEOUT, url)}")


def without_query(url: str) -> str:
    """A URL without its query, which may hold a secret."""
    address, mark, _ = masked(url).partition("?")
    return address + ("?…" if mark else "")
