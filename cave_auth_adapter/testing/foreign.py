"""A server that is not CAVE, for tests that no token arrives there."""

from __future__ import annotations

from ..sandbox import RecordedRequest, Sandbox
from .traces import assert_bare


class ForeignServer:
    """A server that has nothing to do with CAVE, and records what it receives.

    It answers 200 to every path, with the request in JSON; `/redirect?to=URL` redirects. The
    sandbox's `data_server` has the same `/redirect`, with which a CAVE host leads here:
    `f"{cave_sandbox.data_server}/redirect?to={foreign_server.url}"`.

    >>> import requests
    >>> foreign_server = getfixture("foreign_server")  # in a test: an argument of that name
    >>> requests.get(foreign_server.url).status_code
    200
    >>> foreign_server.assert_no_token()
    >>> requests.get(foreign_server.url, headers={"Authorization": "Bearer abc"}).status_code
    200
    >>> foreign_server.assert_no_token()
    Traceback (most recent call last):
    AssertionError: A token arrived at a server that is not CAVE:
      GET https://127.0.0.1:...: in the header Authorization
    """

    url: str  #: its address, with TLS
    plain_url: str  #: the same server without TLS

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.url = sandbox.foreign_server
        self.plain_url = sandbox.plain_server

    @property
    def requests(self) -> list[RecordedRequest]:
        """What arrived since the test began, at either address, oldest first."""
        ours = (self.url, self.plain_url)
        return [request for request in self._sandbox.requests() if request.server in ours]

    def assert_no_token(self, *tokens: str) -> None:
        """Fail if a token arrived, or if nothing did: then the test would show nothing.

        Found are: whatever token the sandbox ever gave out, anywhere in a request (headers, Basic
        credentials, URL, body); any bearer token; any cookie or parameter `middle_auth_token`.
        A tool that has a bearer token of its own for other servers looks through
        :attr:`requests` instead.

        :param tokens: other tokens to look for.
        :raises AssertionError: that names the requests and the places, and not the token.
        """
        __tracebackhide__ = True
        assert_bare(self.requests, {*self._sandbox.issued_tokens(), *tokens})

    def __repr__(self) -> str:
        return f"<ForeignServer at {self.url}>"
