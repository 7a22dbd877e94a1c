"""Mock CAVE's protected services with the library ``responses``."""

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

if TYPE_CHECKING:  # only the extra `testing` has it; the other fixtures don't need it
    from responses import CallList, RequestsMock

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# The pages that browsers are redirected to. They answer 200 with HTML, which fools many programs.
_PAGES = re.compile(r"https://[^/?#]+/sticky_auth/api/v1/(authorize|tos/\d+/accept)(\?|$)")
_DEFAULT_AUTH_SERVER = "global.daf-apis.com"

Callback = Callable[[PreparedRequest], tuple[int, Mapping[str, str], "str | bytes"]]


class CaveResponses:
    """Mock services that answer as CAVE's protected services do, in this process.

    A request that the service would refuse gets exactly its refusal: 302 to the login page, 401,
    400 or 403. Other requests get the answer that you pass to :meth:`protect`. Requests to any
    other URL fail with a ``ConnectionError``, unless you register it with :attr:`mock`.

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

    token: str  #: an accepted token, of a user who may do everything
    mock: RequestsMock  #: the mock; for other servers: ``cave_responses.mock.get(url)``

    def __init__(self, mock: RequestsMock, *, auth_server: str | None = None) -> None:
        """Answer with an active mock.

        :param auth_server: the auth server of the refusals; None: that of the host's deployment, or
            that of MICrONS for an unknown host.
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
        """The requests and their answers."""
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
        """Answer requests to a URL, of any method, if their token is allowed.

        Protecting a URL again replaces its answer.

        :param url: a URL. With a query it matches only this query; without one, any. A pattern is
            searched for in the URL.
        :param dataset: the dataset that the user needs a permission on.
        :param permission: the permission on that dataset.
        :param terms: the name of the terms of service of that dataset.
        :param group: a group that the user needs to be in.
        :param json: the answer; or ``body``, ``status`` and ``headers``.
        :param callback: makes the answer, like a callback of ``responses``.
        :raises ValueError: for terms without a dataset.
        """
        if terms is not None and dataset is None:
            raise ValueError("terms= are the terms of a dataset: pass dataset=, too")
        needs = Needs(dataset, permission, terms, self._terms_id(terms), group)
        given = _answer(json, body, status, headers or {})

        def answer(request: PreparedRequest) -> tuple[int, Mapping[str, str], str | bytes]:
            self._answered.append(request)
            visit = Visit(request, self._sticky_auth(request))
            refusal = judge(visit, self._accounts, needs)
            status, told, content = refusal or (callback(request) if callback else given)
            # RFC 9110, section 9.3.2. `responses` would send a body, and requests would fail.
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

        :param token: the token; None: a new one. For a token that is accepted already, the user
            changes.
        :param permissions: dataset -> permissions, as ``{"minnie65": ["view"]}``. None: all; the
            same for ``groups`` and ``terms``.
        :param groups: the groups that the user is in.
        :param terms: the names of the terms of service that the user has accepted.
        """
        token = token or secrets.token_hex(16)
        self._accounts[token] = Account(permissions, groups, terms)
        return token

    def revoke(self, token: str | None = None) -> None:
        """Stop accepting a token.

        :param token: None: :attr:`token`.
        :raises KeyError: if it was not accepted.
        """
        del self._accounts[token or self.token]

    def assert_no_token_elsewhere(self, *tokens: str) -> None:
        """Fail if a token was sent to a URL that is not protected, or if no request was sent there.

        :param tokens: more tokens to look for, beside the accepted ones. Any bearer token or
            ``middle_auth_token`` is found, too.
        :raises AssertionError: with the requests and the places, but not the token.
        """
        __tracebackhide__ = True
        elsewhere = [
            _recorded(call.request)
            for call in self.calls
            if not any(call.request is answered for answered in self._answered)
        ]
        assert_bare(elsewhere, {*self._accounts, self.token, *tokens})

    def _terms_id(self, terms: str | None) -> int:
        """The number of terms of service: from 1, in order of appearance."""
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
