"""Note whether a request follows a redirect from an untrusted server, so that it isn't signed.

Otherwise, an untrusted server could make the caller send a signed ``GET …/logout``, or with 307 a
``POST`` (cross-site request forgery). ``requests`` makes each hop of a redirect from a copy of the
request before it, and copies share their hooks. So a mark among the hooks reaches every hop,
``response.next``, and the copies that other adapters make.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from requests import PreparedRequest, Response

from .origins import Origin, parse_origin
from .refusals.answers import redirect_target

Trusted = Callable[[str], Origin | None]  # the origin of a URL that may see a token


class _Mark(NamedTuple):
    """Later requests were led by an untrusted server, except to one URL and its https form."""

    on: weakref.ref[PreparedRequest] | None
    named: str | None

    def leads(self, request: PreparedRequest) -> bool:
        if self.on is not None and self.on() is request:
            return False
        url, named = request.url or "", self.named
        return named is None or not (url == named or _is_upgrade(named, url))

    def covers(self, request: PreparedRequest, named: str | None) -> bool:
        """Whether a mark on a request adds nothing to this one."""
        if named is None:
            return self.named is None and self.on is not None and self.on() is request
        return self.named == named


class Trail:
    """A response hook that only remembers which copies of a request an untrusted server led to.

    :param root: the request that the caller made. It was not led, nor are copies of it that the
        caller makes. If the caller sends the same object again, a new trail begins.
    """

    #: The ``CaveAuth`` that prepared the request, if one did.
    auth: object = None

    def __init__(self, root: PreparedRequest | None):
        self._root = None if root is None else weakref.ref(root)
        # Copies share this string object; for a redirect, requests makes a new one.
        self._url = None if root is None else root.url
        self._marks: list[_Mark] = []

    def __call__(self, response: Response, **kwargs: Any) -> Response | None:
        """Return None, which leaves the answer as it is."""
        return None

    def leads(self, request: PreparedRequest) -> bool:
        """Whether a redirect from an untrusted server led to a request."""
        if self.begins_at(request) or (self._url is not None and request.url is self._url):
            return False
        return any(mark.leads(request) for mark in self._marks)

    def is_signed_by_other(self, auth: object) -> bool:
        """Whether another ``CaveAuth`` than this one prepared the request, so signs it itself."""
        return self.auth is not None and self.auth != auth

    def begins_at(self, request: PreparedRequest) -> bool:
        """Whether a request is the one that the caller made."""
        return self._root is not None and self._root() is request

    def add(self, request: PreparedRequest, named: str | None) -> None:
        """Note that requests after this one are led by an untrusted server.

        :param named: a URL that the caller or a trusted server asked for, so not led there. If the
            request was led itself, it counts for nothing.

        The number of marks stays small, even if a session follows redirects for ever.
        """
        if self.leads(request):
            self._marks = [_Mark(None, None)]  # all that follows is led, too
        elif not any(mark.covers(request, named) for mark in self._marks):
            self._marks.append(_Mark(weakref.ref(request), named))

    def begin_again(self) -> None:
        """Remove all marks."""
        self._marks.clear()

    @property
    def has_marks(self) -> bool:
        """Whether an untrusted server led anywhere."""
        return bool(self._marks)

    def copy(self) -> Trail:
        """An independent copy."""
        twin: Trail = object.__new__(type(self))
        vars(twin).update(vars(self), _marks=[*self._marks])
        return twin

    def bare(self) -> Trail:
        """An independent copy that only remembers, of a subclass, too."""
        twin = Trail(None)
        twin._root, twin._url, twin._marks = self._root, self._url, [*self._marks]
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Trail:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, ([mark.named for mark in self._marks],)


def _restore(named: list[str | None]) -> Trail:
    """A trail from a pickle, where each request is a copy."""
    trail = Trail(None)
    trail._marks = [_Mark(None, url) for url in named]
    return trail


def trail_of(request: PreparedRequest) -> Trail | None:
    """The trail that a request and its copies share, if any."""
    for hook in _hooks(request):
        if isinstance(hook, Trail):
            return hook
    return None


def note_answer(
    request: PreparedRequest,
    response: Response,
    origin: Origin | None,
    trusted: Trusted,
    verify: object = True,
    first: PreparedRequest | None = None,
    trail: Trail | None = None,
) -> None:
    """Note which hops after an answer an untrusted server leads to.

    >>> request = PreparedRequest()
    >>> request.prepare("GET", "https://elsewhere.example/")
    >>> note_answer(request, Response(), None, lambda url: None)
    >>> there, trail = request.copy(), trail_of(request)
    >>> there.url = "https://global.daf-apis.com/auth/api/v1/logout"
    >>> trail.leads(request), trail.leads(there)
    (False, True)

    :param origin: the origin of the request, if it is trusted.
    :param verify: as the request was sent. Without verified TLS, anybody may have answered, so only
        a redirect within the origin is trusted.
    :param first: the first request of the redirects, if the hooks of this one may be different.
    :param trail: where to note it; None: on the trail of the request, or a new one.
    """
    is_verified = verify or (origin and origin.scheme == "http")
    # Asking for the header of a redirect takes longer than for the status.
    if origin and is_verified and (response.status_code == 200 or not response.is_redirect):
        return
    trail = trail or _find_or_begin(first or request)
    if trail is None:
        return
    if trail.begins_at(request):
        trail.begin_again()
    target = redirect_target(response)
    if origin is None:
        trail.add(request, request.url if is_verified else None)
    elif is_verified and target and not trusted(target):
        trail.add(request, target)
    elif not is_verified and not (target and parse_origin(target) == origin):
        trail.add(request, None)


def _find_or_begin(request: PreparedRequest) -> Trail | None:
    trail, hooks = trail_of(request), getattr(request, "hooks", None)
    if trail is None and isinstance(hooks, dict):
        trail = Trail(request)
        if isinstance(theirs := hooks.get("response", ()), list):
            theirs.append(trail)
        else:
            hooks["response"] = [*_hooks(request), trail]
    return trail


def erase(request: PreparedRequest) -> None:
    """Remove the trail from a request and its copies."""
    hooks = _hooks(request)
    if isinstance(hooks, list):
        hooks[:] = [hook for hook in hooks if not isinstance(hook, Trail)]


def _hooks(request: PreparedRequest) -> Any:
    hooks = getattr(request, "hooks", None)  # a test's stand-in for a request may have none
    found = hooks.get("response") if isinstance(hooks, dict) else None
    return [found] if callable(found) else found or ()  # requests accepts a single function, too


def _is_upgrade(named: str, url: str) -> bool:
    """Whether two URLs differ only in the scheme: http before, https after."""
    before, after = parse_origin(named), parse_origin(url)
    if before is None or after is None or before.host != after.host:
        return False
    if (before.scheme, before.port, after.scheme, after.port) != ("http", 80, "https", 443):
        return False
    return _path(named) == _path(url)


def _path(url: str) -> str:
    """The path and the query of a URL."""
    rest = url.partition("://")[2].partition("#")[0]
    start = min((i for i in map(rest.find, "/?") if i >= 0), default=len(rest))
    return rest[start:] or "/"
