"""Where other libraries look for a token: what they find there under :func:`install`.

Each bridge waits for the import of its library, and stands in for what the library asks. All ask
here, so that one answer is given in one place, and none after ``uninstall()``.
"""

from __future__ import annotations

from importlib import metadata
from typing import Protocol

from ..runtime import logger


class Answers(Protocol):
    """What is answered; neither method may raise."""

    def token_for(self, url: str) -> str | None:
        """The token for a URL; None: its host is not trusted, or no token is known."""

    def tell_missing(self, url: str) -> None:
        """Log what to do about a token that a library needs and nobody has."""


_answers: Answers | None = None


def attach(answers: Answers) -> None:
    """Answer all bridges from now on."""
    global _answers
    _answers = answers


def detach() -> None:
    """Leave the libraries with what they find themselves."""
    global _answers
    _answers = None


def in_effect() -> Answers | None:
    """Who answers; None after ``uninstall()``."""
    return _answers


def token_for(url: str) -> str | None:
    """The token that a library finds here for a URL."""
    return _answers.token_for(url) if _answers else None


def tell_missing(url: str) -> None:
    """Tell that a library needs a token for a URL, and found none at all."""
    if _answers:
        _answers.tell_missing(url)


def log_left_alone(
    distribution: str,
    loss: str = "finds tokens only in its own secret files",
    remedy: str = "Please report this, with its version.",
) -> None:
    """Tell that a library has another shape than its bridge knows, so that it is left as it is.

    :param loss: what does not work.
    """
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        version = "of an unknown version"
    logger.warning("%s %s %s; everything else works. %s", distribution, version, loss, remedy)
