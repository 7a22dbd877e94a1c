"""What other libraries are answered, under :func:`install`, when they ask for a token."""

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
    """Let other libraries find our tokens, imported before or after.

    :param auth_in_effect: asked at each question; None where nothing is in effect.
    """
    bridges.attach(_Answers(auth_in_effect))
    cloudvolume.listen()
    caveclient.listen()
    neuroglancer.listen()


def detach() -> None:
    """Leave other libraries with what they find themselves."""
    bridges.detach()


def answers_from(auth: CaveAuth) -> Answers:
    """What one auth answers, whatever is installed."""
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
