"""CloudVolume and cloud-files find our token where they look for their own.

Both refuse to send anything before they have found a token, and keep what they found per host
in a dictionary of the module (cloudvolume/secrets.py and cloudfiles/secrets.py,
``cave_credentials``). A live view of our credentials stands in for these dictionaries.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from cave_auth_startup.imports import when_imported

from ..runtime import logger

#: Module -> the name of its cache of credentials, host -> content of a secret file.
_CACHES = {
    "cloudvolume.secrets": "CAVE_CREDENTIALS_CACHE",
    "cloudfiles.secrets": "CAVE_CREDENTIALS",
}

TokenFinder = Callable[[str], "str | None"]

_find: TokenFinder | None = None


def attach(find: TokenFinder) -> None:
    """Let both libraries find tokens, whether they were imported before or will be after.

    :param find: answers the token for ``host`` or ``host:port``, or None; must not raise.
    """
    global _find
    first_time = _find is None
    _find = find
    if first_time:
        for name in _CACHES:
            when_imported(name, _replace)


def detach() -> None:
    """Leave both libraries with what they find themselves."""
    global _find
    _find = None


class LiveCredentials(dict[str, Any]):
    """A cache of credentials that has an entry wherever we know a token, and that one first."""

    def __contains__(self, host: object) -> bool:
        return self.get(host) is not None

    def __getitem__(self, host: str) -> Any:
        value = self.get(host)
        if value is None:
            raise KeyError(host)
        return value

    def get(self, host: Any, default: Any = None) -> Any:
        token = _find(host) if _find and isinstance(host, str) and host else None
        return {"token": token} if token else super().get(host, default)

    def keys(self) -> Any:
        # cloud-volume asks `host in cache.keys()`.
        return self

    def __setitem__(self, host: str, value: Any) -> None:
        if value:  # an empty answer is not one to keep: a token may be saved later
            super().__setitem__(host, value)


def _replace(module: ModuleType) -> None:
    name = _CACHES.get(getattr(module, "__name__", ""))
    cache = getattr(module, name, None) if name else None
    if name is None or isinstance(cache, LiveCredentials):  # None: a test put something else there
        return
    if not isinstance(cache, dict) or not hasattr(module, "cave_credentials"):
        logger.warning(
            "%s has no %s any more. It finds tokens only in its secret files; everything else "
            "works. Please report this, with its version.",
            module.__name__,
            name,
        )
        return
    live = LiveCredentials()
    live.update({host: value for host, value in cache.items() if value})
    setattr(module, name, live)
