"""Sign the requests of one client: which hosts it trusts, and with which token."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..auth import CaveAuth
from ..hosts import KnownHosts, NamedHosts
from ..origins import HostSpec, Origin, parse_origin
from ..sources import Credentials

if TYPE_CHECKING:
    from .authclient import AuthClient


class ClientAuth(CaveAuth):
    """Signs for the server of a client, and for its local server if that is trusted already."""

    hosts: ClientHosts

    def __init__(self, client: AuthClient):
        super().__init__(hosts=[client._server_address])
        self._client = client
        self.hosts = ClientHosts(client._server_address, lambda: client.local_server)

    def change(
        self, token: str | None, token_file: str | os.PathLike[str] | None, token_key: str
    ) -> None:
        server = HostSpec.parse(self._client._server_address).origin
        self.credentials = Credentials(
            token, token_file, token_key, trusted=self.hosts, server=server
        )

    def __repr__(self) -> str:
        return f"<the signature of {self._client!r}>"

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self._client, "_auth")


class ClientHosts(NamedHosts):
    """One server, and its local server if that is one of the known hosts."""

    def __init__(self, server: str, find_local: Callable[[], str | None]):
        super().__init__([server])
        self._known = KnownHosts()
        self._find_local = find_local

    def trusted_origin(self, url: str) -> Origin | None:
        origin = super().trusted_origin(url)
        if origin is None and (known := self._known.trusted_origin(url)):
            # The server's answer can only exclude a known host, so ask it only for these.
            return known if known == parse_origin(self._find_local() or "") else None
        return origin

    def names(self, origin: Origin) -> bool:
        return super().names(origin) or self._known.names(origin)

    def trust_known(self, url: str) -> bool:
        """Whether the host of a URL is the server or a known host."""
        return bool(super().trusted_origin(url) or self._known.trusted_origin(url))
