"""Let CloudVolume and cloud-files find our token where they look for their own.

Both send nothing before they have found a token, and cache it by host in a dictionary of the module
(cloudvolume/secrets.py and cloudfiles/secrets.py, ``cave_credentials``). We replace these
dictionaries by a live view of our credentials.

Both look up only the host. The methods that look up (``GrapheneMetadata.parse_token``,
``CaveInterface.__init__``) know the scheme, so we wrap them, too.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import ModuleType
from typing import Any, NamedTuple

from cave_auth_startup.imports import when_imported

from . import log_left_alone, tell_missing, token_for


class _Library(NamedTuple):
    name: str  # the name of the distribution
    cache: str  # the dictionary in the module secrets: host -> content of a secret file
    asking: tuple[str, str]  # the class and the method that look up a token


_LIBRARIES = {
    "cloudvolume": _Library(
        "cloud-volume", "CAVE_CREDENTIALS_CACHE", ("GrapheneMetadata", "parse_token")
    ),
    "cloudfiles": _Library("cloud-files", "CAVE_CREDENTIALS", ("CaveInterface", "__init__")),
}
#: Libraries that differ from what we expect. They find tokens only in their secret files.
_left_alone: set[str] = set()
_scheme: ContextVar[str] = ContextVar("scheme", default="https")


def listen() -> None:
    """Replace the caches of both, whether they are imported already or later.

    fafbseg and crantpy reload cloudvolume.secrets when they save a token, so replace it each time.
    """
    when_imported("cloudvolume.secrets", _replace_cache, each_time=True)
    when_imported("cloudfiles.secrets", _replace_cache, each_time=True)
    when_imported("cloudvolume.datasource.graphene.metadata", _wrap_graphene)
    when_imported("cloudfiles.interfaces", _wrap_cave_interface)


class LiveCredentials(dict[str, Any]):
    """A cache of credentials in which our tokens come first.

    Its keys are ``host`` or ``host:port``; some tools look up ``https://host``.
    """

    def __init__(self, library: str):
        self._library = library

    def __contains__(self, host: object) -> bool:
        return self.get(host) is not None

    def __getitem__(self, host: str) -> Any:
        value = self.get(host)
        if value is None:
            raise KeyError(host)
        return value

    def get(self, host: Any, default: Any = None) -> Any:
        token = None
        if host and isinstance(host, str) and self._library not in _left_alone:
            token = token_for(host if "://" in host else f"{_scheme.get()}://{host}")
        return {"token": token} if token else super().get(host, default)

    def keys(self) -> Any:
        # cloud-volume checks `host in cache.keys()`.
        return self

    def __setitem__(self, host: str, value: Any) -> None:
        if value:  # don't cache that there is no token: it may be saved later
            super().__setitem__(host, value)


def _replace_cache(module: ModuleType) -> None:
    found = _library_of(module)
    if found is None:
        return
    package, library = found
    cache = getattr(module, library.cache, None)
    if isinstance(cache, LiveCredentials):
        return
    ask = getattr(module, "cave_credentials", None)
    if not isinstance(cache, dict) or not inspect.isfunction(ask):
        # Old versions have one token for all servers, and no cache.
        too_old = inspect.isfunction(ask) and not inspect.signature(ask).parameters
        _leave_alone(package, library, too_old)
        return
    live = LiveCredentials(package)
    live.update({host: value for host, value in cache.items() if value})
    setattr(module, library.cache, live)


def _wrap_graphene(module: ModuleType) -> None:
    def around(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def parse_token(self: Any, *args: Any, **kwargs: Any) -> Any:
            url = f"{self.server_path.scheme}://{self.server_path.fqdn}"
            try:
                with _asking_by(url):
                    return original(self, *args, **kwargs)
            except Exception:
                if not any((*args, *kwargs.values(), token_for(url))):
                    tell_missing(url)
                raise

        return parse_token

    _wrap(module, around)


def _wrap_cave_interface(module: ModuleType) -> None:
    def around(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def initialize(self: Any, path: Any, *args: Any, **kwargs: Any) -> None:
            with _asking_by(path.host):
                original(self, path, *args, **kwargs)

        return initialize

    _wrap(module, around)


def _wrap(module: ModuleType, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    found = _library_of(module)
    if found is None:
        return
    package, library = found
    owner, name = library.asking
    original = vars(getattr(module, owner, object)).get(name)
    if not inspect.isfunction(original):
        _leave_alone(package, library)
    elif not hasattr(original, "_cave_auth"):
        wrapped = around(original)
        wrapped._cave_auth = True  # type: ignore[attr-defined]
        setattr(getattr(module, owner), name, wrapped)


@contextlib.contextmanager
def _asking_by(url: str) -> Iterator[None]:
    scheme = url.partition("://")[0].lower()
    token = _scheme.set(scheme)
    try:
        yield
    finally:
        _scheme.reset(token)


def _library_of(module: Any) -> tuple[str, _Library] | None:
    """The library that a module belongs to; None for a test's replacement."""
    package = str(getattr(module, "__name__", "")).partition(".")[0]
    library = _LIBRARIES.get(package)
    return (package, library) if library else None


def _leave_alone(package: str, library: _Library, too_old: bool = False) -> None:
    if package in _left_alone:
        return
    _left_alone.add(package)
    if too_old:
        update = f"python -m pip install -U {library.name}"
        log_left_alone(library.name, remedy=f"It is too old. Update it: {update}")
    else:
        log_left_alone(library.name)
