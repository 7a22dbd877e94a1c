"""Stand-ins for the network and the clock."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

CAVE = "https://global.daf-apis.com"
OTHER_CAVE = "https://minnie.microns-daf.com"  # another host of the same deployment
THIRD_CAVE = "https://proofreading.zetta.ai"  # of another deployment
FOREIGN = "https://elsewhere.example.org"
LOGIN = "https://global.daf-apis.com/sticky_auth/api/v1/authorize?redirect=x"

TOKEN = "0123456789abcdef0123456789abcdef"
OTHER_TOKEN = "fedcba9876543210fedcba9876543210"
COOKIE = f"middle_auth_token={TOKEN}"
BEARER = f"Bearer {TOKEN}"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Sent(NamedTuple):
    """A request as it was sent; later changes to the object don't affect it."""

    url: str
    headers: dict[str, Any]
    body: bytes

    @property
    def is_bare(self) -> bool:
        """Whether we added nothing to it."""
        return not self.headers.keys() & {"Authorization", "Cookie", "X-Requested-With"}


class Answer(NamedTuple):
    status: int = 200
    headers: dict[str, str] | None = None


class StubAdapter(HTTPAdapter):
    """Returns its answers in turn, without a network; the last one repeats."""

    def __init__(self, *answers: Answer | Exception, **options: Any):
        super().__init__(**options)
        self.answers = list(answers) or [Answer()]
        self.sent: list[Sent] = []
        self.keywords: list[dict[str, Any]] = []
        self.closed = 0

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        body = b"".join(_chunks(request.body))
        self.sent.append(Sent(request.url or "", dict(request.headers), body))
        self.keywords.append(kwargs)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        raw = HTTPResponse(
            io.BytesIO(b"{}"), answer.headers, answer.status, preload_content=False, reason="stub"
        )
        return self.build_response(request, raw)

    def close(self) -> None:
        self.closed += 1


def _chunks(body: Any) -> Iterator[bytes]:
    if body is None:
        return
    if isinstance(body, str):
        body = body.encode()
    if isinstance(body, bytes):
        yield body
    elif hasattr(body, "read"):
        yield body.read()
    else:
        yield from _all(body)


def _all(body: Iterable[bytes]) -> Iterator[bytes]:
    yield from body


def redirect(target: str, status: int = 302) -> Answer:
    return Answer(status, {"Location": target})


def holds(token: str, *things: object) -> bool:
    """Whether the repr or the pickle of any object holds a token."""
    import pickle

    return any(token in repr(thing) or token.encode() in pickle.dumps(thing) for thing in things)


Write = Callable[..., Any]
