"""Tokens that the caller's own code provides, and the word that tokens have changed.

A provider is code of others. It runs in a thread of its own for :data:`LIMIT` seconds at most, and
with the context variables of the thread that waits for it.
"""

from __future__ import annotations

import importlib
import itertools
import pickle
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
    """What :func:`set_token_source` set."""

    source: TokenSource | None = None
    wait: float = 0.0


_process = _Process()
_changes = itertools.count(1)
_changed = 0
_busy: set[tuple[int, str]] = set()


def set_token_source(source: TokenSource | None, *, wait: float = 0.0) -> None:
    """Ask a function for tokens, in this whole process.

    It is asked when a host first needs a token, and after a refusal: once for all threads. A
    ``source=`` of one :class:`CaveAuth` outranks it; it outranks ``CAVE_TOKEN`` and the secret
    files. What it raises is logged as one warning, and the next source is asked.

    :param source: called with the server (``host`` or ``host:port``) and with the token that this
        server refused, or None. It returns a token, or None if it has none. It is called in a
        thread of its own, for 30 seconds at most. None: ask no function any more.
    :param wait: seconds for which a refused request waits for another token before its refusal is
        given back: for clusters, where the new token may come some seconds after the old one died.

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
    """Say that tokens may have changed: the next request looks at all sources again.

    Sources are otherwise asked again only after a refusal, and then at growing intervals. A change
    of a file needs no such word: it is noticed within a second.

    >>> tokens_changed()
    """
    global _changed
    _changed = next(_changes)


def changed() -> int:
    """A number that is another one after :func:`tokens_changed`."""
    return _changed


def process_source() -> TokenSource | None:
    """The function that :func:`set_token_source` set."""
    return _process.source


def patience() -> float:
    """For how many seconds a refused request waits for another token."""
    return _process.wait


def check_source(source: object) -> None:
    """Check that something can be asked for tokens.

    :raises TypeError: if it can't be called; the message does not show it.
    """
    if not callable(source):
        raise TypeError(
            f"a token source is a function (server, refused) -> token, not {type(source).__name__}."
        )


def name_of(source: TokenSource) -> str:
    """The name of a token source, for messages."""
    return str(getattr(source, "__qualname__", type(source).__qualname__))


class ByName:
    """A token source that is pickled by its name, and never with what it holds.

    :raises pickle.PicklingError: at pickling, if it can't be found again by its name.
    """

    def __init__(self, source: TokenSource):
        self.source = source

    @classmethod
    def find(cls, module: str, name: str) -> ByName:
        """The source of that name in a module."""
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
            raise pickle.PicklingError(
                f"The token source {name_of(self.source)} is pickled by its name, and can't be "
                "found by it. Define the function at the top of a module."
            )
        return self.find, place

    def __deepcopy__(self, memo: object) -> ByName:
        return self


class Asked:
    """What functions of the caller answered: each is asked at first need and after a refusal."""

    def __init__(self) -> None:
        self._answers: dict[tuple[int, str], tuple[TokenSource, int, Token | None]] = {}

    def ask(
        self, source: TokenSource, server: str, refused: Token | None, is_refusal: bool
    ) -> Token | None:
        """The token that a function gives for a server.

        :param is_refusal: whether the server refused a request just now.
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
    """The token that a function of the caller's gives; None if it gives none, or a bad one.

    :param server: ``host`` or ``host:port``.
    :param refused: what that server refused.
    """
    name = name_of(source)
    work = (id(source), server)
    if work in _busy:  # it is still at work since the last time
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
        problem = f"gave no answer in {LIMIT:.0f} seconds"
    except InvalidToken as error:
        problem = f"gave no token: {str(error).rstrip('.')}"
    except Exception as error:  # the caller's code may raise anything
        problem = f"failed ({type(error).__name__})"
    else:
        if token is None or token != refused:
            return token
        problem = f"returned the token that {server} refused"
        warn_once(f"The token source {name} {problem}.", "source", name, server, problem)
        return token
    warn_once(f"The token source {name} {problem}. The next source is asked.", name, problem)
    return None


class _Outcome(Generic[T]):
    """What a call returned or raised."""

    value: T
    error: BaseException | None = None


def within_limit(work: Callable[[], T]) -> T:
    """Do something in a thread of its own, and wait :data:`LIMIT` seconds for it.

    :raises TimeoutError: if it takes longer; it then goes on for nobody.
    """
    outcome = _Outcome[T]()

    def run() -> None:
        try:
            outcome.value = work()
        except BaseException as error:  # raised where it is waited for
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
