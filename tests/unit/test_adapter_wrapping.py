"""A ``CaveAdapter`` that wraps another adapter; plain http and proxies; stubs throughout."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import requests
import responses
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.util import Retry

from cave_auth_adapter import CaveAdapter, CaveAuth, mount

from ..support.adapters import around, session_with
from ..support.stub import BEARER, CAVE, TOKEN, Answer, StubAdapter, holds

pytestmark = pytest.mark.usefixtures("saved")

PROXY = "http://proxy.example.org:3128"


class Odd(BaseAdapter):
    """An adapter with an unusual signature of ``send()``."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = StubAdapter()
        self.got: dict[str, Any] = {}

    def send(self, **kwargs: Any) -> requests.Response:
        raise NotImplementedError

    def close(self) -> None:
        pass


class NamedOnly(Odd):
    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        self.got = kwargs
        return self.inner.send(request)


class Positional(Odd):
    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        self.got = {"stream": stream, "timeout": timeout, "verify": verify, "proxies": proxies}
        return self.inner.send(request)


class Splat(Odd):
    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        self.got = kwargs
        return self.inner.send(request)


@pytest.mark.parametrize("kind", [NamedOnly, Positional, Splat])
def test_a_wrapped_adapter_gets_the_sessions_arguments(kind: type[Odd]) -> None:
    odd = kind()
    around(odd).get(CAVE, timeout=7, stream=True, verify=False)
    assert (odd.got["timeout"], odd.got["stream"], odd.got["verify"]) == (7, True, False)
    assert odd.inner.sent[0].headers["Authorization"] == BEARER


class Tracing(Odd):
    """Adds two headers, one of them with the token, as a tracer may."""

    def send(self, request: Any, **kwargs: Any) -> requests.Response:
        request.headers.update({"If-None-Match": "1", "X-Trace": request.headers["Authorization"]})
        return self.inner.send(request)


def test_a_header_that_an_adapter_adds_is_shown_unless_it_has_the_token() -> None:
    shown = around(Tracing()).get(CAVE).request.headers
    assert shown["If-None-Match"] == "1"
    assert "X-Trace" not in shown


class InUrl(Odd):
    """Moves the token into the URL, as old services want it."""

    def send(self, request: Any, **kwargs: Any) -> requests.Response:
        request.url += f"?middle_auth_token={TOKEN}"
        request.method = "POST"
        return self.inner.send(request)


def test_a_url_that_an_adapter_changes_is_shown_unless_it_has_the_token() -> None:
    odd = InUrl()
    shown = around(odd).get(CAVE).request
    assert TOKEN in odd.inner.sent[0].url
    assert (shown.method, shown.url) == ("POST", f"{CAVE}/")


def test_positional_arguments_are_passed_on() -> None:
    odd = Positional()
    request = requests.Request("GET", CAVE).prepare()
    CaveAdapter(wrapped=odd).send(request, True, 7, False, None, {"https": PROXY})
    assert odd.got == {"stream": True, "timeout": 7, "verify": False, "proxies": {"https": PROXY}}


class TestPlainHttp:
    URL = "http://localhost:8000/"
    AUTH = CaveAuth(TOKEN, hosts=["http://localhost:8000"])

    def test_loopback_is_signed(self, web: responses.RequestsMock) -> None:
        web.get(self.URL)
        mount(requests.Session(), self.AUTH).get(self.URL)
        assert web.calls[0].request.headers["Authorization"] == BEARER

    def test_nothing_is_signed_through_an_unknown_adapter(self) -> None:
        """It may have a proxy of its own."""
        stub = StubAdapter()
        around(stub, self.AUTH).get(self.URL)
        assert not holds(TOKEN, *stub.sent)

    def test_nothing_is_signed_through_a_proxy_from_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", PROXY)
        stub = StubAdapter(Answer(401))
        around(stub, self.AUTH).get(self.URL)
        assert [holds(TOKEN, sent) for sent in stub.sent] == [False]

    @pytest.mark.parametrize(
        "proxies", [{"http": PROXY}, {"all": PROXY}, {"http://localhost": PROXY}]
    )
    def test_nothing_is_signed_through_a_proxy_given_in_code(self, proxies: dict[str, str]) -> None:
        stub = StubAdapter(Answer(401))
        around(stub, self.AUTH).get(self.URL, proxies=proxies)
        assert [holds(TOKEN, sent) for sent in stub.sent] == [False]

    def test_nothing_is_signed_through_a_proxy_given_by_position(self) -> None:
        odd = Positional()
        request = requests.Request("GET", self.URL).prepare()
        adapter = CaveAdapter(self.AUTH, wrapped=odd)
        adapter.send(request, False, None, True, None, {"http": PROXY})
        assert not holds(TOKEN, *odd.inner.sent)


class TestWrapping:
    """The attributes of a wrapped adapter are read and set through the wrapping one."""

    def test_the_wrapped_adapters_settings_can_be_read(self) -> None:
        inner = HTTPAdapter(max_retries=Retry(7), pool_maxsize=3)
        outer = CaveAdapter(wrapped=inner)
        assert outer.max_retries is inner.max_retries
        assert outer.poolmanager is inner.poolmanager
        assert outer.config is inner.config

    def test_a_setting_changes_the_wrapped_adapter(self) -> None:
        inner = HTTPAdapter()
        outer = CaveAdapter(wrapped=inner)
        outer.max_retries = Retry(7)
        assert inner.max_retries.total == 7
        assert "max_retries" not in vars(outer)

    def test_other_attributes_of_the_wrapped_adapter_can_be_read(self) -> None:
        stub = StubAdapter()
        outer = CaveAdapter(wrapped=stub)
        assert outer.sent is stub.sent
        with pytest.raises(AttributeError):
            outer.no_such_thing  # noqa: B018

    def test_an_unknown_attribute_raises_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="no_such_thing"):
            CaveAdapter().no_such_thing  # noqa: B018

    def test_options_of_http_adapter_are_accepted(self) -> None:
        adapter = CaveAdapter(max_retries=3, pool_connections=5, pool_maxsize=7, pool_block=True)
        assert adapter.max_retries.total == 3
        assert adapter.poolmanager.connection_pool_kw == {"maxsize": 7, "block": True}

    def test_options_beside_a_wrapped_adapter_are_refused(self) -> None:
        with pytest.raises(TypeError, match="max_retries, pool_maxsize: pass these to the wrapped"):
            CaveAdapter(wrapped=HTTPAdapter(), pool_maxsize=7, max_retries=3)

    def test_an_unknown_option_is_refused(self) -> None:
        with pytest.raises(TypeError, match="no_such_option"):
            CaveAdapter(no_such_option=1)

    def test_closing_closes_the_wrapped_adapter(self) -> None:
        stub = StubAdapter()
        around(stub).close()
        assert stub.closed == 2  # mounted on two prefixes, as requests has it

    def test_closing_closes_its_own_connections(self) -> None:
        adapter = CaveAdapter()
        adapter.poolmanager.connection_from_url(CAVE)
        adapter.close()
        assert len(adapter.poolmanager.pools) == 0

    @pytest.mark.parametrize(
        "clone", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))]
    )
    def test_a_copy_keeps_its_auth_and_options(self, clone: Any) -> None:
        twin = clone(CaveAdapter(CaveAuth(TOKEN), max_retries=3, pool_maxsize=7))
        assert type(twin) is CaveAdapter
        assert twin.auth == CaveAuth(TOKEN)
        assert twin.wrapped is None
        assert twin.max_retries.total == 3
        assert twin.poolmanager.connection_pool_kw["maxsize"] == 7

    @pytest.mark.parametrize(
        "clone", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))]
    )
    def test_a_copy_keeps_the_wrapped_adapter(self, clone: Any) -> None:
        twin = clone(CaveAdapter(wrapped=HTTPAdapter(max_retries=3)))
        assert type(twin) is CaveAdapter
        assert twin.auth == CaveAuth()
        assert type(twin.wrapped) is HTTPAdapter
        assert twin.max_retries.total == 3

    def test_a_deep_copy_ignores_the_wrapped_adapters_deepcopy(self) -> None:
        """A special method of the wrapped adapter must not replace ours."""

        class Shared(HTTPAdapter):
            def __deepcopy__(self, memo: Any) -> HTTPAdapter:
                return self

        assert type(copy.deepcopy(CaveAdapter(wrapped=Shared()))) is CaveAdapter

    def test_a_session_with_it_can_be_pickled(self) -> None:
        twin = pickle.loads(pickle.dumps(session_with(CaveAdapter(wrapped=HTTPAdapter()))))
        assert isinstance(twin.adapters["https://"], CaveAdapter)

    def test_repr(self) -> None:
        assert repr(CaveAdapter()) == "CaveAdapter(CaveAuth())"
        assert "wrapped=<" in repr(CaveAdapter(wrapped=HTTPAdapter()))
