"""Real engines: no task of 300 fails as a token changes, a worker restarts, or one joins late."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from .conftest import Driver, Start
from .engines import Dask, Engine, Fork, ForkServer, Loky, Ray, Spark, Spawn, TaskQueue
from .jobs import Done

TASKS = 300
TABLE: list[str] = []


def new_token_first(driver: Driver, engine: Engine) -> None:
    driver.save_new()
    driver.revoke_old()


def old_one_dead_4_s_before(driver: Driver, engine: Engine) -> None:
    driver.revoke()
    time.sleep(4)
    driver.save_new()


def worker_restarted(driver: Driver, engine: Engine) -> None:
    new_token_first(driver, engine)
    engine.restart_worker()


def worker_joins_late(driver: Driver, engine: Engine) -> None:
    new_token_first(driver, engine)
    engine.add_worker()


EVENTS = (new_token_first, old_one_dead_4_s_before, worker_restarted, worker_joins_late)


def rotate(
    driver: Driver, engine: Engine, event: Callable[[Driver, Engine], None]
) -> tuple[list[Done], set[int]]:
    """Run half of the tasks while something happens, and the other half after it.

    :return: what the tasks did, and the processes that did none before it.
    """
    done: list[Done] = []
    known: set[int] = set()
    for each in engine.run(driver.url, TASKS // 2):
        done.append(each)
        if len(done) == 20:
            known = {each.process for each in done}
            event(driver, engine)
    done.extend(engine.run(driver.url, TASKS - TASKS // 2))
    return done, {each.process for each in done} - known


@pytest.mark.parametrize("kind", [Dask, Ray, Loky, Spawn, TaskQueue, ForkServer, Fork, Spark])
def test_no_task_fails(kind: type[Engine], driver: Driver, start: Start) -> None:
    engine = start(kind)
    failed = {}
    events = EVENTS if engine.takes_another else EVENTS[:-1]
    for event in events:
        begin = time.monotonic()
        done, fresh = rotate(driver, engine, event)
        took = time.monotonic() - begin
        good = sum(each.status == 200 for each in done)
        failed[event.__name__] = TASKS - good
        name = event.__name__.replace("_", " ")
        TABLE.append(f"{kind.__name__:12}{name:26}{TASKS - good:4}   ({took:.0f} s)")
        if event in (worker_restarted, worker_joins_late):
            assert fresh, f"{name}: no new process did a task"
    assert failed == dict.fromkeys(failed, 0)
