"""One ``requests`` plugin that signs requests to CAVE services, and to nobody else.

>>> import requests
>>> session = requests.Session()
>>> session.auth = CaveAuth()                             # one session
>>> session = mount(requests.Session())                   # one session, every hop of a redirect
>>> install(); uninstall()                                # every session in the process
"""

from ._version import __version__
from .adapter import CaveAdapter
from .auth import CaveAuth
from .errors import CaveAuthError, InvalidHostSpec, InvalidToken, TokenFileError
from .install import install, installed, mount, uninstall
from .tokens import TokenStore

__all__ = [
    # the three doors
    "CaveAuth",
    "CaveAdapter",
    "mount",
    "install",
    "uninstall",
    "installed",
    # the secret files
    "TokenStore",
    # what can go wrong
    "CaveAuthError",
    "InvalidHostSpec",
    "InvalidToken",
    "TokenFileError",
    "__version__",
]
