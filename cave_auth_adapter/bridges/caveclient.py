"""CAVEclient's own ``AuthClient`` finds our token where its caller gave it none.

It reads secret files alone, and tools ask it (``client.auth.token``) for what they then hand to
CloudVolume or write into a header. So its initializer is wrapped (caveclient/auth.py).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from cave_auth_startup.imports import when_imported

from . import log_left_alone, token_for

_CHOICES = ("token", "token_file", "token_key")  # by which a caller says whose token it is
_SERVER = "server_address"


def listen() -> None:
    """Answer each ``AuthClient`` made from now on, whenever caveclient was or will be imported."""
    when_imported("caveclient.auth", _wrap)


def _wrap(module: ModuleType) -> None:
    if getattr(module, "__name__", "") != "caveclient.auth":  # a test put something else there
        return
    client = getattr(module, "AuthClient", None)
    original: Any = vars(client).get("__init__") if inspect.isclass(client) else None
    if hasattr(original, "__wrapped__"):
        return
    parameters = (
        list(inspect.signature(original).parameters) if inspect.isfunction(original) else []
    )
    if not {*_CHOICES, _SERVER} <= set(parameters):
        log_left_alone("caveclient")
        return
    signature, place = inspect.signature(original), parameters.index("token") - 1

    @functools.wraps(original)
    def initialize(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            given = signature.bind(self, *args, **kwargs)
        except TypeError:  # theirs to say
            original(self, *args, **kwargs)
            return
        given.apply_defaults()
        url = _url_to_ask_for(given.arguments)
        if url is None:
            original(self, *args, **kwargs)
        # The token is in no variable, for a traceback shows these.
        elif len(args) > place:
            original(self, *args[:place], token_for(url), *args[place + 1 :], **kwargs)
        else:
            original(self, *args, **{**kwargs, "token": token_for(url)})

    client.__init__ = initialize  # type: ignore[misc]


def _url_to_ask_for(arguments: Mapping[str, Any]) -> str | None:
    """The server whose token is wanted; None if the caller says whose token it is."""
    server = arguments[_SERVER]
    if any(arguments[name] is not None for name in _CHOICES) or not isinstance(server, str):
        return None
    return server if "://" in server else f"https://{server}"
