"""Keep the workers of a Dask cluster logged in to CAVE, with the tokens of the driver.

The scheduler has the tokens in its memory, and nowhere else. A worker asks it for one by RPC when a
request first needs it, and after a refusal. The scheduler asks the driver by an event, which has
the name of the server in it; the driver answers by RPC.

https://distributed.dask.org/en/stable/plugins.html
"""

from __future__ import annotations

import asyncio
from typing import Any

from distributed import Client, Scheduler, SchedulerPlugin, Worker, WorkerPlugin, rpc
from distributed.comm import Comm, get_address_host
from distributed.protocol import ToPickle

from ..auth import CaveAuth, checked
from ..install import activate
from ..origins import is_loopback
from ..providers import process_source, set_token_source
from ..runtime import warn_once
from ..tokens import Token
from .holder import ANSWERS_WITHIN, WAIT, Holder, answer, digest, this_process

_TOPIC = "cave-auth"
_ENCRYPTED = {"tls", "wss", "inproc"}


def keep_logged_in(
    client: Client, auth: CaveAuth | None = None, *, allow_plaintext: bool = False
) -> Any:
    """Sign the requests of all workers of a Dask cluster, now and later, with the driver's tokens.

    Workers that start, restart or join later are served, too. When a server refuses a token, the
    request waits up to 20 seconds until the driver has another one, and is then sent again.

    :param client: a client of the cluster. Its process is the driver: it is asked for tokens for as
        long as the client is connected. With an asynchronous client, await the result.
    :param auth: where the driver's tokens come from; None: a :class:`CaveAuth` without arguments.
    :param allow_plaintext: whether tokens may cross a network without TLS.
    :raises RuntimeError: if the scheduler is reached neither by TLS nor on this machine.
    :raises TypeError: if ``auth`` is no :class:`CaveAuth`.

    Everybody who can connect to the scheduler can ask it for a token. They can also run code in its
    workers, so a scheduler is for one person.

    ```python
    from distributed import Client, LocalCluster
    from cave_auth_adapter.integrations.dask import keep_logged_in

    client = Client(LocalCluster(security=True, protocol="tls://"))
    keep_logged_in(client)
    ```
    """
    return client.sync(_keep_logged_in, client, checked(auth), allow_plaintext)


async def _keep_logged_in(client: Client, auth: CaveAuth, allow_plaintext: bool) -> None:
    told = await client.scheduler.identity()
    for address in (client.scheduler.address, told["address"]):
        if not (allow_plaintext or _is_private(address)):
            raise RuntimeError(
                f"The Dask scheduler at {address} is reached without TLS: tokens could be read on "
                "the network. Start the cluster with TLS, "
                "https://distributed.dask.org/en/stable/tls.html, or, where the network is yours "
                "alone, say keep_logged_in(client, allow_plaintext=True)."
            )
    client.subscribe_topic(_TOPIC, _Driver(client, auth))
    await client.register_plugin(HoldTokens(allow_plaintext))
    await client.register_plugin(PullTokens(this_process()))


def _is_private(address: str) -> bool:
    """Whether what goes to an address can't be read on a network."""
    return address.partition("://")[0] in _ENCRYPTED or is_loopback(get_address_host(address))


class _Driver:
    """Answers the questions of the scheduler, in the background."""

    def __init__(self, client: Client, auth: CaveAuth):
        self._client = client
        self._auth = auth
        self._at_work: set[asyncio.Task[None]] = set()

    def __call__(self, event: tuple[float, Any]) -> None:
        task = asyncio.ensure_future(self._answer(**event[1]))
        self._at_work.add(task)  # the event loop itself keeps no reference
        task.add_done_callback(self._at_work.discard)

    async def _answer(self, server: str, refused: str | None) -> None:
        token = await asyncio.to_thread(answer, self._auth, server, refused)
        # As an object that hides its value: the scheduler can log messages as they come in.
        await self._client.scheduler.cave_auth_fill(server=server, token=ToPickle(token))


class HoldTokens(SchedulerPlugin):  # type: ignore[misc]
    """The scheduler's part: it has the tokens, in memory only.

    A pickle of it has none.
    """

    name = "cave-auth"
    idempotent = True  # a second call keeps what is there

    def __init__(self, allow_plaintext: bool):
        self._allow_plaintext = allow_plaintext

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._allow_plaintext,)

    async def start(self, scheduler: Scheduler) -> None:
        """Answer RPCs, as Dask calls this in the scheduler."""

        def ask_driver(server: str, refused: str | None) -> None:
            scheduler.log_event(_TOPIC, {"server": server, "refused": refused})

        self._holder = Holder(ask_driver)
        scheduler.handlers.update(cave_auth_pull=self._pull, cave_auth_fill=self._fill)

    async def _pull(self, comm: Comm, server: str, refused: str | None) -> str | None:
        if not (self._allow_plaintext or _is_private(comm.peer_address)):
            warn_once(
                f"A worker at {comm.peer_address} gets no token: it is reached without TLS. "
                "Start it with TLS: https://distributed.dask.org/en/stable/tls.html"
            )
            return None
        token = await self._holder.pull(server, refused)
        return token.value if token else None

    async def _fill(self, comm: Comm, server: str, token: Token | None) -> None:
        self._holder.fill(server, token)


class PullTokens(WorkerPlugin):  # type: ignore[misc]
    """A worker's part: every session signs, with what the scheduler has.

    :param driver: the driver's process. Workers that are threads of it have its sources already.
    """

    name = "cave-auth"

    def __init__(self, driver: str):
        self._driver = driver
        self._source: _Source | None = None

    def setup(self, worker: Worker) -> None:
        """Set the token source of this process, as Dask calls this in each worker."""
        if self._driver == this_process():
            return
        self._source = _Source(worker)
        set_token_source(self._source, wait=WAIT)
        activate()

    def teardown(self, worker: Worker) -> None:
        """Ask the scheduler no more."""
        if self._source is not None and process_source() is self._source:
            set_token_source(None)


class _Source:
    """The scheduler as a token source."""

    def __init__(self, worker: Worker):
        self._address = worker.scheduler.address
        self._security = worker.security
        self.__qualname__ = f"keep_logged_in, with the scheduler at {self._address},"  # in messages

    def __call__(self, server: str, refused: str | None) -> str | None:
        return asyncio.run(asyncio.wait_for(self._pull(server, refused), ANSWERS_WITHIN))

    async def _pull(self, server: str, refused: str | None) -> str | None:
        # Not by the worker's own connection: its event loop may be what waits for the token.
        arguments = self._security.get_connection_args("worker")
        async with rpc(self._address, connection_args=arguments) as scheduler:
            token: str | None = await scheduler.cave_auth_pull(
                server=server, refused=digest(refused)
            )
        return token
