"""The engines: each starts two workers, gives them tasks, restarts a worker, and adds one."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from . import jobs
from .jobs import Done

PATIENCE = 90.0  # seconds; two processors may have much else to do


class Engine:
    """Workers that do tasks.

    :ivar shares_files: whether the workers have the driver's secret files; else only the driver is
        logged in.
    :ivar takes_another: whether a worker can join later.
    """

    shares_files = True
    takes_another = True
    wants: tuple[str, ...] = ()  # modules

    def __init__(self, directory: Path):
        self.directory = directory

    def __enter__(self) -> Engine:
        """Start the workers."""
        return self

    def __exit__(self, *error: object) -> None:
        """End all processes."""

    def log_in(self) -> None:
        """What docs/clusters.md says to write on the driver."""

    def run(self, url: str, count: int) -> Iterator[Done]:
        """Begin the tasks, and yield them as they are done."""
        raise NotImplementedError

    def restart_worker(self) -> None:
        """End a worker and start another in its place."""
        raise NotImplementedError

    def add_worker(self) -> None:
        """Let one more worker join; only where :attr:`takes_another` is true."""
        raise NotImplementedError


class Dask(Engine):
    """A scheduler and workers in separate processes over TLS, as on a real cluster."""

    shares_files = False
    wants = ("distributed",)
    protocol = "tls"

    def __enter__(self) -> Dask:
        from distributed import Client, Security

        self.processes: list[subprocess.Popen[bytes]] = []
        self.security = Security.temporary() if self.protocol == "tls" else Security()
        self.file = self.directory / "scheduler.json"
        arguments = ("--no-dashboard", "--host", "127.0.0.1", "--port", "0")
        self._start("dask_scheduler", self.file, *arguments)
        _until(self.file.exists)
        self._start_worker()
        self._start_worker()
        self.client = Client(scheduler_file=str(self.file), security=self.security)
        self.client.wait_for_workers(2, timeout=PATIENCE)
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()

    def log_in(self) -> None:
        from cave_auth_adapter.integrations.dask import keep_logged_in

        keep_logged_in(self.client)

    def run(self, url: str, count: int) -> Iterator[Done]:
        from distributed import as_completed

        futures = self.client.map(jobs.ask, [url] * count, pure=False)
        return (future.result() for future in as_completed(futures, timeout=PATIENCE))

    def restart_worker(self) -> None:
        worker = next(iter(self.client.scheduler_info()["workers"]))
        os.kill(self.client.run(os.getpid, workers=[worker])[worker], signal.SIGKILL)
        _until(lambda: worker not in self.client.scheduler_info()["workers"])
        self.client.wait_for_workers(2, timeout=PATIENCE)

    def add_worker(self) -> None:
        self._start_worker()
        self.client.wait_for_workers(3, timeout=PATIENCE)

    def _start_worker(self) -> None:
        scratch = str(self.directory / "scratch")
        self._start(
            *(
                "dask_worker",
                self.file_of_workers(),
                "--nthreads",
                "1",
                "--no-dashboard",
                "--local-directory",
                scratch,
            ),
            *("--worker-port", "0", "--host", "127.0.0.1"),
        )

    def file_of_workers(self) -> Path:
        """The file that tells a worker where the scheduler is."""
        return self.file

    def _start(self, command: str, file: Path, *arguments: str) -> None:
        log = (self.directory / f"{command}.log").open("ab")
        with log:
            self.processes.append(
                subprocess.Popen(
                    [
                        *(sys.executable, "-m", f"distributed.cli.{command}"),
                        *("--scheduler-file", str(file), *arguments),
                        *self._certificates(),
                    ],
                    stdout=log,
                    stderr=log,
                )
            )

    def _certificates(self) -> list[str]:
        if self.protocol != "tls":
            return []
        key, certificate = self.directory / "key.pem", self.directory / "certificate.pem"
        key.write_text(self.security.tls_client_key)
        certificate.write_text(self.security.tls_client_cert)
        return [
            *("--protocol", "tls", "--tls-ca-file", str(certificate)),
            *("--tls-cert", str(certificate), "--tls-key", str(key)),
        ]


class Ray(Engine):
    """A node with two workers; the late worker is on another node."""

    shares_files = False
    wants = ("ray",)
    dashboard = False

    def __enter__(self) -> Ray:
        import ray
        from ray.cluster_utils import Cluster

        from cave_auth_adapter.integrations.ray import RUNTIME_ENV

        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 2, "include_dashboard": self.dashboard},
        )
        ray.init(address=self.cluster.address, runtime_env=RUNTIME_ENV, log_to_driver=False)
        self._ask = ray.remote(max_retries=3)(jobs.ask)
        return self

    def __exit__(self, *error: object) -> None:
        import ray

        ray.shutdown()
        self.cluster.shutdown()

    def log_in(self) -> None:
        from cave_auth_adapter.integrations.ray import keep_logged_in

        keep_logged_in()

    def run(self, url: str, count: int) -> Iterator[Done]:
        import ray

        waiting = [
            self._ask.options(scheduling_strategy="SPREAD").remote(url) for _ in range(count)
        ]

        def done() -> Iterator[Done]:
            rest: list[Any] = waiting
            while rest:
                ready, rest = ray.wait(rest, timeout=PATIENCE)
                yield from ray.get(ready)

        return done()

    def restart_worker(self) -> None:
        import ray

        process = ray.get(ray.remote(lambda: os.getpid()).remote(), timeout=PATIENCE)
        os.kill(process, signal.SIGKILL)

    def add_worker(self) -> None:
        self.cluster.add_node(num_cpus=1)


class Loky(Engine):
    """joblib's processes."""

    wants = ("joblib",)
    workers = 2

    def _executor(self, workers: int) -> Any:
        from joblib.externals.loky import get_reusable_executor

        return get_reusable_executor(max_workers=workers, initializer=jobs.log_in, timeout=60)

    def __exit__(self, *error: object) -> None:
        self._executor(1).shutdown(kill_workers=True)

    def run(self, url: str, count: int) -> Iterator[Done]:
        from concurrent.futures import as_completed

        executor = self._executor(self.workers)
        futures = [executor.submit(jobs.ask, url) for _ in range(count)]
        return (future.result() for future in as_completed(futures, PATIENCE))

    def restart_worker(self) -> None:
        self._executor(1)
        self._executor(2)

    def add_worker(self) -> None:
        self.workers = 3


class Spawn(Engine):
    """A multiprocessing.Pool whose processes end after some tasks, to test a restart."""

    method = "spawn"
    tasks: int | None = None
    workers = 2

    def __enter__(self) -> Spawn:
        self.pools: list[Any] = []
        return self

    def __exit__(self, *error: object) -> None:
        for pool in self.pools:
            pool.terminate()
            pool.join()

    def run(self, url: str, count: int) -> Iterator[Done]:
        context = multiprocessing.get_context(self.method)
        pool = context.Pool(self.workers, jobs.log_in, maxtasksperchild=self.tasks)
        self.pools.append(pool)
        return pool.imap_unordered(jobs.ask, [url] * count)

    def restart_worker(self) -> None:
        self.tasks = 40

    def add_worker(self) -> None:
        self.tasks, self.workers = None, 3


class ForkServer(Spawn):
    method = "forkserver"


class Fork(Spawn):
    method = "fork"


class Noting(Engine):
    """Tasks that can't return a result, and write it to a file."""

    def __enter__(self) -> Noting:
        self.notes = self.directory / "notes"
        self.notes.touch()
        self.read = 0
        return self

    def _noted(self, count: int) -> Iterator[Done]:
        end, until = self.read + count, time.monotonic() + PATIENCE
        while self.read < end and time.monotonic() < until:
            lines = self.notes.read_text().splitlines()
            for line in lines[self.read : end]:
                self.read += 1
                yield Done(*map(int, line.split()))
            time.sleep(0.05)


class Spark(Noting):
    """The Python workers of a Spark in one process, which can't take another worker."""

    wants = ("pyspark",)
    takes_another = False

    def __enter__(self) -> Spark:
        from pyspark import SparkConf, SparkContext

        if not shutil.which("java"):
            pytest.skip("Spark needs Java, which is not installed here")
        super().__enter__()
        conf = SparkConf().setMaster("local[2,4]").set("spark.ui.enabled", "false")  # 4 tries
        self.context = SparkContext(conf=conf)
        return self

    def __exit__(self, *error: object) -> None:
        self.context.stop()

    def run(self, url: str, count: int) -> Iterator[Done]:
        tasks = self.context.parallelize([(url, str(self.notes))] * count, count)
        threading.Thread(target=tasks.foreach, args=(jobs.log_in_and_note,), daemon=True).start()
        return self._noted(count)

    def restart_worker(self) -> None:
        process = int(self.notes.read_text().split()[-1])
        os.kill(process, signal.SIGKILL)


class TaskQueue(Noting):
    """The queue in a directory (``fq://``) of python-task-queue, as igneous uses it."""

    wants = ("taskqueue",)

    def __enter__(self) -> TaskQueue:
        super().__enter__()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.queue = f"fq://{self.directory / 'queue'}"
        self._start_worker()
        self._start_worker()
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def run(self, url: str, count: int) -> Iterator[Done]:
        from taskqueue import TaskQueue as Queue
        from taskqueue import queueable

        task = queueable(jobs.ask_and_note)
        Queue(self.queue).insert([partial(task, url, str(self.notes)) for _ in range(count)])
        return self._noted(count)

    def restart_worker(self) -> None:
        process = self.processes.pop(0)
        process.kill()
        process.wait()
        self._start_worker()

    def add_worker(self) -> None:
        self._start_worker()

    def _start_worker(self) -> None:
        code = f"import sys; from {jobs.__name__} import work_through; work_through(sys.argv[1])"
        command = [sys.executable, "-c", code, self.queue]
        self.processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))


def _until(condition: Any) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            pytest.fail("a cluster takes too long")
        time.sleep(0.1)
