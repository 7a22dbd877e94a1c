"""Redirects under :func:`install`: note which server led where, and take tokens off the hops."""

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
    """Yield the hops of a redirect, and note which server led to each, before the next is made.

    :param hops: what ``Session.resolve_redirects`` yields: answers, or ``response.next``.
    :param settings: its other arguments, by name.
    """
    options = Options(False, settings.get("verify", True), settings.get("proxies"))
    is_inner = trail_of(request) is not None  # the caller follows redirects, and this is a hop

    def note(hop: PreparedRequest, response: Response) -> None:
        origin, trusted = origin_of(auth, hop.url or "", options), auth.hosts.trusted_origin
        if origin is None:
            warn_of_stranger(response)
        note_answer(hop, response, origin, trusted, options.verify, request)

    try:
        note(request, response)
        for hop in hops:
            if isinstance(hop, PreparedRequest):  # response.next, which outlives this trail
                hop.hooks = {event: _own(hooks) for event, hooks in hop.hooks.items()}
            yield hop
            if isinstance(hop, Response) and hop.request is not None:  # None: an adapter for tests
                note(hop.request, hop)
    finally:
        if not is_inner:
            erase(request)


def _own(hooks: Any) -> Any:
    if not isinstance(hooks, list):
        return hooks
    return [hook.copy() if isinstance(hook, Trail) else hook for hook in hooks]


def strip_hop(auth: CaveAuth, hop: PreparedRequest, response: Response) -> None:
    """Remove tokens from a hop that do not belong to its host.

    CAVEclient keeps its token as a cookie without a domain, which goes to any host. So does a
    header other than ``Authorization``. The caller decides what to send to a host, but a server
    decides where a redirect leads.

    :param response: the answer that redirected there.
    """
    url = hop.url or ""
    origin, known = parse_origin(url), auth.credentials.known()
    if origin and origin.scheme == "https" and auth.hosts.trusted_origin(url):
        strip_values(hop.headers, _of_others(auth, origin, known))
        return
    # Over plain http there may be a proxy, which is unknown here; if there is none, the adapter
    # signs. Within an untrusted host, a token stays if the caller sent it there. If it was removed
    # on the way to that host, the cookie jar may have added it again.
    came_along = holds(response.request.headers, known)
    if origin is None or origin != parse_origin(response.url) or not came_along:
        strip(hop.headers, known)


def _of_others(auth: CaveAuth, origin: Origin, known: set[str]) -> set[str]:
    """The known tokens of other deployments than that of an origin."""
    with contextlib.suppress(CaveAuthError):
        auth.credentials.token_for(origin)  # so that its own token is known
    return {value for value in known if not auth.credentials.recognise(origin, value)}
