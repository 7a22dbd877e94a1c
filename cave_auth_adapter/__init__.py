"""A ``requests`` plugin that signs requests to CAVE services, and to no other host.

>>> import requests
>>> session = requests.Session()
>>> session.auth = CaveAuth()                             # one session
>>> session = mount(requests.Session())                   # one session, every hop of a redirect
>>> installation = install()                              # every session in the process
>>> installation.uninstall()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__
from .adapter import CaveAdapter, mount
from .auth import CaveAuth
from .errors import (
    CaveAuthError,
    InvalidHostSpec,
    InvalidToken,
    LoginFailed,
    PermissionMissing,
    Refusal,
    ServerUnreachable,
    TermsNotAccepted,
    TokenExists,
    TokenFileError,
    TokenNotFound,
    TokenRefused,
    UnexpectedAnswer,
)
from .install import acting_as, install, installed, is_installed, uninstall
from .login import login
from .providers import TokenSource, set_token_source, tokens_changed
from .refusals import explain, raise_for_auth
from .store import TokenStore

__all__ = [
    # the three ways to sign requests
    "CaveAuth",
    "CaveAdapter",
    "mount",
    "install",
    "uninstall",
    "is_installed",
    "installed",
    "acting_as",
    # tokens from your own code
    "TokenSource",
    "set_token_source",
    "tokens_changed",
    # the secret files
    "TokenStore",
    # logging in, and the names of the CAVE tutorial
    "login",
    "AuthClient",
    "CAVEclient",
    # the accounts in use
    "status",
    # refusals
    "explain",
    "raise_for_auth",
    "Refusal",
    "TokenNotFound",
    "TokenRefused",
    "TermsNotAccepted",
    "PermissionMissing",
    # other errors
    "CaveAuthError",
    "InvalidHostSpec",
    "InvalidToken",
    "LoginFailed",
    "ServerUnreachable",
    "TokenExists",
    "TokenFileError",
    "UnexpectedAnswer",
    # %load_ext cave_auth_adapter
    "load_ipython_extension",
    "unload_ipython_extension",
    "__version__",
]

if TYPE_CHECKING:
    from .caveclient import AuthClient, CAVEclient
    from .diagnose.overview import status
    from .integrations.ipython import load_ipython_extension, unload_ipython_extension

#: Imported at first use, because most programs only sign requests (PEP 562).
_LATER = {
    "AuthClient": ".caveclient",
    "CAVEclient": ".caveclient",
    "status": ".diagnose.overview",
    "load_ipython_extension": ".integrations.ipython",
    "unload_ipython_extension": ".integrations.ipython",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_LATER[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
