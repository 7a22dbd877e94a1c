"""Protected services without a server, on top of the library ``responses``."""

from __future__ import annotations

import json as json_module
import re
import secrets
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from requests import PreparedRequest

from ..origins import auth_server_of, parse_origin
from ..sandbox import RecordedRequest
from .guard import Account, Answer, Needs, Visit, judge
from .traces import assert_bare

if TYPE_CHECKING:  # of the extra `testing`; the other fixtures do without it
    from responses import CallList, RequestsMock

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# What a browser is sent to. Its own answer is HTML with status 200, which fools many a program.
_PAGES = re.compile(r"https://[^/?#]+/sticky_auth/api/v1/(authorize|tos/\d+/accept)(\?|$)")
_DEFAULT_AUTH_SERVER = "global.daf-apis.com"

Callback = Callable[[PreparedRequest], tuple[int, Mapping[str, str], "str | bytes"]]


class CaveResponses:
    """Services that answer as CAVE's protected services do, within this process.

    A request that the service would refuse gets the refusal, to the letter: 302 to the login
    page, 401, 400 or 403. Others get the answer that was given to :meth:`protect`. Requests to
    any other URL fail with a ``ConnectionError``, unless it is registered at :attr:`mock`.

    >>> import requests
    >>> cave_responses = getfixture("cave_responses")  # in a test: an argument of that name
    >>> url = "https://minnie.microns-daf.com/materialize/api/v3/version"
    >>> cave_responses.protect(url, json="5.2.0")
    >>> requests.get(url, headers={"Authorization": "Bearer " + cave_responses.token}).json()
    '5.2.0'
    >>> cave_responses.revoke()
    >>> answer = requests.get(url, headers={"Authorization": "Bearer " + cave_responses.token})
    >>> answer.status_code, answer.json()["error"]
    (401, 'invalid_token')
    """

    token: str  #: a token that is accepted, of a user who may do everything
    mock: RequestsMock  #: what answers; for other servers: ``cave_responses.mock.get(url)``

    def __init__(self, mock: RequestsMock, *, auth_server: str | None = None) -> None:
        """Answer by means of a mock that is active.

        :param auth_server: where refusals lead to; None: the auth server of the deployment that
            the service's host belongs to, and that of MICrONS for an unknown host.
        """
        self.mock = mock
        self._auth_server = auth_server
        self._accounts: dict[str, Account] = {}
        self._answered: list[PreparedRequest] = []
        self._terms: list[str] = []
        self.token = self.accept()
        mock.add_callback("GET", _PAGES, self._page, content_type=None)

    def __repr__(self) -> str:
        return f"<CaveResponses, {len(self._accounts)} tokens accepted>"

    @property
    def calls(self) -> CallList:
        """What was requested, and what was answered."""
        return self.mock.calls

    def protect(
        self,
        url: str | re.Pattern[str],
        *,
        dataset: str | None = None,
        permission: str = "view",
        terms: str | None = None,
        group: str | None = None,
        json: Any = None,
        body: str | bytes = "",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        callback: Callback | None = None,
    ) -> None:
        """Answer requests to a URL, of any method, if their token may pass.

        Protecting a URL again replaces what was there.

        :param url: with a query: that query alone; without: any. A pattern is searched for.
        :param dataset: what the user needs a permission on.
        :param permission: the permission on that dataset.
        :param terms: the name of the terms of service of that dataset.
        :param group: a group that the user needs to be in.
        :param json: the answer; or ``body``, ``status`` and ``headers``.
        :param callback: makes the answer, as a callback of ``responses`` does.
        :raises ValueError: for terms without a dataset, which they belong to.
        """
        if terms is not None and dataset is None:
            raise ValueError("terms= are the terms of a dataset: give dataset= too")
        needs = Needs(dataset, permission, terms, self._terms_id(terms), group)
        given = _answer(json, body, status, headers or {})

        def answer(request: PreparedRequest) -> tuple[int, Mapping[str, str], str | bytes]:
            self._answered.append(request)
            visit = Visit(request, self._sticky_auth(request))
            refusal = judge(visit, self._accounts, needs)
            status, told, content = refusal or (callback(request) if callback else given)
            # RFC 9110, section 9.3.2. `responses` would send it, and requests fail over it.
            return status, told, "" if request.method == "HEAD" else content

        for method in _METHODS:
            self.mock.remove(method, url)
            self.mock.add_callback(method, url, answer, content_type=None)

    def accept(
        self,
        token: str | None = None,
        *,
        permissions: Mapping[str, Collection[str]] | None = None,
        groups: Collection[str] | None = None,
        terms: Collection[str] | None = None,
    ) -> str:
        """Accept a token from now on, and return it.

        :param token: None: a new one. One that is accepted already: its user changes.
        :param permissions: dataset -> permissions, as ``{"minnie65": ["view"]}``. None: all, and
            so for the next two.
        :param groups: the groups that the user is in.
        :param terms: the names of the terms of service that the user has accepted.
        """
        token = token or secrets.token_hex(16)
        self._accounts[token] = Account(permissions, groups, terms)
        return token

    def revoke(self, token: str | None = None) -> None:
        """Accept a token no longer.

        :param token: None: :attr:`token`.
        :raises KeyError: if it was not accepted.
        """
        del self._accounts[token or self.token]

    def assert_no_token_elsewhere(self, *tokens: str) -> None:
        """Fail if a token was sent to a URL that is not protected, or if nothing was sent there.

        :param tokens: what to look for besides the tokens that are accepted. A bearer token or a
            ``middle_auth_token`` is found whatever its value.
        :raises AssertionError: that names the requests and the places, and not the token.
        """
        __tracebackhide__ = True
        elsewhere = [
            _recorded(call.request)
            for call in self.calls
            if not any(call.request is answered for answered in self._answered)
        ]
        assert_bare(elsewhere, {*self._accounts, self.token, *tokens})

    def _terms_id(self, terms: str | None) -> int:
        """Terms of service are numbered from 1 as they appear."""
        if terms is None:
            return 0
        if terms not in self._terms:
            self._terms.append(terms)
        return self._terms.index(terms) + 1

    def _sticky_auth(self, request: PreparedRequest) -> str:
        origin = parse_origin(request.url or "")
        known = auth_server_of(origin) if origin else None
        return f"https://{self._auth_server or known or _DEFAULT_AUTH_SERVER}/sticky_auth"

    def _page(self, request: PreparedRequest) -> Answer:
        self._answered.append(request)
        html = {"Content-Type": "text/html; charset=utf-8"}
        return Answer(200, html, "<!doctype html><title>Sign in</title><p>Sign in with Google")


def _answer(json: Any, body: str | bytes, status: int, headers: Mapping[str, str]) -> Answer:
    if json is not None:
        headers = {"Content-Type": "application/json", **headers}
        body = json_module.dumps(json)
    return Answer(status, {"Content-Type": "text/plain", **headers}, body)


def _recorded(request: PreparedRequest) -> RecordedRequest:
    body = request.body if isinstance(request.body, str | bytes) else b""
    return RecordedRequest(
        "",
        request.method or "",
        request.url or "",
        [(name, _text(value)) for name, value in request.headers.items()],
        body.encode() if isinstance(body, str) else body,
    )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
