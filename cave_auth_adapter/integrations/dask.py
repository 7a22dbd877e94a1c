"""Keep the workers of a Dask cluster logged in to CAVE, with the tokens of the driver.

The scheduler keeps the tokens in memory only. A worker asks it for a token by RPC when a request
first needs one, and after a refusal. The scheduler asks the driver with an event that names the
server, and the driver answers by RPC.

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

    This includes workers that start, restart or join later. If a server refuses a token, the
    request waits up to 20 seconds until the driver has another one, and is then sent again.

    :param client: a client of the cluster. Its process is the driver, which provides the tokens
        while the client is connected. With an asynchronous client, await the result.
    :param auth: the source of the driver's tokens; None: a :class:`CaveAuth` without arguments.
    :param allow_plaintext: whether tokens may cross a network without TLS.
    :raises RuntimeError: if the scheduler is on another computer and does not use TLS.
    :raises TypeError: if ``auth`` is not a :class:`CaveAuth`.

    Anyone who can connect to the scheduler can ask it for a token. They can run code in its workers
    as well, so a scheduler should serve one user.

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
                f"The connection to the Dask scheduler at {address} has no TLS, so others could "
                "read tokens on the network. Start the cluster with TLS: "
                "https://distributed.dask.org/en/stable/tls.html. If only you use the network: "
                "keep_logged_in(client, allow_plaintext=True)."
            )
    client.subscribe_topic(_TOPIC, _Driver(client, auth))
    await client.register_plugin(HoldTokens(allow_plaintext))
    await client.register_plugin(PullTokens(this_process()))


def _is_private(address: str) -> bool:
    """Whether others can't read the traffic to an address."""
    return address.partition("://")[0] in _ENCRYPTED or is_loopback(get_address_host(address))


class _Driver:
    """Answers the scheduler's requests for tokens in the background."""

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
        # An object that hides its value, because the scheduler may log its messages.
        await self._client.scheduler.cave_auth_fill(server=server, token=ToPickle(token))


class HoldTokens(SchedulerPlugin):  # type: ignore[misc]
    """The plugin of the scheduler, which keeps the tokens in memory only.

    A pickle of it has no tokens.
    """

    name = "cave-auth"
    idempotent = True  # a second registration keeps the tokens

    def __init__(self, allow_plaintext: bool):
        self._allow_plaintext = allow_plaintext

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._allow_plaintext,)

    async def start(self, scheduler: Scheduler) -> None:
        """Answer RPCs. Dask calls this in the scheduler."""

        def ask_driver(server: str, refused: str | None) -> None:
            scheduler.log_event(_TOPIC, {"server": server, "refused": refused})

        self._holder = Holder(ask_driver)
        scheduler.handlers.update(cave_auth_pull=self._pull, cave_auth_fill=self._fill)

    async def _pull(self, comm: Comm, server: str, refused: str | None) -> str | None:
        if not (self._allow_plaintext or _is_private(comm.peer_address)):
            warn_once(
                f"A worker at {comm.peer_address} gets no token, because it connects without TLS. "
                "Start it with TLS: https://distributed.dask.org/en/stable/tls.html"
            )
            return None
        token = await self._holder.pull(server, refused)
        return token.value if token else None

    async def _fill(self, comm: Comm, server: str, token: Token | None) -> None:
        self._holder.fill(server, token)


class PullTokens(WorkerPlugin):  # type: ignore[misc]
    """The plugin of a worker: every session signs with the scheduler's tokens.

    :param driver: the driver's process. Workers that are threads of it have its tokens already.
    """

    name = "cave-auth"

    def __init__(self, driver: str):
        self._driver = driver
        self._source: _Source | None = None

    def setup(self, worker: Worker) -> None:
        """Set the token source of this process. Dask calls this in each worker."""
        if self._driver == this_process():
            return
        self._source = _Source(worker)
        set_token_source(self._source, wait=WAIT)
        activate()

    def teardown(self, worker: Worker) -> None:
        """Stop asking the scheduler."""
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
        # Over a new connection: the worker's event loop may be waiting for this token.
        arguments = self._security.get_connection_args("worker")
        async with rpc(self._address, connection_args=arguments) as scheduler:
            token: str | None = await scheduler.cave_auth_pull(
                server=server, refused=digest(refused)
            )
        return token
