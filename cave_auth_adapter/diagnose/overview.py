"""``status()``: the accounts in use on this computer, as text, or as tables in notebooks."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cave_auth_startup import disabled

from ..errors import CaveAuthError, ServerUnreachable
from ..hosts import trusted_hosts
from ..install import is_installed
from ..origins import DEPLOYMENTS
from ..providers import process_source
from ..service.waiting import all_done
from ..words import html_table, labelled, short, where

if TYPE_CHECKING:
    from .status import Holding, Status

_LOG_IN = "from cave_auth_adapter import login; login()"


@dataclass(frozen=True)
class Overview:
    """The result of :func:`status`. ``print`` shows it as text, a notebook as tables.

    :ivar accounts: each token in use, as a ``Status``, which does not hold the token itself.
    :ivar hosts: the trusted hosts, as strings; ``*.`` means any name below a domain.
    :ivar signing: whether every session of this process is signed, as by :func:`install`.
    """

    accounts: tuple[Status, ...]
    hosts: tuple[str, ...] = field(repr=False)
    signing: bool

    def __str__(self) -> str:
        return "\n".join(
            "\n".join([title, *(labelled(f"  {label}", short(text)) for label, text in lines)])
            for title, lines in self._parts()
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return "".join(html_table(lines, title) for title, lines in self._parts())

    def _parts(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """For each account, and for this process: a title, and labels with texts."""
        for account in self.accounts:
            lines = list(account.lines())
            if account.user:
                lines.append(("its hosts", ", ".join(_hosts_of(account))))
            yield account.server, lines
        here = [] if self.accounts else [("missing", f"There is no token. Log in: {_LOG_IN}")]
        signed = "in every session" if self.signing else "not in every session; see install()"
        here += [("signing", signed), ("trusted", f"{len(self.hosts)} hosts and domains")]
        yield "This process", here


def status(*, timeout: float = 10.0) -> Overview:
    """Show the accounts in use, where their tokens are from, for which hosts, and what is missing.

    Each token is sent to its own auth server only. If a server can't be reached, the result says
    so.

    ```python
    from cave_auth_adapter import status

    status()
    ```

    :param timeout: for all servers together, in seconds.
    :return: an overview, to print or to look at in a notebook.
    :raises TokenFileError: if the directory of secret files can't be listed.
    """
    from .status import holdings, status_of

    found = holdings()
    asked = all_done(
        [functools.partial(status_of, each) for each in found],
        [each.auth_servers[0] for each in found],
        timeout,
    )
    accounts = tuple(
        future.result() if future.done() else _unanswered(holding, timeout)
        for holding, future in zip(found, asked, strict=True)
    )
    hosts = tuple(dict.fromkeys(trust.host for trust in trusted_hosts()))
    return Overview(accounts, hosts, is_installed() and not disabled())


def _unanswered(holding: Holding, seconds: float) -> Status:
    from .status import Status

    server = holding.auth_servers[0]
    error = ServerUnreachable(
        f"{server} did not answer within {seconds:g} seconds. Try again later."
    )
    source = holding.token.source if holding.token else None
    also_for = [name for name in holding.servers if name != server]
    return Status(server, also_for, source, problem=str(error), error=error)


def _hosts_of(account: Status) -> list[str]:
    deployment = DEPLOYMENTS.get(account.server, ())
    return list(dict.fromkeys([account.server, *deployment, *account.also_for]))


def in_use() -> str:
    """The tokens that this process uses, in one line. It asks no server and runs no command."""
    if disabled():
        return "The variable CAVE_AUTH_DISABLE is set, so no request is signed."
    count = len({trust.host for trust in trusted_hosts()})
    signed = f"Requests to {count} trusted hosts and domains are signed"
    try:
        sources = _sources()
    except CaveAuthError as error:
        return str(error)
    if not sources:
        return f"{signed} once you log in: {_LOG_IN}"
    more = f" and {len(sources) - 2} more; see status()" if len(sources) > 2 else ""
    return f"{signed}, with the token from {' and from '.join(sources[:2])}{more}."


def _sources() -> list[str]:
    """The sources of the tokens in use."""
    from .status import holdings

    if process_source() is not None:
        return ["set_token_source()"]
    names = ("CAVE_TOKEN", "CAVE_TOKEN_FILE", "CAVE_TOKEN_COMMAND")
    first = next((name for name in names if os.environ.get(name)), None)
    if first == "CAVE_TOKEN_COMMAND":  # don't run it: it may be slow, or ask a server
        return ["the command in the variable CAVE_TOKEN_COMMAND"]
    found = holdings()
    problem = next((each.problem for each in found if each.problem), None)
    if problem and not any(each.token for each in found):
        raise problem
    return list(dict.fromkeys(where(each.token.source) for each in found if each.token))
