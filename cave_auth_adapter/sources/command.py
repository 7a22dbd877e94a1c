"""Tokens from a command: the variable ``CAVE_TOKEN_COMMAND``.

It works like git's credential helpers and AWS's ``credential_process``. The command is split by
:func:`shlex.split`, or by Windows, and run without a shell. Its last argument is the server
(``host``, or ``host:port``). It prints the token, or a JSON object with the token and the time when
it expires::

    {"token": "…", "expires": "2030-01-31T12:00:00Z"}

``expires`` may also be a number of seconds since 1970. The output is kept in memory only. The
command runs again shortly before that time and after a refusal. It runs for 30 seconds at most, one
at a time in a process. Its stderr is not read, because it may show a token.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import threading
import time
from datetime import datetime, timezone
from typing import IO, Any, NamedTuple

from ..errors import InvalidToken
from ..providers import changed
from ..runtime import on_reset, warn_once
from ..tokens import Source, Token, check_token
from .turns import Turn, Turns

VARIABLE = "CAVE_TOKEN_COMMAND"
LIMIT = 30.0  # seconds
_MAX_BYTES = 1 << 16  # of output
_EARLY = 60.0  # seconds before a token expires
_AGAIN = 10.0  # seconds until a failed command is run again while the last token is valid
_REMEMBERED = 256  # answers

_turns = Turns()


class Answer(NamedTuple):
    """The output of a command.

    :ivar changed: the value of :func:`~cave_auth_adapter.providers.changed` before.
    :ivar renew_at: when to run it again, in seconds of ``time.monotonic``.
    :ivar ends_at: when the token expires, likewise.
    """

    token: Token
    changed: int
    renew_at: float = float("inf")
    ends_at: float = float("inf")

    def is_good(self, refused: Token | None) -> bool:
        """Whether the answer can be used, so that the command need not run."""
        is_asked_for = self.token == refused or self.changed != changed()
        return not is_asked_for and time.monotonic() < self.renew_at


class _Failed(Exception):
    """Why a command returned no token, as the end of a sentence."""


_answers: dict[tuple[str, str], Answer] = {}


def ask(server: str, refused: Token | None) -> Answer | None:
    """The token that the command prints; None if there is no command, or it prints none.

    :param server: ``host`` or ``host:port``.
    :param refused: the token that the server refused. A cached answer with another token is used.
    """
    command = os.environ.get(VARIABLE)
    if not command:
        return None
    until = time.monotonic() + LIMIT
    while True:
        turn, answer = _turns.take(VARIABLE, lambda: _good_or_renewed(command, server, refused))
        if turn is not Turn.OVER or time.monotonic() >= until:
            return answer


def _good_or_renewed(command: str, server: str, refused: Token | None) -> Answer | None:
    present = _answers.get((command, server))
    if present and present.is_good(refused):
        return present
    return _renewed(command, server, present, refused)


def _renewed(
    command: str, server: str, present: Answer | None, refused: Token | None
) -> Answer | None:
    """Run the command and cache its output."""
    now = changed()
    try:
        answer = _parsed(_output_of(command, server))._replace(changed=now)
    except _Failed as failure:
        warn_once(f"{VARIABLE}: the command {failure}. Run it by hand to see why.", str(failure))
        if present and present.token != refused and time.monotonic() < present.ends_at:
            answer = present._replace(changed=now, renew_at=time.monotonic() + _AGAIN)
        else:
            _answers.pop((command, server), None)
            return None
    if refused is not None and answer.token == refused:
        warn_once(
            f"{VARIABLE}: the command printed the token that {server} refused. Renew it there.",
            *(VARIABLE, server),
        )
    if len(_answers) >= _REMEMBERED:
        _answers.clear()
    _answers[command, server] = answer
    return answer


def _output_of(command: str, server: str) -> bytes:
    """The output of a command for a server."""
    # Without the variable: if the command is `cave-auth token`, it must not run itself.
    environ = {name: value for name, value in os.environ.items() if name != VARIABLE}
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own command
            _command_line(command, server),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
            start_new_session=True,  # so that we can kill all its children
        )
    except (OSError, ValueError) as error:
        raise _Failed(f"can't be run ({getattr(error, 'strerror', None) or error})") from None
    output = _read(process)
    if output is None:
        raise _Failed(f"did not end in {LIMIT:.0f} seconds")
    if len(output) > _MAX_BYTES:
        raise _Failed(f"printed more than {_MAX_BYTES} bytes")
    if process.returncode:
        raise _Failed(f"ended with exit status {process.returncode}")
    return output


def _command_line(command: str, server: str) -> str | list[str]:
    """The command and its last argument, as Popen takes them without a shell."""
    if os.name == "nt":  # shlex would remove the backslashes from its paths
        return f"{command} {subprocess.list2cmdline([server])}"
    try:
        return [*shlex.split(command), server]
    except ValueError as error:
        raise _Failed(f"can't be split into words ({error})") from None


def _read(process: subprocess.Popen[bytes]) -> bytes | None:
    """The output of a process, up to a limit; None if it takes too long."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    output: list[bytes] = []
    until = time.monotonic() + LIMIT
    # In a thread: without process groups, a child of the process may keep the pipe open.
    reader = threading.Thread(target=_drain, args=(process.stdout, output), daemon=True)
    try:
        reader.start()
        reader.join(LIMIT)
        if output and len(output[0]) <= _MAX_BYTES:
            process.wait(max(0.0, until - time.monotonic()))
        return output[0] if output else None
    except subprocess.TimeoutExpired:
        return None
    finally:
        _kill(process)
        process.wait()


def _drain(stream: IO[bytes], output: list[bytes]) -> None:
    with stream:
        output.append(stream.read(_MAX_BYTES + 1))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and, on POSIX, its children."""
    if process.returncode is not None:
        return
    with contextlib.suppress(OSError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _parsed(output: bytes) -> Answer:
    """The token in the output of a command, and when to renew it."""
    text = output.decode("utf-8", "replace").strip()
    expires: Any = None
    if text.startswith("{"):
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            raise _Failed("printed something that is not JSON") from None
        text, expires = document.get("token"), document.get("expires")
    try:
        token = Token(check_token(text, "its output"), Source("CAVE_TOKEN_COMMAND"))
    except InvalidToken as error:
        raise _Failed(f"printed no token: {str(error).rstrip('.')}") from None
    if expires is None:
        return Answer(token, 0)
    now, left = time.monotonic(), _seconds_until(expires)
    if not left > 0:
        raise _Failed("printed a token that has expired")
    return Answer(token, 0, now + max(left - _EARLY, left / 2, 1.0), now + left)


def _seconds_until(expires: object) -> float:
    try:
        if isinstance(expires, (int, float)) and not isinstance(expires, bool):
            return float(expires) - time.time()
        if isinstance(expires, str):
            moment = datetime.fromisoformat(expires.replace("Z", "+00:00"))  # Python 3.10
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=timezone.utc)
            return moment.timestamp() - time.time()
    except (ValueError, OverflowError):
        pass
    raise _Failed("gave a time in 'expires' that is neither ISO 8601 nor seconds since 1970")


def _forget() -> None:
    """Forget what commands printed."""
    _answers.clear()


on_reset(_forget)
