"""A real Dask: no token on the wire between workers and scheduler, and a scheduler that ends."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cave_auth_adapter import CaveAuth, set_token_source
from cave_auth_adapter.providers import LIMIT

from .conftest import Driver, Start
from .engines import Dask

TASKS = 20


class Wiretap:
    """A relay that records every byte.

    :param port: where it leads, on this machine.
    """

    def __init__(self, port: int):
        self.heard = bytearray()
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self._to))
            except OSError:  # the scheduler has ended
                client.close()
                continue
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self.heard += data
                target.sendall(data)
        except OSError:
            pass
        finally:
            target.close()


class TappedDask(Dask):
    """Workers that reach the scheduler through a wiretap."""

    tap: Wiretap | None = None

    def file_of_workers(self) -> Path:
        told = json.loads(self.file.read_text())
        address, _, port = told["address"].rpartition(":")
        self.tap = self.tap or Wiretap(int(port))
        copy = self.directory / "of-workers.json"
        copy.write_text(json.dumps({**told, "address": f"{address}:{self.tap.port}"}))
        return copy


class TappedPlaintextDask(TappedDask):
    protocol = "tcp"  # allowed on this machine


@pytest.mark.parametrize(
    ("kind", "is_heard"), [(TappedDask, False), (TappedPlaintextDask, True)], ids=["tls", "tcp"]
)
def test_the_token_is_not_on_the_wire_with_tls(
    driver: Driver, start: Start, kind: type[TappedDask], is_heard: bool
) -> None:
    engine: Any = start(kind)
    assert {each.status for each in engine.run(driver.url, TASKS)} == {200}
    assert len(engine.tap.heard) > 1000
    assert (driver.tokens[0].encode() in engine.tap.heard) is is_heard


def test_without_a_scheduler_the_next_source_is_used(
    driver: Driver, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    from cave_auth_adapter.integrations.dask import _Source

    engine: Any = start(Dask)
    address = engine.client.scheduler.address
    worker: Any = SimpleNamespace(
        scheduler=SimpleNamespace(address=address), security=engine.security
    )
    source = _Source(worker)
    assert source(driver.sandbox.data_server.removeprefix("https://"), None) == driver.tokens[0]
    driver.save_new()
    engine.processes[0].kill()
    engine.processes[0].wait(20)

    set_token_source(source)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, "cave_auth_adapter"):
        found = {CaveAuth().token_for(driver.sandbox.data_server) for _ in range(3)}
    assert found == {driver.tokens[-1]}
    assert time.monotonic() - began < LIMIT
    assert [address in record.getMessage() for record in caplog.records] == [True]
