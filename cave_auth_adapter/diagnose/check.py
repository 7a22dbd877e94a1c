"""What is trusted and why, and one request looked at step by step."""

from __future__ import annotations

from collections.abc import Iterator

import requests

from ..adapter import mount
from ..answers import redirect_target
from ..auth import CaveAuth
from ..errors import CaveAuthError, Refusal
from ..hosts import trusted_hosts
from ..origins import Origin, TrustedHosts, auth_server_of, parse_origin
from ..refusals import raise_for_auth
from ..service import DEFAULT_TIMEOUT, ServerUnreachable
from ..sources import Credentials
from ..tokens import Token
from ..unreachable import describe_failure
from ..words import printable, short, where
from .status import trusted


class NotTrusted(CaveAuthError):
    """A host that no token goes to."""

    def __init__(self, url: str):
        origin = parse_origin(url)
        if origin is None:
            super().__init__(f"{without_query(url)}: an address of this form gets no token.")
        elif origin.scheme == "http":
            super().__init__(f"{origin.server}: tokens travel over https only.")
        else:
            super().__init__(
                f"{origin.server} is not trusted, so it gets no token. If you know it to be a "
                f"CAVE server with a login of its own: cave-auth login {origin.server}. If it is a "
                "data server of one: cave-auth login SERVER --trust-data-servers. Or name it in "
                "the variable CAVE_AUTH_HOSTS."
            )


class Check:
    """A request to a URL, made as any program would make it, and looked at step by step.

    :ivar error: what stands between the person and the answer, as an error; None: nothing.
    """

    def __init__(self, url: str):
        self.url = url
        self.origin = trusted(url)
        self.token: Token | None = None
        self.response: requests.Response | None = None
        self.error: CaveAuthError | None = None

    def run(self) -> None:
        """Take the steps; what goes wrong ends up in ``error``."""
        try:
            self.token = Credentials().token_for(self.origin) if self.origin else None
            self._request()
        except CaveAuthError as error:
            self.error = error

    def _request(self) -> None:
        session = mount(requests.Session(), CaveAuth())
        try:
            self.response = session.get(
                self.url, timeout=DEFAULT_TIMEOUT, allow_redirects=False, stream=True
            )
        except CaveAuthError:
            raise
        except (requests.RequestException, OSError, ValueError) as error:
            self.error = unreachable(self.url, error)
            return
        try:
            raise_for_auth(self.response)
        except Refusal as error:
            self.error = error if self.origin else NotTrusted(self.url)
        finally:
            self.response.close()

    @property
    def succeeded(self) -> bool:
        """Whether the server answered, and did not refuse."""
        answered = self.response is not None and self.response.status_code < 400
        return answered and self.error is None

    @property
    def why(self) -> str:
        """Why the host is trusted, or why it is not."""
        if self.origin is None:
            return "no known deployment, no secret file of its own, not in CAVE_AUTH_HOSTS"
        server = self.origin.server
        if deployment := auth_server_of(self.origin):
            return f"known deployment of {deployment}"
        reasons = [each.why for each in trusted_hosts() if _covers(each.host, self.origin)]
        return reasons[-1] if reasons else f"{server} is known"

    @property
    def answer(self) -> str | None:
        """What the server said, in short."""
        if self.response is None:
            return None
        kind = self.response.headers.get("Content-Type", "no content type")
        text = f"{self.response.status_code} {self.response.reason or ''}".strip()
        target = redirect_target(self.response)
        return printable(f"{text}, to {without_query(target)}" if target else f"{text}, {kind}")

    @property
    def verdict(self) -> str:
        """What it means, and what to do next."""
        if self.error:
            return str(self.error)
        status = self.response.status_code if self.response is not None else 0
        if status >= 500:
            return "The server has a problem of its own. Your token is not to blame; try later."
        if status >= 400:
            return "No refusal of your token. Check the address, and what it wants."
        if status >= 300:
            return "It leads elsewhere: check that address, too."
        if self.origin is None:
            return "It answers without a token; none was sent."
        return "You are in." if self.token else "It answers, and needs no token."

    def as_json(self) -> dict[str, object]:
        """The steps for programs."""
        return {
            "url": without_query(self.url),
            "trusted": self.origin is not None,
            "why": self.why,
            "token_source": str(self.token.source) if self.token else None,
            "status": self.response.status_code if self.response is not None else None,
            "verdict": self.verdict,
        }

    def lines(self) -> Iterator[tuple[str, str, str | None]]:
        """The steps for people: label, text, colour."""
        trusted_ = "yes: " if self.origin else "no: "
        yield "trusted?", trusted_ + self.why, "green" if self.origin else "yellow"
        if self.origin is not None:
            source = f"from {where(self.token.source)}" if self.token else "none"
            yield "token", source, "green" if self.token else "yellow"
        if self.response is not None or isinstance(self.error, ServerUnreachable):
            yield "request", f"GET {without_query(self.url)}", None
        if self.answer:
            yield "answer", self.answer, "green" if self.succeeded else "yellow"
        yield "verdict", short(self.verdict), "green" if self.succeeded else "red"


def unreachable(url: str, error: BaseException) -> ServerUnreachable:
    """The error for a server that could not be asked, in the words of the auth service's API."""
    origin = parse_origin(url)
    where = f"{origin.scheme}://{origin.server}" if origin else without_query(url)
    return ServerUnreachable(f"{where} {describe_failure(error, DEFAULT_TIMEOUT)}")


def _covers(host: str, origin: Origin) -> bool:
    return TrustedHosts([host]).include(origin)


def without_query(url: str) -> str:
    """A URL fit for the screen: what is behind a question mark may be a secret."""
    address, mark, _ = url.partition("?")
    return address + ("?…" if mark else "")
