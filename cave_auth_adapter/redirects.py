"""What a redirect takes along under :func:`install`: who led there, and no token to elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from requests import PreparedRequest, Response

from .asked import Trail, erase, note_answer, trail_of
from .errors import CaveAuthError
from .exchange import Options, origin_of
from .headers import holds, strip, strip_values
from .origins import Origin, parse_origin
from .refusals import warn_of_stranger

if TYPE_CHECKING:
    from .auth import CaveAuth


def follow(
    auth: CaveAuth,
    hops: Iterator[Any],
    response: Response,
    request: PreparedRequest,
    settings: Mapping[str, Any],
) -> Iterator[Any]:
    """The hops of a redirect, with a note of who led there while each is made of the one before.

    :param hops: what ``Session.resolve_redirects`` yields: answers, or ``response.next``.
    :param settings: what it was given by keyword.
    """
    options = Options(False, settings.get("verify", True), settings.get("proxies"))
    is_inner = trail_of(request) is not None  # a hop of a redirect that is followed outside

    def note(hop: PreparedRequest, response: Response) -> None:
        origin, trusted = origin_of(auth, hop.url or "", options), auth.hosts.trusted_origin
        if origin is None:
            warn_of_stranger(response)
        note_answer(hop, response, origin, trusted, options.verify, request)

    try:
        note(request, response)
        for hop in hops:
            if isinstance(hop, PreparedRequest):  # response.next, which outlives the notes here
                hop.hooks = {event: _own(hooks) for event, hooks in hop.hooks.items()}
            yield hop
            if isinstance(hop, Response) and hop.request is not None:  # adapters for tests
                note(hop.request, hop)
    finally:
        if not is_inner:
            erase(request)


def _own(hooks: Any) -> Any:
    if not isinstance(hooks, list):
        return hooks
    return [hook.copy() if isinstance(hook, Trail) else hook for hook in hooks]


def strip_hop(auth: CaveAuth, hop: PreparedRequest, response: Response) -> None:
    """Take tokens off a hop that are not for where it goes.

    CAVEclient keeps its token as a cookie without a domain, which goes along to any host. So does a
    header other than ``Authorization``. What the caller sends to a host is the caller's affair;
    where a redirect leads is the server's.

    :param response: the answer that leads there.
    """
    url = hop.url or ""
    origin, known = parse_origin(url), auth.credentials.known()
    if origin and origin.scheme == "https" and auth.hosts.trusted_origin(url):
        strip_values(hop.headers, _of_others(auth, origin, known))
        return
    # Over plain http there may be a proxy between, of which nothing is known here. Where there is
    # none, the adapter signs. Within an untrusted host the caller's token stays, if the caller
    # sent it there. It may also come out of the cookie jar again, after it was taken off on the
    # way to that host.
    came_along = holds(response.request.headers, known)
    if origin is None or origin != parse_origin(response.url) or not came_along:
        strip(hop.headers, known)


def _of_others(auth: CaveAuth, origin: Origin, known: set[str]) -> set[str]:
    """The known tokens that are not for an origin: those of other deployments."""
    with contextlib.suppress(CaveAuthError):
        auth.credentials.token_for(origin)  # so that its own one is recognised
    return {value for value in known if not auth.credentials.recognise(origin, value)}
