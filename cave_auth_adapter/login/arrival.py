"""Wait for a token: from the browser, from a paste, or from the caller."""

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


class Brought(Protocol):
    """A token that has arrived, and a way to show the result to the user.

    :ivar pasted: whether it was pasted: then the user may try again.
    """

    pasted: bool

    @property
    def token(self) -> str: ...

    def show(self, page: Page) -> None: ...


class Given:
    """A token that came without a browser: the user sees the terminal."""

    def __init__(self, token: str, pasted: bool = False):
        self.token, self.pasted = token, pasted

    def show(self, page: Page) -> None:
        """Do nothing: there is no browser to show a page in."""

    def __repr__(self) -> str:
        return "<a token that was given>"


class Arrivals(Protocol):
    """A source of tokens during a login."""

    def wait(self) -> Brought:
        """Wait for the next token.

        :raises InvalidToken: what was pasted has no token; the user may paste again.
        :raises LoginFailed: no token came in time, or none will come.
        """


def login_address(server: str, target: str) -> str:
    """The login page, which redirects to ``target`` with the token."""
    return f"{server}/sticky_auth/api/v1/authorize?{urlencode({'redirect': target})}"


@contextlib.contextmanager
def arrivals(
    server: str, talk: Dialogue, *, token: str | None, in_browser: bool, timeout: float
) -> Iterator[Arrivals]:
    """Wait for tokens in the way that fits, and tell the user what to do.

    :param timeout: how long to wait for the browser, in seconds.
    """
    if token is not None:
        yield _FromCaller(token)
        return
    # Keep the port open even without a browser: another user who listened there could receive the
    # token from a browser on this computer.
    with CallbackServer() as callbacks:
        address = login_address(server, callbacks.address)
        if in_browser:
            yield _WithBrowser(callbacks, talk, address, timeout)
            return
        talk.show_address(address, opened=False)
        if hint := talk.hint(server):
            talk.tell(hint)
        if talk.on_terminal:
            yield _AtPrompt(callbacks, talk)
        else:
            with _OtherPrompt(callbacks, talk, server) as prompt:
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
                "Does it end on a page that it can't load? Paste the address of that page here "
                "(not shown).\nWithout a browser: --no-browser"
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
                    f"You did not log in within {span(self._timeout)}; nothing was saved. Try "
                    "again, or add --no-browser to use the browser of another computer."
                )
            if isinstance(found, Callback):
                return found
            if found.strip():
                return Given(token_in_paste(found, self._callbacks.address), pasted=True)

    def _tick(self, left: float) -> None:
        if self._opening.failed():
            self._talk.waited()
            self._talk.warn("No browser could be opened. Open the address above in any browser.")
        self._talk.waiting(left)


class _Opening:
    """Opens a browser in a thread: the command may fail, or last as long as the browser."""

    def __init__(self, address: str):
        self._address = address
        self._failed = False
        threading.Thread(target=self._open, name="cave-auth browser", daemon=True).start()

    def failed(self) -> bool:
        """Whether it failed; True only once."""
        failed, self._failed = self._failed, False
        return failed

    def _open(self) -> None:
        import webbrowser

        try:
            self._failed = webbrowser.open(self._address) is False
        except (webbrowser.Error, OSError):
            self._failed = True


class _AtPrompt:
    """A paste at the terminal; a browser on this computer may bring the token, too."""

    def __init__(self, callbacks: CallbackServer, talk: Dialogue):
        self._callbacks, self._talk = callbacks, talk

    def wait(self) -> Brought:
        self._talk.prompt(self._talk.paste_prompt)
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
    """A prompt that blocks, as in a notebook."""

    def __init__(self, callbacks: CallbackServer, talk: Dialogue, server: str):
        self._callbacks, self._talk, self._server = callbacks, talk, server
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
            pasted = self._talk.ask_secret(self._talk.paste_prompt)
        except EOFError:
            raise LoginFailed("Nothing was pasted, and nothing was saved.") from None
        except NotImplementedError:  # IPython.core.error.StdinNotImplementedError
            raise LoginFailed(
                "This notebook runs without a user to ask, as with nbconvert or papermill. Log in "
                f"first, in a terminal: cave-auth login {self._server.removeprefix('https://')}"
            ) from None
        return Given(token_in_paste(pasted, self._callbacks.address), pasted=True)

    def _answer(self) -> None:
        """Answer a browser on this computer with a page that says to copy its address."""
        with contextlib.suppress(EOFError):
            found = self._callbacks.wait(math.inf, None, self)
            if isinstance(found, Callback):
                found.show(pages.COPY_ADDRESS)

    def read(self) -> None:
        """Stop waiting when the prompt ends."""
        if self._ended:
            raise EOFError

    def fileno(self) -> None:
        """None: the thread can't be woken."""
