"""Workers of a real Dask and a real Ray use a token, and it is nowhere that others may look."""

from __future__ import annotations

import base64
import pickle
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import jobs
from .conftest import Driver, Start
from .engines import Dask, Ray

TASKS = 20


def forms(token: str) -> tuple[bytes, ...]:
    """A token as it is, and as base64 shows it."""
    return token.encode(), base64.b64encode(token.encode()).rstrip(b"=")


def files_with(token: str, directory: Path) -> list[Path]:
    """The files below a directory that have a token in them."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return [path for path in found if any(form in path.read_bytes() for form in forms(token))]


def processes_with(token: str) -> list[str]:
    """What /proc shows of all processes, where it has a token: command lines and variables."""
    return [str(path) for path in _shown() if token.encode() in _content(path)]


def _shown() -> Iterator[Path]:
    for process in Path("/proc").glob("[0-9]*"):
        yield from (process / "cmdline", process / "environ")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended, or is somebody else's
        return b""


class RayWithDashboard(Ray):
    """`ray list` asks the dashboard."""

    dashboard = True


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@on_linux
def test_the_search_finds_a_token(tmp_path: Path) -> None:
    token = secrets.token_hex(16)
    tmp_path.joinpath("file").write_bytes(forms(token)[1])
    assert files_with(token, tmp_path)
    with subprocess.Popen(["sleep", "60"], env={"X": token, "PATH": "/usr/bin:/bin"}) as process:
        try:
            assert f"/proc/{process.pid}/environ" in processes_with(token)
        finally:
            process.kill()


@on_linux
def test_dask_keeps_the_token_to_its_workers(
    driver: Driver, start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    engine = start(Dask)
    assert isinstance(engine, Dask)
    assert {each.status for each in engine.run(driver.url, TASKS)} == {200}
    token = driver.tokens[0]
    seen = {
        "the scheduler's state": _text(engine.client.run_on_scheduler(scheduler_state)),
        "events": _text(engine.client.get_events("cave-auth")),
        "task graphs": _text(engine.client.run_on_scheduler(task_graphs)),
        "plugins": _text(engine.client.run_on_scheduler(plugins)),
        "logs": _text((engine.client.get_scheduler_logs(), engine.client.get_worker_logs())),
        "an exception": _text(engine.client.submit(jobs.time_out, slow(driver)).exception()),
        "one with an answer": _text(
            engine.client.submit(jobs.be_refused, closed(driver)).exception()
        ),
    }
    assert [where for where, text in seen.items() if any(f in text for f in forms(token))] == []
    assert b"timed out" in seen["an exception"]
    assert b"403 Client Error" in seen["one with an answer"]
    assert b"cave-auth" in seen["plugins"] + seen["the scheduler's state"]  # it was there to see
    assert files_with(token, engine.directory) == []
    assert homes_with(token, tmp_path_factory) == []
    assert processes_with(token) == []


@on_linux
def test_ray_keeps_the_token_to_its_workers(
    driver: Driver, start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import ray
    from ray.util import state

    engine = start(RayWithDashboard)
    assert isinstance(engine, Ray)
    assert {each.status for each in engine.run(driver.url, TASKS)} == {200}
    token = driver.tokens[0]
    with pytest.raises(Exception, match="timed out") as caught:
        ray.get(ray.remote(max_retries=0)(jobs.time_out).remote(slow(driver)))
    with pytest.raises(Exception, match="403 Client Error") as refused:
        ray.get(ray.remote(max_retries=0)(jobs.be_refused).remote(closed(driver)))
    for each in (caught, refused):
        assert not any(form in _text(each.value) for form in forms(token))
    listed = _text([state.list_tasks(detail=True), state.list_actors(detail=True)])
    assert b"jobs.ask" in listed or b"'ask'" in listed  # the tasks are in it
    assert not any(form in listed for form in forms(token))
    logs = Path(engine.cluster.head_node.get_session_dir_path())
    assert list(logs.rglob("*.log"))
    assert files_with(token, logs) == []
    assert homes_with(token, tmp_path_factory) == []
    assert processes_with(token) == []


def homes_with(token: str, factory: pytest.TempPathFactory) -> list[Path]:
    """The files with a token in the home directories of workers, see conftest.py."""
    homes = list(factory.getbasetemp().glob("worker*"))
    assert homes
    return [path for home in homes for path in files_with(token, home)]


def slow(driver: Driver) -> str:
    return driver.url.replace("0.02", "5")


def closed(driver: Driver) -> str:
    """A page for which the account of the driver lacks a permission."""
    return f"{driver.sandbox.data_server}/needs-permission"


def scheduler_state(dask_scheduler: object) -> str:
    """What Dask's own dump of a cluster has of its scheduler."""
    from distributed.utils import recursive_to_dict

    return repr(recursive_to_dict(dask_scheduler))


def task_graphs(dask_scheduler: object) -> bytes:
    return pickle.dumps([repr(each.run_spec) for each in dask_scheduler.tasks.values()])  # type: ignore[attr-defined]


def plugins(dask_scheduler: object) -> bytes:
    held = [dask_scheduler.plugins["cave-auth"]]  # type: ignore[attr-defined]
    return pickle.dumps(held) + repr(list(dask_scheduler.worker_plugins.items())).encode()  # type: ignore[attr-defined]


def _text(thing: object) -> bytes:
    """A thing as a pickle has it and as print() shows it."""
    if isinstance(thing, bytes):
        return thing
    try:
        pickled = pickle.dumps(thing)
    except Exception:  # not everything can be
        pickled = b""
    return pickled + repr(thing).encode()
