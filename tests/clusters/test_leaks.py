"""Workers of a real Dask and a real Ray use a token, and it is nowhere that others may look."""

from __future__ import annotations

import base64
import pickle
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from . import jobs
from .conftest import Driver, Start
from .engines import Dask, Engine, Ray

TASKS = 20


def forms(token: str) -> tuple[bytes, ...]:
    """A token in plain text and in base64."""
    return token.encode(), base64.b64encode(token.encode()).rstrip(b"=")


def files_with(token: str, directory: Path) -> list[Path]:
    """The files below a directory that have a token in them."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return [path for path in found if any(form in path.read_bytes() for form in forms(token))]


def processes_with(token: str) -> list[str]:
    """The command lines and variables in /proc that hold a token."""
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
@pytest.mark.parametrize("kind", [Dask, RayWithDashboard])
def test_the_token_is_in_no_state_log_or_error(
    kind: type[Engine],
    driver: Driver,
    start: Start,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    engine = start(kind)
    assert {each.status for each in engine.run(driver.url, TASKS)} == {200}
    token = driver.tokens[0]
    texts, files = look_into_dask(engine, driver) if kind is Dask else look_into_ray(engine, driver)
    assert [where for where, text in texts.items() if any(f in text for f in forms(token))] == []
    assert b"timed out" in texts["an exception"]
    assert b"403 Client Error" in texts["one with an answer"]
    assert files_with(token, files) == []
    assert homes_with(token, tmp_path_factory) == []
    assert processes_with(token) == []


Seen = tuple[dict[str, bytes], Path]


def look_into_dask(engine: Any, driver: Driver) -> Seen:
    """What Dask's client shows of its cluster, and the directory of its files."""
    client = engine.client
    texts = {
        "the scheduler's state": _text(client.run_on_scheduler(scheduler_state)),
        "events": _text(client.get_events("cave-auth")),
        "task graphs": _text(client.run_on_scheduler(task_graphs)),
        "plugins": _text(client.run_on_scheduler(plugins)),
        "logs": _text((client.get_scheduler_logs(), client.get_worker_logs())),
        "an exception": _text(client.submit(jobs.time_out, slow(driver)).exception()),
        "one with an answer": _text(client.submit(jobs.be_refused, closed(driver)).exception()),
    }
    assert b"cave-auth" in texts["plugins"] + texts["the scheduler's state"]  # it is there to see
    return texts, engine.directory


def look_into_ray(engine: Any, driver: Driver) -> Seen:
    """What Ray's dashboard lists, and the directory of its logs."""
    import ray
    from ray.util import state

    def error_of(job: Any, url: str) -> bytes:
        with pytest.raises(Exception, match=r"timed out|403 Client Error") as caught:
            ray.get(ray.remote(max_retries=0)(job).remote(url))
        return _text(caught.value) + str(caught.value).encode()  # with the worker's traceback

    texts = {
        "an exception": error_of(jobs.time_out, slow(driver)),
        "one with an answer": error_of(jobs.be_refused, closed(driver)),
        "tasks and actors": _text([state.list_tasks(detail=True), state.list_actors(detail=True)]),
    }
    assert any(name in texts["tasks and actors"] for name in (b"jobs.ask", b"'ask'"))
    logs = Path(engine.cluster.head_node.get_session_dir_path())
    assert list(logs.rglob("*.log"))
    return texts, logs


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
    """The scheduler's state, as in Dask's own dump of a cluster."""
    from distributed.utils import recursive_to_dict

    return repr(recursive_to_dict(dask_scheduler))


def task_graphs(dask_scheduler: object) -> bytes:
    return pickle.dumps([repr(each.run_spec) for each in dask_scheduler.tasks.values()])  # type: ignore[attr-defined]


def plugins(dask_scheduler: object) -> bytes:
    held = [dask_scheduler.plugins["cave-auth"]]  # type: ignore[attr-defined]
    return pickle.dumps(held) + repr(list(dask_scheduler.worker_plugins.items())).encode()  # type: ignore[attr-defined]


def _text(thing: object) -> bytes:
    """The pickle and the repr of an object."""
    if isinstance(thing, bytes):
        return thing
    try:
        pickled = pickle.dumps(thing)
    except Exception:  # not everything can be
        pickled = b""
    return pickled + repr(thing).encode()
