"""Answer other libraries that look for a token, under :func:`install`."""

from __future__ import annotations

from collections.abc import Callable

from . import bridges
from .auth import CaveAuth
from .bridges import Answers, caveclient, cloudvolume, neuroglancer
from .errors import CaveAuthError
from .origins import auth_server_of, parse_origin
from .refusals import advice
from .runtime import warn_once


def attach(auth_in_effect: Callable[[], CaveAuth | None]) -> None:
    """Let other libraries find our tokens, whether they are imported already or later.

    :param auth_in_effect: called for each question; None if nothing is installed.
    """
    bridges.attach(_Answers(auth_in_effect))
    cloudvolume.listen()
    caveclient.listen()
    neuroglancer.listen()


def detach() -> None:
    """Stop answering: other libraries find tokens by themselves again."""
    bridges.detach()


def answers_from(auth: CaveAuth) -> Answers:
    """The answers of one auth, independent of :func:`install`."""
    return _Answers(lambda: auth)


class _Answers:
    def __init__(self, auth_in_effect: Callable[[], CaveAuth | None]):
        self._auth_in_effect = auth_in_effect

    def token_for(self, url: str) -> str | None:
        auth = self._auth_in_effect()
        try:
            return auth.token_for(url) if auth else None
        except CaveAuthError as error:
            warn_once(f"The token for {_host(url)} can't be used. {error}")
            return None

    def tell_missing(self, url: str) -> None:
        auth, origin = self._auth_in_effect(), parse_origin(url)
        if auth is None or origin is None:
            return
        about = advice.About(
            host=origin.server,
            server=origin.server,
            url=url,
            auth_server=auth_server_of(origin),
            is_trusted=auth.trusts(url),
            token=None,
            led_by=None,
        )
        sentence = advice.no_token(about) if about.is_trusted else advice.not_trusted(about)
        warn_once(sentence, "no_token", origin)


def _host(url: str) -> str:
    origin = parse_origin(url)
    return origin.server if origin else "a host"
