"""What a login says to a person, and asks: on a terminal, or in a notebook."""

from __future__ import annotations

import getpass
import sys

from ..errors import LoginFailed
from ..plain import is_rewritable
from ..words import say
from .places import below_notebook, elsewhere, in_notebook


class Dialogue:
    """On a terminal. Where nobody can answer, a question counts as answered with no.

    :param asks: whether to ask at all; None: if stdin is a terminal at which somebody can type.
    """

    def __init__(self, asks: bool | None = None) -> None:
        has_terminal = sys.stdin is not None and sys.stdin.isatty()
        self.asks = has_terminal and not below_notebook() if asks is None else asks
        self._progress = ""

    @property
    def on_terminal(self) -> bool:
        """Whether the person sits at a terminal that can be read while something else waits."""
        return self.asks and sys.stdin is not None and sys.stdin.isatty()

    def prompt(self, text: str) -> None:
        """Show what is asked for, on the line on which the answer is typed."""
        print(text, end="", file=sys.stderr, flush=True)

    def show_address(self, address: str, *, opened: bool) -> None:
        """Show where to log in.

        :param opened: whether a browser is about to show it anyway.
        """
        if opened:
            say("Your browser opens. If it does not, open this address in it:")
        else:
            say("Open this address in any browser and log in:")
        say(f"\n  {address}\n")

    def how_to_paste(self, server: str) -> str:
        """What to copy where the browser can't bring the token by itself."""
        how = elsewhere()
        if how is None:
            told = (
                "After you log in, your browser ends on a page that it may fail to load.\n"
                "Copy the address of that page, which begins with http://127.0.0.1."
            )
        else:
            told = (
                f"You work {how}, where your browser can't reach 127.0.0.1.\n"
                "So after you log in, it fails to load a page. Copy the address of that page."
            )
        return f"{told}\n(Or copy a token from {server}/sticky_auth/settings/tokens)"

    def tell(self, text: str, *, good: bool = False) -> None:
        """Tell something; ``good``: that it worked."""
        say(text, fg="green" if good else None)

    def warn(self, text: str) -> None:
        """Tell something that needs attention."""
        say(text, err=True, fg="yellow")

    def ask_secret(self, prompt: str) -> str:
        """Ask for a text that is not shown while it is typed or pasted.

        :raises EOFError: at the end of the input.
        """
        return getpass.getpass(prompt)

    def confirm(self, question: str) -> bool:
        """Ask a question whose answer is no unless the person says yes."""
        import click

        try:
            return self.asks and click.confirm(question, default=False, err=True)
        except click.Abort:  # which is Ctrl-C, or the end of the input
            raise KeyboardInterrupt from None

    def waiting(self, seconds: float) -> None:
        """Show that the browser is waited for, and how long still."""
        minutes, rest = divmod(round(seconds), 60)
        text = f"Waiting for your browser, {minutes}:{rest:02} left. Ctrl-C gives up."
        if is_rewritable(sys.stderr):
            print(f"\r{text}", end="", file=sys.stderr, flush=True)
        elif not self._progress:
            print(text, file=sys.stderr)
        self._progress = text

    def waited(self) -> None:
        """Take the progress away."""
        if self._progress and is_rewritable(sys.stderr):
            print("\r" + " " * len(self._progress), end="\r", file=sys.stderr, flush=True)
        self._progress = ""


class NotebookDialogue(Dialogue):
    """In a notebook: the address is a link, and questions are prompts below the cell."""

    def __init__(self) -> None:
        super().__init__(asks=True)

    @property
    def on_terminal(self) -> bool:
        return False

    def show_address(self, address: str, *, opened: bool) -> None:
        from html import escape

        from IPython.display import display

        # The page in the other tab gets neither a handle on the notebook nor its address.
        link = (
            f'<a href="{escape(address)}" target="_blank" rel="noopener noreferrer">'
            "Log in to CAVE</a>"
        )
        plain = f"Log in to CAVE: {address}"  # for a front end that is a terminal
        display({"text/html": link, "text/plain": plain}, raw=True)  # type: ignore[no-untyped-call]

    def how_to_paste(self, server: str) -> str:
        how = elsewhere()
        if how is None:
            return "Copy the address of the page where your browser ends, even if it fails to load."
        return (
            f"You work {how}, where your browser can't reach the kernel.\n"
            "Copy the address of the page that fails to load."
        )

    def ask_secret(self, prompt: str) -> str:
        try:
            return super().ask_secret(prompt)
        except NotImplementedError:  # IPython.core.error.StdinNotImplementedError
            raise LoginFailed(
                "This notebook runs without a person who could be asked, as with nbconvert or "
                "papermill. Log in first, in a terminal: cave-auth login"
            ) from None

    def confirm(self, question: str) -> bool:
        try:
            return input(f"{question} [y/N]: ").strip().lower() in ("y", "yes")
        except NotImplementedError:
            return False


def default_dialogue() -> Dialogue:
    """The dialogue for the place we are in."""
    return NotebookDialogue() if in_notebook() else Dialogue()
