"""A server that is not CAVE, to test that no token is sent there."""

from __future__ import annotations

from ..sandbox import RecordedRequest, Sandbox
from .traces import assert_bare


class ForeignServer:
    """A server that is not CAVE, and records the requests that it receives.

    It answers 200 to every path, with the request in JSON; `/redirect?to=URL` redirects. The
    sandbox's `data_server` has the same `/redirect`, so that a CAVE host can redirect here:
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
        """The requests to both addresses since the test began, oldest first."""
        ours = (self.url, self.plain_url)
        return [request for request in self._sandbox.requests() if request.server in ours]

    def assert_no_token(self, *tokens: str) -> None:
        """Fail if a token arrived, or if no request did: then the test would prove nothing.

        It finds each token that the sandbox has made, anywhere in a request (headers, Basic
        credentials, URL, body), any bearer token, and any cookie or parameter `middle_auth_token`.
        If your tool sends other bearer tokens to other servers, check :attr:`requests` instead.

        :param tokens: more tokens to look for.
        :raises AssertionError: with the requests and the places, but not the token.
        """
        __tracebackhide__ = True
        assert_bare(self.requests, {*self._sandbox.issued_tokens(), *tokens})

    def __repr__(self) -> str:
        return f"<ForeignServer at {self.url}>"
