"""Token sources: functions of the caller that return tokens; and ``tokens_changed()``.

A token source runs in a thread of its own for at most :data:`LIMIT` seconds, with the context
variables of the thread that waits for it.
"""

from __future__ import annotations

import importlib
import itertools
import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Generic, NamedTuple, TypeVar

from .errors import InvalidToken
from .runtime import warn_once
from .tokens import Source, Token, check_token

#: Called with the server (``host``, or ``host:port``) and the token that it refused, or None.
#: Returns a token; None if it has none for that server.
TokenSource = Callable[[str, "str | None"], "str | None"]

LIMIT = 30.0  # seconds
_REMEMBERED = 1024  # answers

T = TypeVar("T")


class _Process(NamedTuple):
    """The arguments of :func:`set_token_source`."""

    source: TokenSource | None = None
    wait: float = 0.0


_process = _Process()
_changes = itertools.count(1)
_changed = 0
_busy: set[tuple[int, str]] = set()


def set_token_source(source: TokenSource | None, *, wait: float = 0.0) -> None:
    """Get tokens from a function, in this whole process.

    The function is called when a host first needs a token, and after a refusal: once for all
    threads. It outranks ``CAVE_TOKEN`` and the secret files; the ``source=`` of a
    :class:`CaveAuth` outranks it. If it raises, one warning is logged, and the next source is used.

    :param source: called with the server (``host`` or ``host:port``) and the token that this server
        refused, or None. It returns a token, or None if it has none. It runs in a thread of its
        own, for at most 30 seconds. None: use no function any more.
    :param wait: how many seconds a refused request waits for another token before the refusal is
        returned. Use it in clusters, where a new token may arrive seconds after the old one ended.
    :raises TypeError: if ``source`` can't be called.
    :raises ValueError: if ``wait`` is negative or infinite.

    >>> set_token_source(lambda server, refused: "0123456789abcdef")
    >>> from cave_auth_adapter import CaveAuth
    >>> CaveAuth().token_for("https://global.daf-apis.com/")
    '0123456789abcdef'
    >>> set_token_source(None)
    """
    global _process
    if source is not None:
        check_source(source)
    if not 0 <= wait < float("inf"):
        raise ValueError(f"wait is a number of seconds, not {wait!r}.")
    _process = _Process(source, float(wait))
    tokens_changed()


def tokens_changed() -> None:
    """Let the next request read all token sources again.

    Call it when a token source has a new token. Otherwise it is asked again only after a refusal,
    and then at growing intervals. You need not call it for files: their changes are noticed within
    a second.

    >>> tokens_changed()
    """
    global _changed
    _changed = next(_changes)


def changed() -> int:
    """A number that changes with each call of :func:`tokens_changed`."""
    return _changed


def process_source() -> TokenSource | None:
    """The function that :func:`set_token_source` set."""
    return _process.source


def patience() -> float:
    """The seconds that a refused request waits for another token."""
    return _process.wait


def check_source(source: object) -> None:
    """Check that a token source can be called.

    :raises TypeError: if it can't; the message does not show it.
    """
    if not callable(source):
        raise TypeError(
            f"a token source is a function (server, refused) -> token, not {type(source).__name__}."
        )


def name_of(source: TokenSource) -> str:
    """The name of a token source, for messages."""
    return str(getattr(source, "__qualname__", type(source).__qualname__))


class ByName:
    """A token source that is pickled by its name, never with its data.

    :raises pickle.PicklingError: when it is pickled, if it can't be found by its name.
    """

    def __init__(self, source: TokenSource):
        self.source = source

    @classmethod
    def find(cls, module: str, name: str) -> ByName:
        """Import the source with this name from a module."""
        found: Any = sys.modules.get(module) or importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        return cls(found)

    def __reduce__(self) -> tuple[Any, ...]:
        place = getattr(self.source, "__module__", ""), getattr(self.source, "__qualname__", "")
        try:
            is_found = self.find(*place).source is self.source
        except (ImportError, AttributeError, ValueError):
            is_found = False
        if not is_found:
            import pickle  # takes 1 ms

            raise pickle.PicklingError(
                f"The token source {name_of(self.source)} is pickled by its name, but can't be "
                "imported by it. Define the function at the top level of a module."
            )
        return self.find, place

    def __deepcopy__(self, memo: object) -> ByName:
        return self


class Asked:
    """Caches the answers of token sources: each is called at first need and after a refusal."""

    def __init__(self) -> None:
        self._answers: dict[tuple[int, str], tuple[TokenSource, int, Token | None]] = {}

    def ask(
        self, source: TokenSource, server: str, refused: Token | None, is_refusal: bool
    ) -> Token | None:
        """The token that a source returns for a server; None if it has none.

        :param is_refusal: whether the server has just refused a request.
        """
        answer = self._answers.get((id(source), server))
        is_known = answer is not None and answer[0] is source and answer[1] == _changed
        if answer is None or not is_known or (is_refusal and answer[2] in (None, refused)):
            now = _changed
            answer = source, now, ask(source, server, refused)
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            self._answers[id(source), server] = answer
        return answer[2]


def ask(source: TokenSource, server: str, refused: Token | None) -> Token | None:
    """The token that a source returns; None if it returns none, or a bad one.

    :param server: ``host`` or ``host:port``.
    :param refused: the token that the server refused.
    """
    name = name_of(source)
    work = (id(source), server)
    if work in _busy:  # still running since an earlier call
        return None

    def call() -> Token | None:
        _busy.add(work)
        try:
            value = source(server, refused.value if refused else None)
            if value is None:
                return None
            return Token(check_token(value, "what it returned"), Source("source=", key=name))
        finally:
            _busy.discard(work)

    try:
        token = within_limit(call)
    except TimeoutError:
        problem = f"did not return within {LIMIT:.0f} seconds"
    except InvalidToken as error:
        problem = f"returned no token: {str(error).rstrip('.')}"
    except Exception as error:  # the caller's code may raise anything
        problem = f"failed ({type(error).__name__})"
    else:
        if token is None or token != refused:
            return token
        problem = f"returned the token that {server} refused"
        warn_once(f"The token source {name} {problem}.", "source", name, server, problem)
        return token
    warn_once(f"The token source {name} {problem}. The next source is used.", name, problem)
    return None


class _Outcome(Generic[T]):
    """The result or the error of a call."""

    value: T
    error: BaseException | None = None


def within_limit(work: Callable[[], T]) -> T:
    """Do some work in a thread, and wait at most :data:`LIMIT` seconds for it.

    :raises TimeoutError: if it takes longer; the thread is then abandoned.
    """
    outcome = _Outcome[T]()

    def run() -> None:
        try:
            outcome.value = work()
        except BaseException as error:  # raised in the waiting thread
            outcome.error = error

    thread = threading.Thread(target=copy_context().run, args=(run,), daemon=True)
    thread.name = "cave-auth token source"
    thread.start()
    thread.join(LIMIT)
    if thread.is_alive():
        raise TimeoutError
    if outcome.error is not None:
        raise outcome.error
    return outcome.value
