"""Give CAVEclient's own ``AuthClient`` our token if its caller passes none.

It reads only secret files. Tools take its token (``client.auth.token``) and pass it to CloudVolume
or put it into a header. So we wrap its initializer (caveclient/auth.py).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from cave_auth_startup.imports import when_imported

from . import log_left_alone, token_for

_CHOICES = ("token", "token_file", "token_key")  # the parameters that choose a token
_SERVER = "server_address"


def listen() -> None:
    """Wrap ``AuthClient``, whether caveclient is imported already or later."""
    when_imported("caveclient.auth", _wrap)


def _wrap(module: ModuleType) -> None:
    if getattr(module, "__name__", "") != "caveclient.auth":  # a test's replacement
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
        except TypeError:  # wrong arguments: let the original raise
            original(self, *args, **kwargs)
            return
        given.apply_defaults()
        url = _url_to_ask_for(given.arguments)
        if url is None:
            original(self, *args, **kwargs)
        # Don't store the token in a variable, which a traceback could show.
        elif len(args) > place:
            original(self, *args[:place], token_for(url), *args[place + 1 :], **kwargs)
        else:
            original(self, *args, **{**kwargs, "token": token_for(url)})

    client.__init__ = initialize  # type: ignore[misc]


def _url_to_ask_for(arguments: Mapping[str, Any]) -> str | None:
    """The server to find a token for; None if the caller chose a token."""
    server = arguments[_SERVER]
    if any(arguments[name] is not None for name in _CHOICES) or not isinstance(server, str):
        return None
    return server if "://" in server else f"https://{server}"
