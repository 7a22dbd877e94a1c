"""Other code wraps the methods of the adapter that ``session.get_adapter()`` returns."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
import requests

from cave_auth_adapter import acting_as, uninstall

from ..support.doors import session_through
from ..support.installing import OTHER
from ..support.stub import CAVE, FOREIGN, StubAdapter

pytestmark = pytest.mark.usefixtures("saved")


def session_and_stub(door: str) -> tuple[requests.Session, StubAdapter]:
    session, stub = requests.Session(), StubAdapter()
    session.mount("https://", stub)
    return session_through(door, session=session), stub


def wrap_send(adapter: Any) -> list[str]:
    """Wrap ``send``, as code does that logs or counts requests."""
    send, seen = adapter.send, []

    def counting(request: requests.PreparedRequest, **options: Any) -> requests.Response:
        seen.append(request.url or "")
        response: requests.Response = send(request, **options)
        return response

    adapter.send = counting
    return seen


@pytest.mark.parametrize("door", ["mount", "install"])
class TestWrappedMethods:
    def test_a_wrapped_send_sees_each_request_once(self, door: str) -> None:
        session, stub = session_and_stub(door)
        seen = wrap_send(session.get_adapter(CAVE))
        assert session.get(f"{CAVE}/a").ok
        assert session.get(f"{FOREIGN}/b").ok
        assert seen == [f"{CAVE}/a", f"{FOREIGN}/b"]
        assert ["Authorization" in sent.headers for sent in stub.sent] == [True, False]

    def test_two_programs_may_wrap_it(self, door: str) -> None:
        session, stub = session_and_stub(door)
        first, second = (wrap_send(session.get_adapter(CAVE)) for _ in range(2))
        assert session.get(f"{CAVE}/a").ok
        assert first == second == [f"{CAVE}/a"]
        assert "Authorization" in stub.sent[0].headers

    def test_one_adapter_may_be_wrapped_twice(self, door: str) -> None:
        session, stub = session_and_stub(door)
        adapter = session.get_adapter(CAVE)
        first, second = wrap_send(adapter), wrap_send(adapter)
        assert session.get(f"{CAVE}/a").ok
        assert adapter.send(requests.Request("GET", f"{CAVE}/b").prepare()).ok
        assert first == second == [f"{CAVE}/a", f"{CAVE}/b"]
        assert len(stub.sent) == 2

    def test_monkeypatch_restores_it(self, door: str, monkeypatch: pytest.MonkeyPatch) -> None:
        session, stub = session_and_stub(door)
        with monkeypatch.context() as patch:
            patch.setattr(session.get_adapter(CAVE), "send", lambda *_, **__: requests.Response())
            session.get(CAVE)
            assert stub.sent == []
        assert session.get(CAVE).ok
        assert len(stub.sent) == 1
        assert "send" not in vars(stub)

    @pytest.mark.parametrize("name", ["send", "close", "max_retries"])
    def test_mock_patches_and_restores_an_attribute(self, door: str, name: str) -> None:
        session, stub = session_and_stub(door)
        before = getattr(stub, name)
        with mock.patch.object(session.get_adapter(CAVE), name) as patched:
            now = session.get_adapter(CAVE)
            assert patched in (getattr(stub, name), getattr(now, name))
        assert getattr(stub, name) == before
        assert session.get(CAVE).ok

    def test_a_wrapped_close_closes_once(self, door: str) -> None:
        session, stub = session_and_stub(door)
        adapter: Any = session.get_adapter(CAVE)
        closed = mock.Mock(side_effect=adapter.close)
        adapter.close = closed
        session.get_adapter(CAVE).close()
        assert (closed.call_count, stub.closed) == (1, 1)


def test_a_wrapped_send_works_for_another_identity_and_after_uninstall() -> None:
    session, stub = session_and_stub("install")
    seen = wrap_send(session.get_adapter(CAVE))
    with acting_as(OTHER):
        assert session.get(f"{CAVE}/a").ok
    uninstall()
    assert session.get(f"{CAVE}/b").ok
    assert seen == [f"{CAVE}/a", f"{CAVE}/b"]
    assert len(stub.sent) == 2
