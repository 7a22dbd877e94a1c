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
    """Handles the answer to a request that a :class:`CaveAuth` has prepared.

    All copies of a request share it, also the copies that adapters make. So it knows which server
    led to a hop, and whether the next one is signed. A pickle contains only a trail: the hook would
    contain the auth, and its ``token=``.

    :param request: the request that was prepared, signed or not.
    """

    def __init__(self, auth: CaveAuth, request: PreparedRequest):
        super().__init__(request)
        self.auth: CaveAuth = auth
        self._headers = request.headers

    def __call__(self, response: Response, **options: Any) -> Response:
        """Return the final answer, after signing and sending the request again if needed.

        :param options: the arguments of :meth:`requests.adapters.HTTPAdapter.send`.
        :raises CaveAuthError: if a token or secret file is invalid, or for ``raise_errors``.
        """
        sent = response.request
        # Adapters for tests may leave the request out, and requests-cache has its own kind.
        if not isinstance(sent, PreparedRequest):
            self._sign_copies(False)
            return response
        known = Options(
            bool(options.get("stream")),
            options.get("verify", True),
            options.get("proxies"),
            is_direct(getattr(response, "connection", None)),
        )
        exchange = Exchange.resume(self.auth, sent, known, led=self.leads(sent))
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
        trusted = self.auth.hosts.trusted_origin
        note_answer(sent, response, origin, trusted, known.verify, trail=self)
        if self.has_marks:  # for a mounted adapter, if the caller follows the redirect by hand
            seen.hooks["response"].append(self.bare())
        response.request = seen
        return response

    def _prepare_next_hop(
        self, sent: PreparedRequest, origin: Origin | None, response: Response
    ) -> None:
        """Change the headers that requests copies into the next hop.

        A session may keep the header on a redirect, by its own ``rebuild_auth``, or follow answers
        that are no redirects to others. It would then send this host's token to another host.
        """
        target = redirect_target(response)
        next_origin = self.auth.hosts.trusted_origin(target) if target else None
        stays = origin is not None and next_origin == origin
        self._sign_copies(stays)
        if isinstance(sent.headers, SignedHeaders):
            sent.headers.follows = stays
        elif origin and not stays and self.auth.our_token(sent, origin):
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
    """A function that sends a request again by the same adapter; None for adapters for tests."""
    connection: Any = getattr(response, "connection", None)
    if connection is None:
        return None
    elapsed, start = response.elapsed, perf_counter()

    def send(request: PreparedRequest) -> Response:
        answer: Response = connection.send(request, **options)
        answer.elapsed = elapsed + timedelta(seconds=perf_counter() - start)
        return answer

    return send
