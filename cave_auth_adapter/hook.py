"""The response hook of ``CaveAuth``: ``requests`` calls it with each answer, on every redirect."""

from __future__ import annotations

from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any

from requests import PreparedRequest, RequestException, Response

from .asked import Trail, note_answer
from .exchange import PROGRAMMATIC, Exchange, Options, Send, is_direct
from .headers import SignedHeaders, unsign, without_signature
from .origins import Origin
from .refusals import warn_of_stranger
from .refusals.answers import redirect_target

if TYPE_CHECKING:
    from .auth import CaveAuth


class Hook(Trail):
    """Goes on from an answer where the signing of a request left off.

    All copies of a request share it, those that adapters make in ways of their own, too: so it
    knows who led to a hop, and whether the next one is signed. A pickle holds a mere trail: the
    hook would take the auth, and a ``token=`` given to it, along.

    :param request: the one that was signed, or left unsigned.
    """

    def __init__(self, auth: CaveAuth, request: PreparedRequest):
        super().__init__(request)
        self._auth = auth
        self._headers = request.headers

    def __call__(self, response: Response, **options: Any) -> Response:
        """The answer that stands.

        :param options: those of :meth:`requests.adapters.HTTPAdapter.send`.
        :raises CaveAuthError: if a token or secret file is bad by now; or a refusal is raised.
        """
        sent = response.request
        # An adapter of another kind, as for tests, may leave it out; requests-cache has its own.
        if not hasattr(sent, "hooks"):
            self._sign_copies(False)
            return response
        known = Options(
            bool(options.get("stream")),
            options.get("verify", True),
            options.get("proxies"),
            is_direct(getattr(response, "connection", None)),
        )
        exchange = Exchange.resume(self._auth, sent, known, led=self.leads(sent))
        origin = exchange.origin if exchange else None
        seen = exchange.request if exchange else without_signature(sent)
        seen.hooks = {**sent.hooks, "response": [*filter(_is_theirs, sent.hooks["response"])]}
        try:
            if exchange:
                response = exchange.settle(response, _resender(response, options))
        except RequestException as error:
            error.request = seen
            raise
        if origin is None:
            warn_of_stranger(response)
        self._prepare_next_hop(sent, origin, response)
        trusted = self._auth.hosts.trusted_origin
        note_answer(sent, response, origin, trusted, known.verify, trail=self)
        response.request = seen
        return response

    def _prepare_next_hop(
        self, sent: PreparedRequest, origin: Origin | None, response: Response
    ) -> None:
        """Change what requests will copy into the next hop; what was sent is sent already.

        A session may keep the header on a redirect (by its own ``rebuild_auth``, say), or follow
        what is none to others, and would take the token of this host elsewhere.
        """
        target = redirect_target(response)
        next_origin = self._auth.hosts.trusted_origin(target) if target else None
        stays = origin is not None and next_origin == origin
        self._sign_copies(stays)
        if isinstance(sent.headers, SignedHeaders):
            sent.headers.follows = stays
        elif origin and not stays and self._auth.our_token(sent, origin):
            unsign(sent.headers)
        name, value = PROGRAMMATIC
        if next_origin and not stays:
            sent.headers.setdefault(name, value)
        elif target and not stays and sent.headers.get(name) == value:
            del sent.headers[name]

    def _sign_copies(self, follows: bool) -> None:
        if isinstance(self._headers, SignedHeaders):
            self._headers.follows = follows

    def __deepcopy__(self, memo: dict[int, Any]) -> Hook:
        return self


def _is_theirs(hook: object) -> bool:
    return not isinstance(hook, Trail)


def _resender(response: Response, options: dict[str, Any]) -> Send | None:
    """How to send a request again on the way that an answer came; adapters for tests have none."""
    connection: Any = getattr(response, "connection", None)
    if connection is None:
        return None
    elapsed, start = response.elapsed, perf_counter()

    def send(request: PreparedRequest) -> Response:
        answer: Response = connection.send(request, **options)
        answer.elapsed = elapsed + timedelta(seconds=perf_counter() - start)
        return answer

    return send
