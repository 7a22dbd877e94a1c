"""Sending a request once more: whether its body allows it, and what to do with the first answer."""

from __future__ import annotations

import contextlib

from requests import PreparedRequest, Response
from requests.exceptions import UnrewindableBodyError
from requests.utils import rewind_body


def rewind(request: PreparedRequest) -> bool:
    """Make a request ready to be sent again; False if its body can't be replayed.

    Bytes and strings are as they were; a file goes back to where it was when the request was
    prepared; a generator is spent.
    """
    if request.body is None or isinstance(request.body, (bytes, str)):
        return True
    if not isinstance(request._body_position, int):
        return False
    try:
        rewind_body(request)
    except (UnrewindableBodyError, OSError, ValueError):  # ValueError: a file closed meanwhile
        return False
    return True


def discard(response: Response) -> None:
    """Be done with an answer, and with its connection.

    A server may be about to close it, with no word of that in the answer, and the next request
    would fail. Reading a body to its end for the sake of its connection can take for ever, too.

    Adapters for tests make answers that have another kind of ``raw``, or none.
    """
    with contextlib.suppress(OSError, AttributeError):
        response.close()
