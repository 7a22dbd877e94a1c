"""Who is who in the tests' world: the servers that may see a token, which one, and all others."""

from __future__ import annotations

import re

GLOBAL = "global.daf-apis.com"
MINNIE = "minnie.microns-daf.com"  # another host of the same deployment, with a file of its own
LOCAL = "localhost:8000"  # a loopback address, named with and without TLS
OTHER = "other.daf-apis.com"  # a host of the deployment without a file: it gets GLOBAL's token
ZETTA = "proofreading.zetta.ai"  # of another deployment, with a token of its own
ZETTA_DATA = "data.proofreading.zetta.ai"  # of that deployment, without a file
V1DD = "global.em.brain.allentech.org"  # of a third deployment, for which there is no token
EVIL = "evil.example"
FOREIGN = "foreign.example"
PROXY = "proxy.example:3128"

#: Server -> its token, as it is saved. Their halves differ too, for half a token is a leak.
TOKENS = {
    GLOBAL: "c3f19a5e7b2d48066e91d0b7ac5428f3",
    MINNIE: "58d7e20c94ab163fb0f2197d6c8e3a45",
    LOCAL: "9e4b7d12f05a8c36271bd94ef6803c5a",
    ZETTA: "b06d3e98f1724ac55d8e07c9a4b1f263",
}
NAMED_HOSTS = f"http://{LOCAL}"  # CAVE_AUTH_HOSTS

# The table of origins.py, written down here again so that it is not checked against itself.
_DEPLOYMENT = re.compile(
    r"https://(?:[a-z0-9-]+\.)+(?:daf-apis|microns-daf|flywire-daf)\.com:443"
    r"|https://cave\.fanc-fly\.com:443"
)
_OWN = {
    f"https://{GLOBAL}:443": TOKENS[GLOBAL],
    f"https://{MINNIE}:443": TOKENS[MINNIE],
    f"https://{LOCAL}": TOKENS[LOCAL],
    f"http://{LOCAL}": TOKENS[LOCAL],
    f"https://{ZETTA}:443": TOKENS[ZETTA],
    f"https://{ZETTA_DATA}:443": TOKENS[ZETTA],
}


def token_of(origin: str) -> str | None:
    """The token that a server may see; None for every foreign server.

    :param origin: ``scheme://host:port`` of where the bytes in truth arrived.
    """
    if origin in _OWN:
        return _OWN[origin]
    return TOKENS[GLOBAL] if _DEPLOYMENT.fullmatch(origin) else None


def tokens_beside(token: str) -> set[str]:
    """The other tokens in files of the same deployment."""
    together = {TOKENS[GLOBAL], TOKENS[MINNIE]}
    return together - {token} if token in together else set()
