"""Two auth objects at once: ``install()`` and ``acting_as()`` in threads and tasks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest

from cave_auth_adapter import CaveAuth, acting_as, install

from ..support.installing import BEARER_OTHER, OTHER, token_sent
from ..support.stub import BEARER, OTHER_TOKEN

pytestmark = pytest.mark.usefixtures("saved")


class TestThreads:
    """Without these rules, one of two threads would send the other's token."""

    @staticmethod
    def in_a_thread(work: Callable[[], Any]) -> Any:
        with ThreadPoolExecutor(1) as executor:
            return executor.submit(work).result()

    @staticmethod
    def nest() -> None:
        with install(OTHER):
            pytest.fail("it is in effect")

    def test_a_block_within_another_threads_block_is_refused(self) -> None:
        with install():
            with pytest.raises(RuntimeError, match="acting_as"):
                self.in_a_thread(self.nest)
            with pytest.raises(RuntimeError, match="acting_as"):
                self.in_a_thread(lambda: install(OTHER))
            assert token_sent() == BEARER

    def test_a_block_within_another_threads_install_is_refused(self) -> None:
        install()
        with pytest.raises(RuntimeError, match="acting_as"):
            self.in_a_thread(self.nest)
        assert token_sent() == BEARER

    def test_a_block_with_an_equal_auth_is_allowed(self) -> None:
        with install(CaveAuth(OTHER_TOKEN)):
            assert self.in_a_thread(lambda: self._sent_by(CaveAuth(OTHER_TOKEN))) == BEARER_OTHER

    @staticmethod
    def _sent_by(auth: CaveAuth) -> str | None:
        with install(auth):
            return token_sent()

    def test_acting_as_applies_to_its_thread_only(self) -> None:
        def work(auth: CaveAuth | None) -> list[str | None]:
            with acting_as(auth) if auth else nullcontext():
                barrier.wait(10)
                return [token_sent() for _ in range(20)]

        barrier = threading.Barrier(2)
        with install(), ThreadPoolExecutor(2) as executor:
            own, others = executor.map(work, [None, CaveAuth(OTHER_TOKEN)])
        assert set(own) == {BEARER}
        assert set(others) == {BEARER_OTHER}

    def test_acting_as_applies_to_its_task_only(self) -> None:
        async def work(token: str) -> list[str | None]:
            sent = []
            with acting_as(CaveAuth(token)):
                for _ in range(5):
                    await asyncio.sleep(0)
                    sent.append(token_sent())
            return sent

        async def both() -> list[list[str | None]]:
            return list(await asyncio.gather(work(OTHER_TOKEN), work("89ab" * 8)))

        with install():
            assert asyncio.run(both()) == [[BEARER_OTHER] * 5, [f"Bearer {'89ab' * 8}"] * 5]
            assert token_sent() == BEARER

    def test_acting_as_without_install_is_an_error(self) -> None:
        with pytest.raises(RuntimeError, match=r"call install\(\) first"), acting_as(OTHER):
            pass
