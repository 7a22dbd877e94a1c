"""Talk to the user during a login: on a terminal, or in a notebook."""

from __future__ import annotations

import getpass
import sys

from ..plain import is_rewritable, one_line, writable
from ..words import fitted, say
from .places import below_notebook, elsewhere, in_notebook

_LAST_PAGE = "Paste the last page's address, even if it fails to load"


class Dialogue:
    """A dialogue on a terminal. If nobody can answer, the answer is no.

    :param asks: whether to ask questions; None: if stdin is a terminal that a user can type at.
    """

    paste_prompt = f"{_LAST_PAGE} (not shown): "

    def __init__(self, asks: bool | None = None) -> None:
        has_terminal = sys.stdin is not None and sys.stdin.isatty()
        self.asks = has_terminal and not below_notebook() if asks is None else asks
        self._progress = ""

    @property
    def on_terminal(self) -> bool:
        """Whether the user is at a terminal that can be read while we wait for a browser."""
        return self.asks and sys.stdin is not None and sys.stdin.isatty()

    def prompt(self, text: str) -> None:
        """Show a prompt; the answer is typed on the same line."""
        print(_fitted(text), end="", file=sys.stderr, flush=True)

    def show_address(self, address: str, *, opened: bool) -> None:
        """Show where to log in.

        :param opened: whether a browser is being opened with it.
        """
        if opened:
            say("Opening your browser. If it does not open, go to this address:")
        else:
            say("Open this address in any browser and log in:")
        say(f"\n  {address}\n")

    def hint(self, server: str) -> str:
        """What helps where the browser can't bring the token by itself."""
        token = f"(A token from {server}/sticky_auth/settings/tokens will do, too.)"
        return "\n".join([*_out_of_reach("this computer"), token])

    def tell(self, text: str, *, good: bool = False) -> None:
        """Show a message; ``good``: it is about a success."""
        say(text, fg="green" if good else None)

    def warn(self, text: str) -> None:
        """Show a message that needs attention."""
        say(text, err=True, fg="yellow")

    def ask_secret(self, prompt: str) -> str:
        """Ask for a text without showing it.

        :raises EOFError: at the end of the input.
        """
        return getpass.getpass(_fitted(prompt))

    def confirm(self, question: str) -> bool:
        """Ask a yes-or-no question; the default is no."""
        import click

        if not self.asks:
            return False
        text = _fitted(f"{question} [y/N]:")
        try:
            return click.confirm(text, prompt_suffix=" ", show_default=False, err=True)
        except click.Abort:  # Ctrl-C, or the end of the input
            raise KeyboardInterrupt from None

    def waiting(self, seconds: float) -> None:
        """Show the progress of waiting for the browser.

        :param seconds: the time that is left.
        """
        minutes, rest = divmod(round(seconds), 60)
        left = f"{minutes}:{rest:02}"
        texts = [
            f"Waiting for your browser, {left} left. Press Ctrl-C to stop.",
            f"Waiting, {left} left. Ctrl-C stops.",
            f"{left}, Ctrl-C stops",
        ]
        if is_rewritable(sys.stderr):
            text = one_line(texts, sys.stderr)
            # Spaces, because a line before may have been longer.
            print(f"\r{text:{len(self._progress)}}", end="", file=sys.stderr, flush=True)
            self._progress = text
        elif not self._progress:
            self._progress = texts[0]
            print(texts[0], file=sys.stderr)

    def waited(self) -> None:
        """Remove the progress."""
        if self._progress and is_rewritable(sys.stderr):
            print("\r" + " " * len(self._progress), end="\r", file=sys.stderr, flush=True)
        self._progress = ""


class NotebookDialogue(Dialogue):
    """A dialogue in a notebook: the address is a link, and questions are prompts below the cell."""

    paste_prompt = f"{_LAST_PAGE}: "  # a notebook shows dots

    def __init__(self) -> None:
        super().__init__(asks=True)

    @property
    def on_terminal(self) -> bool:
        return False

    def show_address(self, address: str, *, opened: bool) -> None:
        from html import escape

        from IPython.display import display

        # noopener, noreferrer: the login page must not get a handle on the notebook or its address.
        link = (
            f'<a href="{escape(address)}" target="_blank" rel="noopener noreferrer">'
            "Log in to CAVE</a>"
        )
        plain = f"Log in to CAVE: {address}"  # for a front end that is a terminal
        display({"text/html": link, "text/plain": plain}, raw=True)  # type: ignore[no-untyped-call]

    def hint(self, server: str) -> str:
        return "".join(_out_of_reach("the kernel"))

    def confirm(self, question: str) -> bool:
        try:
            return input(f"{question} [y/N]: ").strip().lower() in ("y", "yes")
        except NotImplementedError:  # there is nobody to ask, as with nbconvert: see arrival.py
            return False


def _fitted(prompt: str) -> str:
    """A prompt in lines that fit the terminal, and in characters that it can show."""
    space = " " if prompt.endswith(" ") else ""
    return writable(fitted(prompt.rstrip(" "), sys.stderr) + space, sys.stderr)


def _out_of_reach(what: str) -> list[str]:
    """A line on a browser that runs on another computer; none if we know of no other."""
    how = elsewhere()
    return [f"{how[0].upper()}{how[1:]}, your browser can't reach {what}."] if how else []


def default_dialogue() -> Dialogue:
    """The dialogue for a notebook or a terminal, as the case may be."""
    return NotebookDialogue() if in_notebook() else Dialogue()
