"""Keep the workers of a Ray cluster logged in to CAVE, with the tokens of the driver.

An actor keeps the tokens in memory only. Each worker process starts with our set-up hook, which
makes the actor its token source: the worker asks it when a request first needs a token, and after a
refusal. The actor asks the driver, which answers by calling a method.

https://docs.ray.io/en/latest/ray-core/api/runtime-env.html
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import Future
from typing import Any

import ray
from ray.util import get_node_ip_address
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ..auth import CaveAuth, checked
from ..install import activate
from ..providers import set_token_source
from ..runtime import warn_once
from ..tokens import Token
from .holder import ANSWERS_WITHIN, WAIT, Holder, answer, digest

_NAME = "cave-auth"
_PULLS = 10_000  # workers that wait for a token at the same time
_TLS = "https://docs.ray.io/en/latest/ray-core/configure.html#tls-authentication"

#: For ``ray.init(runtime_env=…)``: the hook that makes each worker process ask for tokens.
RUNTIME_ENV = {"worker_process_setup_hook": f"{__name__}.set_up_worker"}


def keep_logged_in(auth: CaveAuth | None = None, *, allow_plaintext: bool = False) -> None:
    """Sign the requests of all workers of this Ray job, now and later, with the driver's tokens.

    This includes workers that start, restart or join later. If a server refuses a token, the
    request waits up to 20 seconds until the driver has another one, and is then sent again. If Ray
    is not initialized, this function initializes it.

    :param auth: the source of the driver's tokens; None: a :class:`CaveAuth` without arguments.
    :param allow_plaintext: whether tokens may cross a network without TLS.
    :raises RuntimeError: if Ray was initialized without :data:`RUNTIME_ENV`, or if it has nodes on
        other computers and does not use TLS.
    :raises TypeError: if ``auth`` is not a :class:`CaveAuth`.

    ```python
    import ray
    from cave_auth_adapter.integrations.ray import RUNTIME_ENV, keep_logged_in

    ray.init(runtime_env=RUNTIME_ENV)
    keep_logged_in()
    ```
    """
    auth = checked(auth)
    if not ray.is_initialized():
        ray.init(runtime_env=RUNTIME_ENV)
    context = ray.get_runtime_context()
    if not RUNTIME_ENV.items() <= context.runtime_env.items():
        raise RuntimeError(
            "Ray was initialized without the hook that keeps its workers logged in. Write: "
            "from cave_auth_adapter.integrations.ray import RUNTIME_ENV; "
            "ray.init(runtime_env=RUNTIME_ENV)"
        )
    if not allow_plaintext:
        _check_network()
    here = NodeAffinitySchedulingStrategy(context.get_node_id(), soft=False)
    actor: Any = _HoldTokens  # Ray replaces the class, and has no types for the new one
    holder = actor.options(scheduling_strategy=here).remote(allow_plaintext)
    _answer_next(holder, auth)


def set_up_worker() -> None:
    """Make the actor the token source of this process. Ray calls this in each worker."""
    set_token_source(pull_from_driver, wait=WAIT)
    activate()


def pull_from_driver(server: str, refused: str | None) -> str | None:
    """The token that the driver of this Ray job has for a server."""
    holder = ray.get_actor(_NAME)
    question = holder.pull.remote(server, digest(refused), get_node_ip_address())
    token: str | None = ray.get(question, timeout=ANSWERS_WITHIN)
    return token


def _check_network() -> None:
    """:raises RuntimeError: if tokens could be read on a network."""
    machines = {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    if not _has_tls() and machines != {get_node_ip_address()}:
        raise RuntimeError(
            f"Ray has nodes on {', '.join(sorted(machines))} and does not use TLS, so others could "
            f"read tokens on the network. Turn on TLS: {_TLS}. If only you use the network: "
            "keep_logged_in(allow_plaintext=True)."
        )


def _has_tls() -> bool:
    return os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")  # as Ray reads it


# It needs no CPU, so that it doesn't block a task. If its process ends, it restarts without tokens.
@ray.remote(
    name=_NAME,
    get_if_exists=True,
    num_cpus=0,
    max_concurrency=_PULLS,
    max_restarts=-1,
    max_task_retries=-1,
)
class _HoldTokens:
    """Holds the tokens, in memory only, and the questions that the driver has not answered."""

    def __init__(self, allow_plaintext: bool):
        self._is_private = allow_plaintext or _has_tls()
        self._questions: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue()
        self._holder = Holder(lambda *question: self._questions.put_nowait(question))

    async def pull(self, server: str, refused: str | None, machine: str) -> str | None:
        if not self._is_private and machine != get_node_ip_address():
            warn_once(f"A worker on {machine} gets no token: Ray does not use TLS. See {_TLS}")
            return None
        token = await self._holder.pull(server, refused)
        return token.value if token else None

    async def question(self) -> tuple[str, str | None]:
        return await self._questions.get()

    async def fill(self, server: str, token: Token | None) -> None:
        self._holder.fill(server, token)


def _answer_next(holder: Any, auth: CaveAuth) -> None:
    """Answer the questions of the actor, one after the other, in the background."""

    def answer_it(asked: Future[tuple[str, str | None]]) -> None:
        server, refused = asked.result()
        token = answer(auth, server, refused)
        if ray.is_initialized():  # a call would initialize it again
            holder.fill.remote(server, token)
            _answer_next(holder, auth)

    def begin(asked: Future[tuple[str, str | None]]) -> None:
        if asked.exception() is None:
            threading.Thread(target=answer_it, args=[asked], daemon=True).start()

    holder.question.remote().future().add_done_callback(begin)
