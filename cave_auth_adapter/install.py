"""``install()``: sign the requests of every session of the process, existing ones and new ones.

``install()`` wraps three methods of ``Session``. It replaces no class and no object, so it covers
existing sessions, subclasses, and modules that imported ``Session`` by name.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextvars import ContextVar

from cave_auth_startup import disabled

from .auth import CaveAuth, checked
from .runtime import after_fork, log_decisions, on_reset
from .sessions import Patches
from .standin import Identity


class Installation:
    """The handle that :func:`install` returns. In a ``with`` block, it lasts as long as the block.

    :ivar auth: the :class:`CaveAuth` that signs the requests.
    """

    def __init__(self, auth: CaveAuth, keep_alive: bool):
        self.auth = auth
        self.keep_alive = keep_alive
        self._thread = threading.get_ident()  # the thread that made it
        self._is_block = False  # whether it is in a `with` block
        self._is_replaceable = False  # whether any thread may replace it
        self._replaced: Installation | None = None
        self._ended = False

    def uninstall(self) -> None:
        """Uninstall it. The installation around it, if any, is in effect again."""
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


_lock = threading.RLock()  # reentrant: a signal handler may install something meanwhile
_stack: list[Installation] = []  # the last one is in effect
_active: Identity | None = None  # that of the last one; None: a leftover wrapper does nothing
_acting: ContextVar[CaveAuth | None] = ContextVar("cave_auth_acting", default=None)


def install(auth: CaveAuth | None = None, *, keep_alive: bool = True) -> Installation:
    """Sign the requests of every session in this process.

    :param auth: signs the requests; None: a :class:`CaveAuth` without arguments. Installing again
        replaces it.
    :param keep_alive: whether requests with the same token share connections to trusted hosts, so
        that ``requests.get`` does not open one for each call.
    :return: a handle. ``with install(): …`` lasts for the block; what was installed before is in
        effect again afterwards. ``handle.uninstall()`` uninstalls it.
    :raises RuntimeError: if another thread has installed another auth, and one of the two is in a
        ``with`` block: one thread would send the other's token. Use :func:`acting_as` there.
    :raises TypeError: if ``auth`` is not a :class:`CaveAuth`.

    Sessions with a mounted :class:`CaveAdapter` keep it. If a secret file can't be used, one
    warning is logged, and the request is sent unsigned. If the variable ``CAVE_AUTH_DISABLE`` is
    set to 1, nothing is installed.

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
    """Stop signing, and leave ``requests`` as it was before :func:`install`.

    It does nothing if nothing is installed.

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
    """Install for an enabled environment or ``cave-auth run``; any other install() replaces it."""
    if not is_installed():
        install()._is_replaceable = True


@contextlib.contextmanager
def installed(auth: CaveAuth | None = None, *, keep_alive: bool = True) -> Iterator[CaveAuth]:
    """Deprecated; removed in release 1.0. Use ``with install(auth)``, which yields the handle.

    It yields the auth.

    >>> with installed(CaveAuth(hosts=["cave.example.org"])) as auth:
    ...     auth.trusts("https://cave.example.org/")
    True
    """
    with install(auth, keep_alive=keep_alive) as installation:
        yield installation.auth


@contextlib.contextmanager
def acting_as(auth: CaveAuth) -> Iterator[CaveAuth]:
    """Use another auth in this thread or task, for services that act for many users.

    :param auth: signs the requests of this context, in place of the installed one.
    :raises RuntimeError: if nothing is installed: the requests would be sent unsigned.
    :raises TypeError: if ``auth`` is not a :class:`CaveAuth`.

    >>> with install(), acting_as(CaveAuth("0123456789abcdef")):
    ...     pass    # requests here carry that token
    """
    if not is_installed() and not disabled():
        raise RuntimeError("acting_as() needs install() to be in effect: call install() first.")
    before = _acting.set(checked(auth))
    try:
        yield auth
    finally:
        _acting.reset(before)


def _in_effect() -> Identity | None:
    """The identity of this thread or task; None if nothing is installed."""
    active = _active
    if active is None or (acting := _acting.get()) is None:
        return active
    return Identity(acting, active.keep_alive)


_patches = Patches(_in_effect)


def _nest(block: Installation, below: Installation | None) -> None:
    """Put a block above the installation that it replaced when it was made. Hold the lock."""
    if block not in _stack:  # another thread has installed something meanwhile
        _stack.append(block)
    if below and not below._ended and below not in _stack:
        _stack.insert(_stack.index(block), below)
    _update()


def _refuse_other_threads(new: Installation, others: list[Installation]) -> None:
    """Let no thread sign with the auth of another one. Hold the lock."""
    if any(
        each._thread != new._thread and each.auth != new.auth and not each._is_replaceable
        for each in others
    ):
        raise RuntimeError(
            "Another thread has installed another auth, for the whole process. To use one auth per "
            "thread or task, call install() once, and then `with acting_as(auth)`."
        )


def _update() -> None:
    """Apply or remove the wrappers, as the stack says. Hold the lock."""
    global _active
    _active = Identity(_stack[-1].auth, _stack[-1].keep_alive) if _stack else None
    if _active is None:
        _patches.remove()
    else:
        _patches.apply()


def _tell_bridges() -> None:
    """Let other libraries find our tokens, or not. Don't hold the lock: they may log."""
    from . import tools  # not needed by sessions that sign for themselves

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
