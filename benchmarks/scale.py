"""10,000 workers whose token dies, and is replaced 40 seconds later.

The real :class:`Credentials` of each worker has a memory of its own, as in a process of its own.
The clock and the service are made up. The secret file is a real one; each look at it is counted.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from cave_auth_adapter import sources, tokens_changed, watch
from cave_auth_adapter.bridges import keyring
from cave_auth_adapter.origins import Origin
from cave_auth_adapter.sources import Credentials, command, memory, reading

from .measure import Row

WORKERS = 10_000
_HOST = Origin("https", "minnie.microns-daf.com", 443)
_OLD, _NEW = "0" * 32, "1" * 32
DIES, RENEWED, END = 4.0, 44.0, 110.0  # seconds
_PULSE = 2  # seconds in which all workers may notice what happened
_BETWEEN = 0.5  # seconds between two requests of a worker


class Outcome(NamedTuple):
    """What the servers saw, and for how long.

    :ivar opens: each second -> how often the secret file was opened.
    :ivar stats: each second -> how often a file or directory was looked at.
    :ivar asked: each second -> how often the function, command or keyring was asked.
    :ivar refusals: each second -> the requests for which the auth service said no.
    :ivar repeats: the requests that were sent again.
    :ivar most_opens: of one worker, after the pulse in which the old token died.
    :ivar well_after: seconds from the new token to the last worker's good answer.
    """

    workers: int
    opens: Counter[int]
    stats: Counter[int]
    asked: Counter[int]
    refusals: Counter[int]
    repeats: int
    most_opens: int
    well_after: float

    @property
    def share_between_pulses(self) -> float:
        """The largest share of the workers that open the file in one second, but for pulses.

        A pulse begins when the token dies, and when the file changes.
        """
        pulses = {int(at) + second for at in (0, DIES, RENEWED) for second in range(_PULSE)}
        return max((n for s, n in self.opens.items() if s not in pulses), default=0) / self.workers


class _World:
    """The clock, the file, the service, and what is counted."""

    def __init__(self, source: str, directory: Path):
        self.now, self.worker, self.source = 0.0, 0, source
        self.opens, self.stats, self.asked = Counter[int](), Counter[int](), Counter[int]()
        self.refusals, self.late_opens = Counter[int](), Counter[int]()
        self.path = directory / "cave-secret.json"
        self._look, self._read = watch.Watch.look, reading.read_secrets

    # What the modules take for `time`:
    def monotonic(self) -> float:
        return self.now

    time = monotonic

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def token(self) -> str:
        return _OLD if self.now < RENEWED else _NEW

    def is_good(self, token: str) -> bool:
        return token == (_OLD if self.now < DIES else _NEW)

    def write(self) -> None:
        """Replace the secret file, with the made-up time as its time stamp."""
        other = self.path.with_suffix(".new")
        other.touch(mode=0o600)
        other.write_text(json.dumps({"token": self.token()}))
        os.utime(other, (self.now, self.now))
        other.replace(self.path)

    def read(self, path: Path) -> Any:
        self.opens[int(self.now)] += 1
        if self.now >= DIES + _PULSE:
            self.late_opens[self.worker] += 1
        return self._read(path)

    def look(self, each: watch.Watch) -> int:
        self.stats[int(self.now)] += 1
        return self._look(each)

    def ask(self, *_: object) -> str:
        self.asked[int(self.now)] += 1
        return self.token()

    def ask_keyring(self, function: str, server: str) -> str | None:
        return self.ask() if server == keyring.ANY_SERVER else None

    def run_command(self, *_: object) -> bytes:
        return self.ask().encode()


def simulate(source: str, workers: int, *, told: bool = False) -> Outcome:
    """Let the token die under all workers, and be renewed.

    :param source: ``file``, ``function``, ``command`` or ``keyring``.
    :param told: whether ``tokens_changed()`` is called when the new token is there.
    """
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        directory = Path(home, "secrets")
        directory.mkdir(mode=0o700)
        world = _World(source, directory)
        variables = {"CLOUD_VOLUME_DIR": home}
        variables |= {"CAVE_TOKEN_COMMAND": "it"} if source == "command" else {}
        variables |= {"CAVE_AUTH_KEYRING": "1"} if source == "keyring" else {}
        stack.enter_context(mock.patch.dict(os.environ, variables))
        for module in (sources, memory, watch, command):
            stack.enter_context(mock.patch.object(module, "time", world))
        for place, name, value in (
            (watch, "_now", world.monotonic),
            (watch.Watch, "look", lambda each: world.look(each)),
            (reading, "read_secrets", world.read),
            (command, "_output_of", world.run_command),
            (command, "_answers", {}),
            (keyring, "_call", world.ask_keyring),
        ):
            stack.enter_context(mock.patch.object(place, name, value))
        return _run(world, workers, told)


def _run(world: _World, workers: int, told: bool) -> Outcome:
    chance = random.Random(1)
    if world.source == "file":
        world.write()
        os.utime(world.path.parent, (0, 0))
    all_of_them = [_worker(world) for _ in range(workers)]
    answers: list[dict[Any, Any]] = [{} for _ in range(workers)]
    turns = [(chance.uniform(0, _BETWEEN), number) for number in range(workers)]
    heapq.heapify(turns)
    repeats, well_at, is_renewed = 0, RENEWED, False
    while turns and turns[0][0] < END:  # a worker that is well again has no more to tell
        at, number = heapq.heappop(turns)
        if at >= RENEWED and not is_renewed:
            world.now, is_renewed = RENEWED, True
            _renew(world, told)
        world.now, world.worker, command._answers = at, number, answers[number]
        is_well, sent_again = _request(world, all_of_them[number])
        repeats += sent_again
        if is_renewed and is_well:
            well_at = world.now
        else:
            heapq.heappush(turns, (at + chance.uniform(0.8, 1.2) * _BETWEEN, number))
    return Outcome(
        workers,
        *(world.opens, world.stats, world.asked, world.refusals, repeats),
        max(world.late_opens.values(), default=0),
        float("inf") if turns else well_at - RENEWED,
    )


def _renew(world: _World, told: bool) -> None:
    """The new token is there."""
    if world.source == "file":
        world.write()
    if told:
        tokens_changed()


def _worker(world: _World) -> Credentials:
    memory._forget()  # so that it gets a memory of its own
    return Credentials(source=world.ask if world.source == "function" else None)


def _request(world: _World, credentials: Credentials) -> tuple[bool, bool]:
    """One request, as an exchange makes it: whether it went well, and was sent again."""
    token = credentials.token_for(_HOST)
    assert token is not None
    if world.is_good(token.value):
        return True, False
    world.refusals[int(world.now)] += 1
    another = credentials.after_refusal(_HOST, token)
    if another is None:
        return False, False
    is_good = world.is_good(another.value)
    world.refusals[int(world.now)] += not is_good
    return is_good, True


def rows(workers: int = WORKERS) -> Iterator[Row]:
    """The file, then the sources without a watch, told of the new token and not."""
    yield from _rows_of_file(simulate("file", workers))
    for source in ("function", "command", "keyring"):
        for told in (True, False):
            yield from _rows_of_other(source, told, simulate(source, workers, told=told))


def _rows_of_file(seen: Outcome) -> Iterator[Row]:
    what = f"{seen.workers:,} workers, a secret file"
    share = seen.share_between_pulses
    yield Row(f"{what}: most that open it in a second", f"{share:.1%}", "<= 10%", share <= 0.1)
    most = seen.most_opens
    yield Row(f"{what}: opens of a worker for the new token", str(most), "<= 1", most <= 1)
    after = seen.well_after
    yield Row(f"{what}: all well again after", f"{after:.1f} s", "<= 2 s", after <= 2)
    for name, counted in (("opens", seen.opens), ("looks (stat)", seen.stats)):
        each, peak = counted.total() / seen.workers, max(counted.values())
        yield Row(f"{what}: {name}", f"{each:.1f} a worker, at most {peak:,} a second", "", True)
    yield from _rows_of_service(what, seen)


def _rows_of_other(source: str, told: bool, seen: Outcome) -> Iterator[Row]:
    word = "with" if told else "without"
    what = f"{seen.workers:,} workers, a {source}, {word} `tokens_changed()`"
    limit = 2 if told else 60
    after = seen.well_after
    yield Row(f"{what}: all well again after", f"{after:.1f} s", f"<= {limit} s", after <= limit)
    each, peak = seen.asked.total() / seen.workers, max(seen.asked.values())
    yield Row(f"{what}: look-ups", f"{each:.1f} a worker, at most {peak:,} a second", "", True)
    yield from _rows_of_service(what, seen)


def _rows_of_service(what: str, seen: Outcome) -> Iterator[Row]:
    peak = max(seen.refusals.values())
    yield Row(f"{what}: refusals by the auth service", f"at most {peak:,} a second", "", True)
    yield Row(
        f"{what}: requests sent again", f"{seen.repeats / seen.workers:.1f} a worker", "", True
    )


if __name__ == "__main__":
    start = time.monotonic()
    for row in rows():
        print(row.show(), flush=True)
    print(f"{time.monotonic() - start:.0f} s")
