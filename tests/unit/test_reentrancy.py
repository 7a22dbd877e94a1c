"""A look for a token while another one runs: in a handler, another thread, or a fork."""

from __future__ import annotations

import faulthandler
import functools
import logging
import os
import signal
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from cave_auth_adapter.bridges import keyring
from cave_auth_adapter.sources import Credentials, reading, turns

from ..support.credentials import HOST, value
from ..support.stub import TOKEN, Write


def bounded(test: Any) -> Any:
    """Print all stacks and end the process if a test deadlocks."""

    @functools.wraps(test)
    def within(*args: Any, **kwargs: Any) -> None:
        faulthandler.dump_traceback_later(20, exit=True)
        try:
            test(*args, **kwargs)
        finally:
            faulthandler.cancel_dump_traceback_later()

    return within


class TestReentrancy:
    """Log handlers, keyrings and signal handlers may need a token during a lookup."""

    class Handler(logging.Handler):
        """A log handler that reports to a host for which it needs a token."""

        def __init__(self, credentials: Credentials):
            super().__init__()
            self.credentials = credentials
            self.found: list[str | None] = []

        def emit(self, record: logging.LogRecord) -> None:
            self.found.append(value(self.credentials))

    @pytest.fixture
    def warned(self, write: Write) -> None:
        write("chunkedgraph-secret.json", token=TOKEN)  # a deprecated name is one warning

    @bounded
    def test_a_log_handler_gets_the_token(self, warned: None) -> None:
        credentials = Credentials()
        handler = self.Handler(credentials)
        logging.getLogger().addHandler(handler)
        try:
            assert value(credentials) == TOKEN
        finally:
            logging.getLogger().removeHandler(handler)
        assert handler.found == [TOKEN]  # the look is over by then

    @bounded
    def test_a_look_does_not_wait_for_a_locked_log_handler(self, warned: None) -> None:
        credentials = Credentials()
        handler = self.Handler(credentials)
        logging.getLogger().addHandler(handler)
        try:
            handler.acquire()
            try:
                other = threading.Thread(target=value, args=(credentials,))
                other.start()
                time.sleep(0.05)
                assert value(credentials) == TOKEN
            finally:
                handler.release()
            other.join()
        finally:
            logging.getLogger().removeHandler(handler)

    @bounded
    def test_a_keyring_that_makes_a_request_does_not_deadlock(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        credentials, found = Credentials(), []

        def call(function: str, server: str) -> str:
            found.append(value(credentials))
            return TOKEN

        monkeypatch.setenv("CAVE_AUTH_KEYRING", "1")
        monkeypatch.setattr(keyring, "_call", call)
        assert value(credentials) == TOKEN
        assert found == [None]

    @pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs SIGALRM")
    @bounded
    def test_a_signal_handler_that_makes_a_request_does_not_deadlock(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write("cave-secret.json", token=TOKEN)
        credentials, found, real = Credentials(), [], reading.read_secrets

        def read(path: Path) -> Any:
            signal.raise_signal(signal.SIGALRM)
            return real(path)

        monkeypatch.setattr(reading, "read_secrets", read)
        before = signal.signal(signal.SIGALRM, lambda *_: found.append(value(credentials)))
        try:
            assert value(credentials) == TOKEN
        finally:
            signal.signal(signal.SIGALRM, before)
        assert found == [None]

    def test_other_threads_wait_for_a_limited_time(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(turns, "PATIENCE", 0.05)
        write("cave-secret.json", token=TOKEN)
        credentials, looking, go = Credentials(), threading.Event(), threading.Event()
        real = reading.read_secrets

        def hang(path: Path) -> Any:
            looking.set()
            go.wait(30)
            return real(path)

        monkeypatch.setattr(reading, "read_secrets", hang)
        other = threading.Thread(target=value, args=(credentials,))
        other.start()
        looking.wait()
        assert value(credentials) is None
        go.set()
        other.join()
        assert value(credentials) == TOKEN


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_fork_forgets_the_look_under_way(write: Write) -> None:
    write("cave-secret.json", token=TOKEN)
    credentials = Credentials()
    looking, go = threading.Event(), threading.Event()

    def look() -> None:
        looking.set()
        go.wait()

    other = threading.Thread(target=credentials._memory.turns.take, args=(HOST, look))
    other.start()
    looking.wait()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
            child = os.fork()
        if child == 0:
            signal.alarm(5)
            os._exit(0 if value(credentials) == TOKEN else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        go.set()
        other.join()
