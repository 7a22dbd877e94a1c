"""A token that changes while 64 threads have requests in flight."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import requests
from requests.adapters import HTTPAdapter

from cave_auth_adapter import TokenStore, installed
from cave_auth_adapter.exchange import Exchange
from cave_auth_adapter.sandbox import Sandbox
from cave_auth_adapter.sources import reading

from .measure import Row

_THREADS, _REQUESTS = 64, 12  # threads, and requests of each


def rows() -> Iterator[Row]:
    with Sandbox() as sandbox, mock.patch.dict(os.environ, sandbox.environ):
        sandbox.record_requests(False)
        failed, reads, repeats = _change(sandbox)
    what = f"a token changes under {_THREADS} threads in flight"
    yield Row(f"{what}: failed requests", str(failed), "0", failed == 0)
    yield Row(f"{what}: reads of the file", str(reads), "1", reads == 1)
    most = str(_THREADS)
    yield Row(f"{what}: requests sent again", str(repeats), f"<= {most}", repeats <= _THREADS)


def _change(sandbox: Sandbox) -> tuple[int, int, int]:
    """Requests that failed, reads of the secret file and requests sent again."""
    old, new = sandbox.create_token(), sandbox.create_token()
    path = TokenStore().save(old, sandbox.data_server, overwrite=True)
    reads: list[Path] = []
    repeats: list[object] = []
    read, sign_again = reading.read_secrets, Exchange._sign_again

    def read_and_count(where: Path) -> Any:
        reads.extend([where] if where == path else [])
        return read(where)

    def repeat_and_count(*arguments: Any) -> Any:
        signed = sign_again(*arguments)
        repeats.extend([signed] if signed else [])
        return signed

    def change() -> None:
        reads.clear()
        other = path.with_suffix(".new")
        other.touch(mode=0o600)
        other.write_text(json.dumps({"token": new}))
        other.replace(path)
        sandbox.revoke(old)

    with (
        mock.patch.object(reading, "read_secrets", read_and_count),
        mock.patch.object(Exchange, "_sign_again", repeat_and_count),
        installed(),
    ):
        failed = _under_load(f"{sandbox.data_server}/echo", change)
    return failed, len(reads), len(repeats)


def _under_load(url: str, change: Any) -> int:
    session, half_done = requests.Session(), threading.Semaphore(0)
    session.mount("https://", HTTPAdapter(pool_maxsize=_THREADS))
    answers: list[bool] = []

    def work() -> None:
        for number in range(_REQUESTS):
            try:
                answers.append(session.get(url, timeout=60).status_code == 200)
            except requests.RequestException:
                answers.append(False)
            if number == _REQUESTS // 3:
                half_done.release()

    threads = [threading.Thread(target=work) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for _ in range(_THREADS // 2):
        half_done.acquire()
    change()
    for thread in threads:
        thread.join()
    return _THREADS * _REQUESTS - sum(answers)
