"""Secret files survive many writers at once, and writers that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from cave_auth_adapter import TokenStore

from ..support.processes import run_at_once
from ..support.systems import posix_only

TOKEN, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2

SAVE_MANY = """
import sys
from cave_auth_adapter import TokenStore
worker, count = sys.argv[1], int(sys.argv[2])
for number in range(count):
    TokenStore().save(f"{int(worker):016x}{number:016x}", key=f"{worker}-{number}")
"""


EACH = 25 if os.name == "nt" else 200  # under Wine, a write takes ten times as long


def test_eight_processes_save_many_keys_each_into_one_file(secrets: Path) -> None:
    TokenStore().save(TOKEN, key="before")
    ends = run_at_once(SAVE_MANY, 8, str(EACH))

    assert ends == [("", 0)] * 8
    expected = {f"{w}-{n}": f"{w:016x}{n:016x}" for w in range(8) for n in range(EACH)}
    assert json.loads((secrets / "cave-secret.json").read_text()) == {"before": TOKEN, **expected}


# A parent without threads imports once and forks each writer, which is fast enough for 500.
KILL = """
import json, os, random, signal, struct, sys, time
from pathlib import Path
from cave_auth_adapter import TokenStore

path, kills = Path(sys.argv[1]), int(sys.argv[2])
chance = random.Random(sys.argv[3])
store, others = TokenStore(path.parent), json.loads(path.read_text())
others.pop("token", None)


def write_for_ever(number, told):
    while True:
        number += 1
        store.save(f"{number:032x}", overwrite=True)
        os.write(told, struct.pack("Q", number))


last, seen_new = 0, 0
for kill in range(kills):
    listen, told = os.pipe()
    child = os.fork()
    if not child:
        write_for_ever(last, told)
    os.close(told)
    os.read(listen, 8)  # the first is saved
    time.sleep(chance.uniform(0, 0.004))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    done, rest = last + 1, b""
    while more := os.read(listen, 65536):
        rest += more
    os.close(listen)
    if rest:
        done = struct.unpack("Q", rest[-8:])[0]
    content = json.loads(path.read_text())
    token = int(content.pop("token"), 16)
    assert token in (done, done + 1), f"kill {kill}: {done} was saved, and {token} is there"
    assert content == others, f"kill {kill}: other keys were lost"
    assert list(content) == list(others), f"kill {kill}: the order of keys was lost"
    seen_new += token == done + 1
    last = token + 1
    store.save(f"{last:032x}", overwrite=True)
    assert int(store.load(), 16) == last
    residue = [name for name in os.listdir(path.parent) if ".new-" in name]
    assert residue == [], f"kill {kill}: {residue}"
print(kills, "kills; in", seen_new, "of them the new content was there before it was told")
"""


@posix_only
def test_a_file_is_complete_when_its_writer_is_killed_at_any_instant(secrets: Path) -> None:
    kills = 500
    secrets.mkdir(parents=True)
    path = secrets / "cave-secret.json"
    # Some kB, so that a write that is not atomic is caught in the middle.
    path.write_text(json.dumps({f"datastack {n}": f"{n:032x}" for n in range(100)}))
    path.chmod(0o600)

    result = subprocess.run(
        [sys.executable, "-c", KILL, str(path), str(kills), "cave"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{kills} kills")


@posix_only
def test_a_writer_ended_by_a_signal_leaves_the_old_file(secrets: Path) -> None:
    """Ctrl-C is such a signal, too."""
    path = TokenStore().save(TOKEN)
    script = (
        "import os, signal, sys\n"
        "from cave_auth_adapter import TokenStore\n"
        "os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGINT)\n"
        "TokenStore().save(sys.stdin.read(), overwrite=True)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], input=OTHER, capture_output=True, text=True
    )
    assert result.returncode in (-signal.SIGINT, 1, 130)
    assert OTHER not in result.stderr
    assert json.loads(path.read_text()) == {"token": TOKEN}
    assert {each.name for each in secrets.iterdir()} <= {path.name, f".{path.name}.lock"}
