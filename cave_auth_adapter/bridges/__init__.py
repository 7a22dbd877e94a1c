"""Let other libraries find our tokens under :func:`install`, in the places where they look.

Each bridge waits for the import of its library, and replaces the place where it looks. All bridges
ask this module, which stops answering after ``uninstall()``.
"""

from __future__ import annotations

from importlib import metadata
from typing import Protocol

from ..runtime import logger


class Answers(Protocol):
    """Answers the bridges. Its methods must not raise."""

    def token_for(self, url: str) -> str | None:
        """The token for a URL; None if its host is not trusted, or there is no token."""

    def tell_missing(self, url: str) -> None:
        """Log what to do if a library needs a token and there is none."""


_answers: Answers | None = None


def attach(answers: Answers) -> None:
    """Answer the bridges from now on."""
    global _answers
    _answers = answers


def detach() -> None:
    """Stop answering."""
    global _answers
    _answers = None


def in_effect() -> Answers | None:
    """The answers in effect; None after ``uninstall()``."""
    return _answers


def token_for(url: str) -> str | None:
    """The token for a URL, for a library that looks for it."""
    return _answers.token_for(url) if _answers else None


def tell_missing(url: str) -> None:
    """Report that a library needs a token for a URL and found none."""
    if _answers:
        _answers.tell_missing(url)


def log_left_alone(
    distribution: str,
    loss: str = "finds tokens only in its own secret files",
    remedy: str = "Please report this, with its version.",
) -> None:
    """Log that a library differs from what its bridge expects, so that it is not changed.

    :param loss: what does not work.
    :param remedy: what to do about it.
    """
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        version = "of an unknown version"
    logger.warning("%s %s %s; everything else works. %s", distribution, version, loss, remedy)
