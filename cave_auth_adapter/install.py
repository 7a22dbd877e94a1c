"""``install()``: sign the requests of every session of the process, existing ones and new ones.

``install()`` wraps three methods of ``Session``. It replaces no class and no object: so sessions
that exist already, subclasses, and modules that imported ``Session`` by name are all covered.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextvars import ContextVar

from cave_auth_startup import disabled

from . import tools
from .auth import CaveAuth, checked
from .runtime import after_fork, log_decisions, on_reset
from .sessions import Identity, Patches


class Installation:
    """What :func:`install` put in effect; in a ``with`` block, for as long as the block.

    :ivar auth: what requests are signed with.
    """

    def __init__(self, auth: CaveAuth, keep_alive: bool):
        self.auth = auth
        self.keep_alive = keep_alive
        self._thread = threading.get_ident()  # that made it
        self._is_block = False  # whether a `with` block holds it
        self._gives_way = False  # to one of any thread
        self._replaced: Installation | None = None
        self._ended = False

    def uninstall(self) -> None:
        """End it. What it nests in, if anything, is in effect again."""
        with _lock:
            self._ended = True
            if self in _stack:
                _stack.remove(self)
            _update()
        _tell_bridges()

    def __enter__(self) -> Installation:
        with _lock:
            below, self._replaced = self._replaced, None
            if not self._ended and not disabled():
                _nest(self, below)
            self._thread, self._is_block = threading.get_ident(), True
            try:
                _refuse_other_threads(self, _stack)
            except RuntimeError:
                self.uninstall()
                raise
        return self

    def __exit__(self, *error: object) -> None:
        self.uninstall()

    def __repr__(self) -> str:
        return f"<{'' if self in _stack else 'ended '}installation of {self.auth!r}>"


_lock = threading.RLock()  # a signal handler may come in between, and install something
_stack: list[Installation] = []  # the last one is in effect
_active: Identity | None = None  # what it says; None: a leftover hook does nothing
_acting: ContextVar[CaveAuth | None] = ContextVar("cave_auth_acting", default=None)


def install(auth: CaveAuth | None = None, *, keep_alive: bool = True) -> Installation:
    """Sign the requests of every session in this process.

    :param auth: what to sign with; None: a :class:`CaveAuth` without arguments. Installing again
        replaces it.
    :param keep_alive: whether requests of the same token share connections to trusted hosts, so
        that ``requests.get`` need not open one for each call.
    :return: a handle. ``with install(): …`` holds for the block, and nests in what was installed
        before; ``handle.uninstall()`` ends it.
    :raises RuntimeError: if a ``with`` block of another thread holds another auth, or if the block
        of this one would nest in what another thread installed: one of the two would send the
        other's token. Use :func:`acting_as` there.
    :raises TypeError: if ``auth`` is no :class:`CaveAuth`.

    Sessions that have a :class:`CaveAdapter` mounted keep theirs. A secret file that can't be
    used is logged once as a warning and the request goes out unsigned. With the variable
    ``CAVE_AUTH_DISABLE=1`` nothing is installed.

    >>> with install(CaveAuth(hosts=["cave.example.org"])) as installation:
    ...     installation.auth.trusts("https://cave.example.org/")
    True
    >>> is_installed()
    False
    """
    installation = Installation(checked(auth), keep_alive)
    if disabled():
        return installation
    log_decisions()
    with _lock:
        _refuse_other_threads(installation, [each for each in _stack if each._is_block])
        lasting = next((each for each in _stack if not each._is_block), None)
        if lasting is not None:
            _stack.remove(lasting)
        installation._replaced = lasting
        _stack.append(installation)
        _update()
    _tell_bridges()
    return installation


def uninstall() -> None:
    """Stop signing; ``requests`` is then as it was. Harmless if nothing is installed.

    >>> uninstall()
    """
    with _lock:
        for installation in _stack:
            installation._ended = True
        _stack.clear()
        _update()
    _tell_bridges()


def is_installed() -> bool:
    """Whether the requests of every session are signed.

    >>> is_installed()
    False
    """
    return _active is not None


def activate() -> None:
    """What an enabled environment and ``cave-auth run`` do; it gives way to any other auth."""
    if not is_installed():
        install()._gives_way = True


@contextlib.contextmanager
def installed(auth: CaveAuth | None = None, *, keep_alive: bool = True) -> Iterator[CaveAuth]:
    """The same as ``with install(auth)``, but for the auth as its value; goes with release 1.0.

    >>> with installed(CaveAuth(hosts=["cave.example.org"])) as auth:
    ...     auth.trusts("https://cave.example.org/")
    True
    """
    with install(auth, keep_alive=keep_alive) as installation:
        yield installation.auth


@contextlib.contextmanager
def acting_as(auth: CaveAuth) -> Iterator[CaveAuth]:
    """The identity of this thread or task, for services that act for many users.

    :param auth: what the requests of this context are signed with, in place of what is installed.
    :raises RuntimeError: if nothing is installed: the requests would go out unsigned.
    :raises TypeError: if ``auth`` is no :class:`CaveAuth`.

    >>> with install(), acting_as(CaveAuth("0123456789abcdef")):
    ...     pass    # what is requested here goes out with that token
    """
    if not is_installed() and not disabled():
        raise RuntimeError("acting_as() works where install() is in effect: call install() first.")
    before = _acting.set(checked(auth))
    try:
        yield auth
    finally:
        _acting.reset(before)


def _in_effect() -> Identity | None:
    """What a request of this thread or task is signed with; None: nothing is installed."""
    active = _active
    if active is None or (acting := _acting.get()) is None:
        return active
    return Identity(acting, active.keep_alive)


_patches = Patches(_in_effect)


def _nest(block: Installation, below: Installation | None) -> None:
    """Put a block above what it would have replaced outside of one; called with the lock held."""
    if block not in _stack:  # another thread has installed something meanwhile
        _stack.append(block)
    if below and not below._ended and below not in _stack:
        _stack.insert(_stack.index(block), below)
    _update()


def _refuse_other_threads(new: Installation, others: list[Installation]) -> None:
    """Let no thread sign with what another one has in effect; called with the lock held."""
    if any(
        each._thread != new._thread and each.auth != new.auth and not each._gives_way
        for each in others
    ):
        raise RuntimeError(
            "Another thread has another auth in effect, which holds for the whole process. For an "
            "identity of each thread or task, call install() once, and use `with acting_as(auth)`."
        )


def _update() -> None:
    """Bring the hooks in line with what is installed; called with the lock held."""
    global _active
    _active = Identity(_stack[-1].auth, _stack[-1].keep_alive) if _stack else None
    if _active is None:
        _patches.remove()
    else:
        _patches.apply()


def _tell_bridges() -> None:
    """Let other libraries find our tokens, or not; without the lock, for they may log."""
    if _active is None:
        tools.detach()
    else:
        tools.attach(lambda: now.auth if (now := _in_effect()) else None)


def _renew_lock() -> None:
    """In a forked child: a thread of the parent may have held the lock."""
    global _lock
    _lock = threading.RLock()


after_fork(_renew_lock)
on_reset(uninstall)
