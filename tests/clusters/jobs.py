"""What runs in workers: importable there, and in need of requests and us alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import requests

from cave_auth_adapter import install, set_token_source

SECONDS = 60.0  # that a request may take, with the wait for a new token


class Done(NamedTuple):
    """What a task did."""

    status: int
    process: int


def ask(url: str) -> Done:
    """One task: a request to a protected service."""
    return Done(requests.get(url, timeout=SECONDS).status_code, os.getpid())


def log_in() -> None:
    """As docs/clusters.md says, for processes that share the secret files."""
    install()
    set_token_source(None, wait=20)


def ask_and_note(url: str, notes: str) -> None:
    """One task of a queue, which can't return a result."""
    done = ask(url)
    with Path(notes).open("a") as file:  # one short write, so lines of two workers don't mix
        file.write(f"{done.status} {done.process}\n")


def log_in_and_note(task: tuple[str, str]) -> None:
    """One task of Spark, whose workers have no place for set-up code."""
    log_in()
    ask_and_note(*task)


def work_through(queue: str) -> None:
    """A worker of a queue in a directory."""
    from taskqueue import TaskQueue, queueable

    queueable(ask_and_note)
    log_in()
    TaskQueue(queue).poll(lease_seconds=3, verbose=False, max_backoff_window=0.2)


def time_out(url: str) -> None:
    """A task that fails while its signed request is under way."""
    requests.get(url, timeout=0.5)


def be_refused(url: str) -> None:
    """A task that fails with an answer in its exception."""
    requests.get(url, timeout=SECONDS).raise_for_status()
