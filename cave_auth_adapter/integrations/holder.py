"""Hold the driver's tokens in the memory of a cluster: shared by the Dask and Ray integrations.

The *driver* is the process in which the user is logged in. The *holder* is a process that all
workers can reach; it keeps the tokens in memory. *Workers* ask the holder. The holder asks the
driver if it has no token for a server, or only one that the server refused.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from collections.abc import Callable
from typing import NamedTuple

from ..auth import CaveAuth
from ..errors import CaveAuthError
from ..providers import LIMIT
from ..runtime import warn_once
from ..shells import assignment
from ..sources.memory import put
from ..tokens import Token

WAIT = 20.0  # seconds that a refused request waits for another token
ANSWERS_WITHIN = LIMIT - 2.0  # seconds for a call to the holder; less than a token source may take
_ASK_AGAIN = 1.0  # seconds between two questions to the driver about the same server
_SERVERS = 1024  # the most servers in a holder

_PROCESS = uuid.uuid4().hex


def this_process() -> str:
    """A unique name of this process across all computers."""
    return f"{_PROCESS}-{os.getpid()}"  # a forked child has the same _PROCESS


def digest(token: str | None) -> str | None:
    """A digest to send in place of a refused token, because it may be logged."""
    return None if token is None else hashlib.sha256(token.encode()).hexdigest()


class _Answer(NamedTuple):
    token: Token | None
    at: float  # seconds of the event loop's clock


class Holder:
    """Holds the driver's answers. It runs in an event loop, and can't be pickled.

    :param ask_driver: called with a server and the digest of the token that it refused, or None.
        It returns at once; the driver answers later with :meth:`fill`.
    """

    def __init__(self, ask_driver: Callable[[str, str | None], object]):
        self._ask_driver = ask_driver
        self._answers: dict[str, _Answer] = {}
        self._asked_at: dict[str, float] = {}
        self._news = asyncio.Event()

    def __reduce__(self) -> str:
        raise TypeError("A holder of tokens can't be pickled.")

    async def pull(self, server: str, refused: str | None) -> Token | None:
        """The token for a server, as soon as the driver has one; None if it has none.

        :param server: ``host``, or ``host:port``.
        :param refused: the digest of the token that the server refused. The driver then has
            :data:`WAIT` seconds to find another one.
        """
        loop = asyncio.get_running_loop()
        since = loop.time()
        while (now := loop.time()) < since + WAIT:
            answer = self._answers.get(server)
            if answer is not None and answer.token and digest(answer.token.value) != refused:
                return answer.token
            if refused is None and answer is not None and answer.at >= since:
                return None
            if now >= self._asked_at.get(server, 0.0) + _ASK_AGAIN:
                put(self._asked_at, server, now, _SERVERS)
                self._ask_driver(server, refused)
            await self._wait_for_news(_ASK_AGAIN)
        return None

    def fill(self, server: str, token: Token | None) -> None:
        """Take an answer of the driver, and wake up the workers that wait for it."""
        put(self._answers, server, _Answer(token, asyncio.get_running_loop().time()), _SERVERS)
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _wait_for_news(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except asyncio.TimeoutError:
            return


def answer(auth: CaveAuth, server: str, refused: str | None) -> Token | None:
    """The token that this process, the driver, has for a server.

    :param auth: the source of the tokens.
    :param server: ``host``, or ``host:port``.
    :param refused: the digest of the token that it refused.
    """
    urls = (f"https://{server}", f"http://{server}")
    origin = next(filter(None, map(auth.hosts.trusted_origin, urls)), None)
    if origin is None:
        warn_once(
            f"A worker needs a token for {server}, which is not trusted here. If it is a CAVE "
            f"server: {assignment('CAVE_AUTH_HOSTS', server)}"
        )
        return None
    try:
        token = auth.credentials.token_for(origin)
        if token is not None and digest(token.value) == refused:
            return auth.credentials.after_refusal(origin, token)
    except CaveAuthError as error:
        warn_once(f"The workers of the cluster get no token. {error}")
        return None
    return token
