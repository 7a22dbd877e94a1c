"""``AuthClient`` and ``CAVEclient``, with the names of the CAVE tutorial, to sign requests.

Names, arguments and results are those of the ``caveclient`` package (its ``auth.py`` and
``frameworkclient.py``), so that you can use these classes in their place.
"""

from .authclient import AuthClient
from .client import CAVEclient, server_of_datastack

__all__ = ["AuthClient", "CAVEclient", "server_of_datastack"]
