"""``CAVEclient``: a session for one CAVE server and one of its datastacks."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

from requests import Session

from ..adapter import mount
from ..origins import is_retired, parse_origin
from ..service import DEFAULT_SERVER, base_url
from ..tokens import Source, Token, check_token
from .authclient import AuthClient

# CAVEclient saves the server of each datastack there (its datastack_lookup.py). It ignores
# CLOUD_VOLUME_DIR.
_SERVER_OF_DATASTACK = "~/.cloudvolume/secrets/cave_datastack_to_server_map.json"


class CAVEclient:
    """A session for one CAVE server and one of its datastacks.

    :param datastack_name: the name of a datastack; None: only the global services.
    :param server_address: the auth server; None: the server that CAVEclient has saved for the
        datastack, or else ``https://global.daf-apis.com``. By naming a server, you trust it.
    :param auth_token_file: a secret file to read the token from.
    :param auth_token_key: the key of the token in the file; None: ``"token"``.
    :param auth_token: the token itself, which outranks all files.
    :raises InvalidToken: (also a :class:`ValueError`) if ``auth_token`` can't be one.
    :raises InvalidHostSpec: (also a :class:`ValueError`) if ``server_address`` is not one.

    No file is read and nothing is sent before it is needed.

    >>> CAVEclient("minnie65_public", auth_token="0123456789abcdef")
    CAVEclient<datastack=minnie65_public, server_address=https://global.daf-apis.com>
    """

    def __init__(
        self,
        datastack_name: str | None = None,
        server_address: str | None = None,
        auth_token_file: str | os.PathLike[str] | None = None,
        auth_token_key: str | None = None,
        auth_token: str | None = None,
    ):
        if auth_token is not None:
            check_token(auth_token, "the token given in code")
        self._datastack_name = datastack_name
        self._named_server = None if server_address is None else base_url(server_address)
        self._token_file, self._token_key = auth_token_file, auth_token_key
        self._token = Token(auth_token, Source("token=")) if auth_token else None

    @property
    def datastack_name(self) -> str | None:
        """The name of the datastack; None without one."""
        return self._datastack_name

    @functools.cached_property
    def server_address(self) -> str:
        """The address of the global server: the auth service and the info service."""
        if self._named_server is not None:
            return self._named_server
        return base_url(server_of_datastack(self._datastack_name) or DEFAULT_SERVER)

    @functools.cached_property
    def auth(self) -> AuthClient:
        """The client of the auth service, which holds the token."""
        token = self._token.value if self._token else None
        auth = AuthClient(self._token_file, self._token_key, token, self.server_address)
        auth._datastack_name = self._datastack_name
        return auth

    @property
    def local_server(self) -> str | None:
        """The server of the datastack's own services; None without a datastack.

        It is looked up at the first use.

        :raises CaveAuthError: as :class:`AuthServer`, if the info service does not name one.
        """
        return self.auth.local_server

    @functools.cached_property
    def session(self) -> Session:
        """A session whose requests to :attr:`server_address` and :attr:`local_server` are signed.

        The local server must be trusted: as part of a known deployment, by a secret file of its
        own, or by ``CAVE_AUTH_HOSTS``. What the info service says is not enough. The first request
        to such a host looks up the local server.
        """
        return mount(Session(), self.auth._auth)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}<datastack={self.datastack_name}, "
            f"server_address={self.server_address}>"
        )


def server_of_datastack(datastack_name: str | None) -> str | None:
    """The server that CAVEclient has saved for a datastack; None if there is none.

    Servers in the domain that CAVE gave up don't count.
    """
    try:
        servers = json.loads(Path(_SERVER_OF_DATASTACK).expanduser().read_text("utf-8"))
        server = servers.get(datastack_name)
    except (OSError, ValueError, AttributeError, RuntimeError):
        return None  # CAVEclient ignores a file that it can't read, too
    origin = parse_origin(server) if isinstance(server, str) else None
    return server if origin is not None and not is_retired(origin.host) else None
