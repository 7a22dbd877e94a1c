"""Choose the token that a command uses: by ``--server``, or the only one."""

from __future__ import annotations

import click

from ..diagnose.check import NotTrusted
from ..diagnose.status import Holding, holding_for, holdings, not_logged_in, trusted
from ..service import DEFAULT_SERVER
from .common import USAGE, Server, fail, origin_of

server_option = click.option(
    "--server", type=Server(), help="The auth server; needed if you use several."
)


def chosen_holding(server: str | None) -> Holding:
    """The named server's token, or the only one."""
    if server is not None:
        if trusted(server) is None:
            raise NotTrusted(server)
        return holding_for(origin_of(server))
    found = holdings()
    if not found:
        raise not_logged_in(origin_of(DEFAULT_SERVER).server)
    if len(found) > 1:
        names = "\n".join(f"  --server {each.auth_servers[0]}" for each in found)
        fail(f"You have {len(found)} tokens. Choose a server:\n{names}", USAGE)
    return found[0]
