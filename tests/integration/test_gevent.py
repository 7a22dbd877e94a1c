"""gevent patches the process after ``install()``: nothing waits for ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cave_auth_adapter import TokenStore

pytest.importorskip("gevent")

SCRIPT = """
import faulthandler, logging
faulthandler.dump_traceback_later(60, exit=True)
import cave_auth_adapter
from cave_auth_adapter import CaveAuth, set_token_source, tokens_changed

cave_auth_adapter.install()
auth, url = CaveAuth(), "https://minnie.microns-daf.com/"
print(auth.token_for(url))

import gevent.monkey
gevent.monkey.patch_all()
import gevent

class Handler(logging.Handler):
    def emit(self, record):
        gevent.sleep(0.05)  # as one that reports over the network
        print("handler", auth.token_for(url))

def tokens_of_greenlets():
    greenlets = [gevent.spawn(auth.token_for, url) for _ in range(8)]
    gevent.joinall(greenlets)
    return sorted({greenlet.value for greenlet in greenlets})

def source(server, refused):
    asked.append(server)
    gevent.sleep(0.05)
    return "ab"

asked = []
set_token_source(source)
print(*tokens_of_greenlets(), len(asked))

def bad(server, refused):
    raise RuntimeError

logging.getLogger().addHandler(Handler())
set_token_source(bad)
print(*tokens_of_greenlets())
"""


def test_greenlets_read_the_token_once_without_a_deadlock(tmp_path: Path) -> None:
    TokenStore().save("cd")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-W", "ignore", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.stdout.splitlines() == ["cd", "ab 1", "handler cd", "cd"], done.stderr
