"""The hosts and the sources of tokens that the tests of the credentials share."""

from __future__ import annotations

from cave_auth_adapter.origins import Origin
from cave_auth_adapter.sources import Credentials

HOST = Origin("https", "minnie.microns-daf.com", 443)
AUTH_SERVER = "global.daf-apis.com"
AUTH = Origin("https", AUTH_SERVER, 443)
# Each source of a token, highest rank first.
SOURCES = [
    "token=",
    "token_file=",
    "CAVE_TOKEN",
    "CAVE_TOKEN_FILE",
    f"{HOST.host}-cave-secret.json",
    f"{AUTH_SERVER}-cave-secret.json",
    "cave-secret.json",
    "chunkedgraph-secret.json",
]
FILES = [source for source in SOURCES if source.endswith(".json")]


def value(credentials: Credentials, origin: Origin | None = HOST) -> str | None:
    assert origin is not None
    token = credentials.token_for(origin)
    return token.value if token else None
