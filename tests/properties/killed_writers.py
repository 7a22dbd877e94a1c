"""Kill a writer before the first line that it runs, the second, and so on; look at the files.

Run by ``test_store.py``: arguments are a directory and what the writer does. A process of its own,
for it forks, and has no threads.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

from cave_auth_adapter import TokenStore, store
from cave_auth_adapter.store import files, permissions

OLD, NEW = "0123456789abcdef", "fedcba9876543210"
OTHERS = {f"datastack {n}": f"{n:032x}" for n in range(200)}  # some kB

# What is there before, what is there after, what is done.
ACTS: dict[str, tuple[Any, Any, Any]] = {
    "save": (OTHERS, {**OTHERS, "token": NEW}, lambda store: store.save(NEW)),
    "save first": (None, {"token": NEW}, lambda store: store.save(NEW)),
    "replace": (
        {"token": OLD, **OTHERS},
        {"token": NEW, **OTHERS},
        lambda store: store.save(NEW, overwrite=True),
    ),
    "delete": ({"token": OLD, **OTHERS}, OTHERS, lambda store: store.delete()),
    "delete last": ({"token": OLD}, None, lambda store: store.delete()),
    "link": (OTHERS, {**OTHERS, "token": NEW}, lambda store: store.save(NEW)),
}


def main(directory: Path, act: str) -> None:
    before, after, do = ACTS[act]
    allowed = [before, after, *([{}] if act == "delete last" else [])]
    seen_old = seen_new = 0
    for line in range(10_000):
        path = prepare(directory, before, link=act == "link")
        store = TokenStore(directory)
        survived = run_and_kill(lambda: do(store), line)  # noqa: B023 - called at once
        there = json.loads(path.read_text()) if path.exists() else None
        assert there in allowed, f"killed before line {line}: {there}"
        assert there is None or list(there) in [list(each) for each in allowed if each is not None]
        if survived:
            assert there == after
            print(line, seen_old, seen_new)
            return
        seen_old += there == before
        seen_new += there != before
        heal(store, path, there)


def prepare(directory: Path, content: Any, link: bool) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    shutil.rmtree(directory.with_name("mount"), ignore_errors=True)
    if content is None:
        return directory / "cave-secret.json"
    directory.mkdir(mode=0o700)
    path = directory / "cave-secret.json"
    if link:
        target = directory.with_name("mount") / "data"
        target.parent.mkdir()
        path.symlink_to(target)
    path.write_text(json.dumps(content))
    return path


def heal(store: TokenStore, path: Path, there: Any) -> None:
    """The next writer succeeds, and removes what the killed one left."""
    store.save(NEW, key="after", overwrite=True)
    assert json.loads(path.read_text()) == {**(there or {}), "after": NEW}
    target = Path(os.path.realpath(path))
    names = {name for name in os.listdir(target.parent) if not name.endswith(".lock")}
    assert names == {target.name}, names


def run_and_kill(do: Any, line: int) -> bool:
    """Do something in a child that is killed before its n-th line; whether it came to its end."""
    child = os.fork()
    if not child:
        sys.settrace(killer(line))
        do()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or status == 0, f"the writer failed before line {line}"
    return status == 0


def killer(line: int) -> Any:
    ours, left = (store, files, permissions, tempfile), [line]
    traced = {module.__file__ for module in ours}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in traced:
            return None
        if event == "line":
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
        return trace

    return trace


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
