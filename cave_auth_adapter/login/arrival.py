"""How a token comes: with the browser, by a paste, or from the caller."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from typing import Protocol
from urllib.parse import urlencode

from ..errors import LoginFailed
from ..tokens import check_token
from ..words import span
from . import pages
from .callback import Callback, CallbackServer
from .dialogue import Dialogue
from .pages import Page
from .paste import token_in_paste
from .prompt import hidden_line

_PROMPT = "Paste it here (not shown): "


class Brought(Protocol):
    """A token that somebody brought, and a way to show them what happens with it.

    :ivar pasted: whether it was pasted, so that another paste may follow.
    """

    pasted: bool

    @property
    def token(self) -> str: ...

    def show(self, page: Page) -> None: ...


class Given:
    """A token that came without a browser; its bearer sees the terminal."""

    def __init__(self, token: str, pasted: bool = False):
        self.token, self.pasted = token, pasted

    def show(self, page: Page) -> None:
        """Do nothing: there is no browser to show a page in."""

    def __repr__(self) -> str:
        return "<a token that was given>"


class Arrivals(Protocol):
    """The place where tokens come in."""

    def wait(self) -> Brought:
        """The next token.

        :raises InvalidToken: what was pasted holds none; there may be another one.
        :raises LoginFailed: nobody came in time, or nobody will.
        """


def login_address(server: str, target: str) -> str:
    """The page at which a person logs in, and which then brings the token to ``target``."""
    return f"{server}/sticky_auth/api/v1/authorize?{urlencode({'redirect': target})}"


@contextlib.contextmanager
def arrivals(
    server: str, talk: Dialogue, *, token: str | None, in_browser: bool, timeout: float
) -> Iterator[Arrivals]:
    """Open the place where a token comes in, and say how to bring one.

    :param timeout: how long to wait for the browser, in seconds.
    """
    if token is not None:
        yield _FromCaller(token)
        return
    if not in_browser and not talk.asks:
        raise LoginFailed(
            "There is no browser here and nobody to ask. Give a token on stdin: "
            "cave-auth login --token-stdin"
        )
    # The port stays ours until the end, without a browser here, too: somebody else who listened
    # there could receive the token of a browser on this computer.
    with CallbackServer() as callbacks:
        address = login_address(server, callbacks.address)
        if in_browser:
            yield _WithBrowser(callbacks, talk, address, timeout)
            return
        talk.show_address(address, opened=False)
        talk.tell(talk.how_to_paste(server))
        if talk.on_terminal:
            yield _AtPrompt(callbacks, talk)
        else:
            with _OtherPrompt(callbacks, talk) as prompt:
                yield prompt


class _FromCaller:
    def __init__(self, token: str):
        self._token = token

    def wait(self) -> Brought:
        return Given(check_token(self._token, "the token"))


class _WithBrowser:
    """A browser that is opened here; a paste is accepted meanwhile."""

    def __init__(self, callbacks: CallbackServer, talk: Dialogue, address: str, timeout: float):
        self._callbacks, self._talk, self._timeout = callbacks, talk, timeout
        self._pasting = talk.on_terminal
        talk.show_address(address, opened=True)
        if self._pasting:
            talk.tell(
                "Does it end on a page that it can't load? Paste the address of that page here\n"
                "(not shown). Without a browser: --no-browser"
            )
        self._opening = _Opening(address)

    def wait(self) -> Brought:
        while True:
            try:
                with hidden_line() if self._pasting else contextlib.nullcontext() as line:
                    found = self._callbacks.wait(self._timeout, self._tick, line)
            except EOFError:
                self._pasting = False
                continue
            finally:
                self._talk.waited()
            if found is None:
                raise LoginFailed(
                    f"Nobody logged in within {span(self._timeout)}; nothing was saved. Try "
                    "again, or add --no-browser to log in with any browser elsewhere."
                )
            if isinstance(found, Callback):
                return found
            if found.strip():
                return Given(token_in_paste(found, self._callbacks.address), pasted=True)

    def _tick(self, left: float) -> None:
        if self._opening.failed():
            self._talk.waited()
            self._talk.warn("No browser could be opened here. Open the address above in any.")
        self._talk.waiting(left)


class _Opening:
    """A browser that is being opened, by a command that may fail, or last as long as it does."""

    def __init__(self, address: str):
        self._address = address
        self._failed = False
        threading.Thread(target=self._open, name="cave-auth browser", daemon=True).start()

    def failed(self) -> bool:
        """Whether it failed; says so once."""
        failed, self._failed = self._failed, False
        return failed

    def _open(self) -> None:
        import webbrowser

        try:
            self._failed = webbrowser.open(self._address) is False
        except (webbrowser.Error, OSError):
            self._failed = True


class _AtPrompt:
    """A terminal without a browser. One on this computer may come all the same."""

    def __init__(self, callbacks: CallbackServer, talk: Dialogue):
        self._callbacks, self._talk = callbacks, talk

    def wait(self) -> Brought:
        self._talk.prompt(_PROMPT)
        try:
            with hidden_line() as line:
                found = self._callbacks.wait(math.inf, None, line)
        except EOFError:
            raise LoginFailed("Nothing was pasted, and nothing was saved.") from None
        finally:
            self._talk.prompt("\n")
        if isinstance(found, str):
            return Given(token_in_paste(found, self._callbacks.address), pasted=True)
        assert found is not None  # noqa: S101 - it waits without end
        return found


class _OtherPrompt:
    """A place that asks in its own way, a notebook, and can do nothing else meanwhile."""

    def __init__(self, callbacks: CallbackServer, talk: Dialogue):
        self._callbacks, self._talk = callbacks, talk
        self._ended = False
        self._thread = threading.Thread(target=self._answer, name="cave-auth login", daemon=True)

    def __enter__(self) -> _OtherPrompt:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join()

    def wait(self) -> Brought:
        try:
            pasted = self._talk.ask_secret(_PROMPT)
        except EOFError:
            raise LoginFailed("Nothing was pasted, and nothing was saved.") from None
        return Given(token_in_paste(pasted, self._callbacks.address), pasted=True)

    def _answer(self) -> None:
        """Tell a browser on this computer to copy its address; it would wait for a page."""
        with contextlib.suppress(EOFError):
            found = self._callbacks.wait(math.inf, None, self)
            if isinstance(found, Callback):
                found.show(pages.COPY_ADDRESS)

    def read(self) -> None:
        """End the wait of the thread with the prompt."""
        if self._ended:
            raise EOFError

    def fileno(self) -> None:
        """There is nothing to wake the thread."""
