"""Sending a request once more: whether its body allows it, and what to do with the first answer."""

from __future__ import annotations

import contextlib

from requests import PreparedRequest, RequestException, Response
from requests.exceptions import UnrewindableBodyError
from requests.utils import rewind_body
from urllib3.exceptions import HTTPError

_DRAIN_LIMIT = 1 << 16  # bytes of a refusal that are read so that its connection can be kept


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
    """Give the connection of an answer back to its pool; close it if the body is long.

    Adapters for tests make answers that have another kind of ``raw``, or none.
    """
    with contextlib.suppress(RequestException, HTTPError, OSError, AttributeError, TypeError):
        response.raw.read(_DRAIN_LIMIT, decode_content=False)
    with contextlib.suppress(AttributeError):
        response.close()
