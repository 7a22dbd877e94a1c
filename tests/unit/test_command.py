"""Tokens from the command in ``CAVE_TOKEN_COMMAND``, which is a real process."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from cave_auth_adapter import CaveAuth, tokens_changed
from cave_auth_adapter.origins import Origin
from cave_auth_adapter.sources import command

from ..support.stub import OTHER_TOKEN, TOKEN, Write

HOST = Origin("https", "minnie.microns-daf.com", 443)
URL = "https://minnie.microns-daf.com/x"


class Calls:
    """The arguments of each call of the command."""

    def __init__(self, log: Path):
        self.log = log

    @property
    def so_far(self) -> list[list[str]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


Commanded = Callable[[str], Calls]


@pytest.fixture
def commanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commanded:
    """Use a piece of Python as the command; return its calls so far."""
    log = tmp_path / "calls"
    log.touch()

    def commanded(code: str) -> Calls:
        script = tmp_path / "the command.py"
        note = (
            "import json, os, sys\n"
            f"open({str(log)!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
        )
        script.write_text(note + code)
        words = [sys.executable, "-S", str(script), "an argument"]
        join = subprocess.list2cmdline if os.name == "nt" else shlex.join
        monkeypatch.setenv("CAVE_TOKEN_COMMAND", join(words))
        return Calls(log)

    return commanded


def printing(what: str) -> str:
    return f"print({what!r})"


def moved_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that sets the clock some seconds ahead."""
    start, later = time.monotonic(), [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: start + later[0])
    return lambda seconds: later.__setitem__(0, seconds)


def seconds_from_now(seconds: float) -> float:
    return time.time() + seconds


def test_the_command_runs_once_with_the_server_as_last_argument(commanded: Commanded) -> None:
    calls = commanded(printing(TOKEN))
    auth = CaveAuth()
    assert calls.so_far == []
    assert [auth.token_for(URL) for _ in range(3)] == [TOKEN] * 3
    assert CaveAuth(hosts=[HOST.host]).token_for(URL) == TOKEN
    assert calls.so_far == [["an argument", HOST.host]]


def test_the_command_ranks_above_files_and_below_variables(
    commanded: Commanded, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("cave-secret.json", token=OTHER_TOKEN, key=OTHER_TOKEN)
    calls = commanded(printing(TOKEN))
    assert CaveAuth().token_for(URL) == TOKEN
    assert CaveAuth(token_key="key").token_for(URL) == OTHER_TOKEN
    for name, value in (("CAVE_TOKEN_FILE", str(path)), ("CAVE_TOKEN", OTHER_TOKEN)):
        monkeypatch.setenv(name, value)
        assert CaveAuth().token_for(URL) == OTHER_TOKEN
    assert len(calls.so_far) == 1


@pytest.mark.parametrize("extra", [{}, {"expires": None}, {"expires": 4e9}, {"more": [1]}])
def test_the_command_may_print_json(commanded: Commanded, extra: dict[str, Any]) -> None:
    commanded(printing(json.dumps({"token": TOKEN, **extra})))
    assert CaveAuth().token_for(URL) == TOKEN


@pytest.mark.parametrize("form", ["seconds", "Z", "+00:00", "naive"])
def test_the_command_runs_again_before_the_token_expires(
    commanded: Commanded, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    soon = datetime.now(timezone.utc) + timedelta(seconds=600)
    text = soon.replace(tzinfo=None).isoformat(timespec="seconds")
    expires: Any = soon.timestamp() if form == "seconds" else text + form.replace("naive", "")
    calls = commanded(printing(json.dumps({"token": TOKEN, "expires": expires})))
    auth, later = CaveAuth(), moved_clock(monkeypatch)
    for seconds, runs in ((0, 1), (500, 1), (545, 2)):
        later(seconds)
        assert auth.token_for(URL) == TOKEN
        assert len(calls.so_far) == runs


def test_a_token_is_used_until_it_expires_when_the_command_fails(
    commanded: Commanded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    commanded(printing(json.dumps({"token": TOKEN, "expires": seconds_from_now(600)})))
    auth, later = CaveAuth(), moved_clock(monkeypatch)
    assert auth.token_for(URL) == TOKEN
    script = shlex.split(os.environ["CAVE_TOKEN_COMMAND"])[2]
    Path(script).write_text("import sys; sys.exit(1)")
    for seconds, token in ((550, TOKEN), (570, TOKEN), (601, None)):
        later(seconds)
        assert auth.token_for(URL) == token
    (warning,) = caplog.messages
    assert "exit status 1" in warning


def test_the_command_runs_again_after_a_refusal(commanded: Commanded) -> None:
    code = f"""
import pathlib
count = pathlib.Path(sys.argv[0] + ".count")
count.write_text(count.read_text() + "." if count.exists() else ".")
print({TOKEN!r} if len(count.read_text()) == 1 else {OTHER_TOKEN!r})
"""
    calls = commanded(code)
    credentials = CaveAuth().credentials
    refused = credentials.token_for(HOST)
    assert refused is not None
    assert refused.value == TOKEN
    token = credentials.after_refusal(HOST, refused)
    assert token is not None
    assert token.value == OTHER_TOKEN
    assert token.source.kind == "CAVE_TOKEN_COMMAND"
    assert len(calls.so_far) == 2


def test_the_command_runs_again_after_tokens_changed(commanded: Commanded) -> None:
    calls = commanded(printing(TOKEN))
    auth = CaveAuth()
    for _ in range(2):
        tokens_changed()
        assert auth.token_for(URL) == TOKEN
    assert len(calls.so_far) == 2


def test_one_command_runs_at_a_time(commanded: Commanded, tmp_path: Path) -> None:
    busy = tmp_path / "busy"
    calls = commanded(
        f"import time; os.mkdir({str(busy)!r}); time.sleep(0.1); os.rmdir({str(busy)!r})\n"
        + printing(TOKEN)
    )
    hosts = [f"host{n}.microns-daf.com" for n in range(4)]
    found: list[str | None] = []
    threads = [
        threading.Thread(target=lambda url=url: found.append(CaveAuth().token_for(url)))
        for url in [f"https://{host}/" for host in hosts] * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [TOKEN] * 8
    assert sorted(call[-1] for call in calls.so_far) == hosts


def test_the_command_does_not_see_its_own_variable(commanded: Commanded) -> None:
    commanded("print('ab' * 16 if 'CAVE_TOKEN_COMMAND' not in os.environ else 'cd' * 16)")
    assert CaveAuth().token_for(URL) == "ab" * 16


def test_the_command_runs_without_a_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    monkeypatch.setenv("CAVE_TOKEN_COMMAND", f"echo {TOKEN}; touch {mark} #")
    assert CaveAuth().token_for(URL) is None
    assert not mark.exists()


BAD = {
    "not found": ("/no/such/command", "can't be run"),
    "a quote too few": (
        "echo 'x",
        "can't be run" if os.name == "nt" else "can't be split into words",  # Windows splits it
    ),
    "fails": (f"print({TOKEN!r}); sys.exit(3)", "exit status 3"),
    "hangs": ("import time; time.sleep(60)", "did not end in"),
    "hangs in a child": (
        "import subprocess; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])",
        "did not end in",
    ),
    "10 MB": ("print('x' * 10_000_000)", "printed more than"),
    "HTML": ("print('<html><body>Log in</body></html>')", "has the HTML of a page in it"),
    "two lines": (f"print({TOKEN!r}); print({TOKEN!r})", "has a line break in it"),
    "nothing": ("", "is empty"),
    "not JSON": ("print('{')", "not JSON"),
    "JSON without a token": ("print('{}')", "is not a string"),
    "no time": (f'print(\'{{"token": "{TOKEN}", "expires": "soon"}}\')', "in 'expires'"),
    "expired": (f'print(\'{{"token": "{TOKEN}", "expires": 1}}\')', "has expired"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_command_warns_once_and_the_next_source_is_used(
    commanded: Commanded,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    bad: str,
) -> None:
    monkeypatch.setattr(command, "LIMIT", 0.5 if "hangs" in bad else 30.0)
    write("cave-secret.json", token=OTHER_TOKEN)
    code, problem = BAD[bad]
    if bad in ("not found", "a quote too few"):
        monkeypatch.setenv("CAVE_TOKEN_COMMAND", code)
    else:
        commanded(f"print('a secret', file=sys.stderr)\n{code}")
    started = time.monotonic()
    for _ in range(2):
        assert CaveAuth().token_for(URL) == OTHER_TOKEN
        tokens_changed()
    assert time.monotonic() - started < 30
    (warning,) = caplog.messages
    assert warning.startswith("CAVE_TOKEN_COMMAND: the command ")
    assert problem in warning
    assert "secret" not in warning
    assert TOKEN not in warning


def test_a_repeated_refused_token_warns_once_and_the_next_source_is_used(
    commanded: Commanded, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    write("cave-secret.json", token=OTHER_TOKEN)
    commanded(printing(TOKEN))
    credentials = CaveAuth().credentials
    refused = credentials.token_for(HOST)
    for _ in range(2):
        token = credentials.after_refusal(HOST, refused)
        assert token is not None
        assert token.value == OTHER_TOKEN
    (warning,) = caplog.messages
    assert f"the token that {HOST.host} refused" in warning
    assert TOKEN not in warning


def test_an_interrupt_ends_the_command(
    commanded: Commanded, monkeypatch: pytest.MonkeyPatch
) -> None:
    commanded("import time; print(os.getpid(), flush=True); time.sleep(60)")
    seen: list[Any] = []
    real = command._kill

    def kill(process: Any) -> None:
        seen.append(process)
        real(process)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_kill", kill)
    monkeypatch.setattr(threading.Thread, "join", interrupt)
    with pytest.raises(KeyboardInterrupt):
        CaveAuth().token_for(URL)
    (process,) = seen
    assert process.returncode not in (None, 0)  # it was ended, and waited for
