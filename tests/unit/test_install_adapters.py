"""Under ``install()``, what ``session.get_adapter()`` returns passes for the session's adapter."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from cave_auth_adapter import CaveAdapter, acting_as, install, mount

from ..support.installing import BEARER_OTHER, OTHER, sent_by, stub_session
from ..support.stub import BEARER, CAVE, FOREIGN, StubAdapter

pytestmark = pytest.mark.usefixtures("saved")

Duplicate = Callable[[Any], Any]


class Patient(HTTPAdapter):
    """Somebody's adapter, with a setting of its own."""

    __attrs__ = (*HTTPAdapter.__attrs__, "patience")  # type: ignore[assignment]

    def __init__(self, patience: float = 1.0):
        self.patience = patience
        super().__init__()


def pickled(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


def test_it_has_the_class_of_the_sessions_adapter() -> None:
    session = requests.Session()
    session.mount("https://", Patient())
    install()
    adapter = session.get_adapter(CAVE)
    assert isinstance(adapter, Patient)
    assert isinstance(adapter, CaveAdapter)
    assert not isinstance(session.get_adapter(FOREIGN), CaveAdapter)


def test_it_equals_the_sessions_adapter() -> None:
    session = stub_session()
    install()
    first, own = session.get_adapter(CAVE), session.adapters["https://"]
    assert first == own
    assert own == first
    assert first == session.get_adapter(CAVE)
    assert first != StubAdapter()
    assert len({first, own}) == 1


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
def test_its_copy_is_one_of_the_sessions_adapter(duplicate: Duplicate) -> None:
    session = requests.Session()
    session.mount("https://", Patient(7.0))
    install()
    twin = duplicate(session.get_adapter(CAVE))
    assert type(twin) is Patient
    assert twin.patience == 7.0
    assert twin.poolmanager is not session.adapters["https://"].poolmanager  # type: ignore[attr-defined]


def test_mounted_on_another_session_it_signs_for_the_identity_in_effect() -> None:
    session, other = stub_session(), requests.Session()
    install()
    other.mount("https://", session.get_adapter(CAVE))
    with acting_as(OTHER):
        other.get(CAVE)
    other.get(CAVE)
    assert [sent.headers["Authorization"] for sent in sent_by(session)] == [BEARER_OTHER, BEARER]


def test_one_that_was_kept_signs_for_the_identity_in_effect() -> None:
    session = stub_session()
    request = requests.Request("GET", CAVE).prepare()
    with install() as installation:
        adapter = session.get_adapter(CAVE)
        with acting_as(OTHER):
            adapter.send(request)
        adapter.send(request)
        installation.uninstall()
        adapter.send(request)
    sent = [each.headers.get("Authorization") for each in sent_by(session)]
    assert sent == [BEARER_OTHER, BEARER, None]


@pytest.mark.parametrize("by_hand", [True, False])
def test_an_adapter_around_it_signs_for_its_own_auth(by_hand: bool) -> None:
    session, other = stub_session(), requests.Session()
    with install():
        adapter = session.get_adapter(CAVE)
        if by_hand:
            other.mount("https://", CaveAdapter(OTHER, wrapped=adapter))
        else:
            other.mount("https://", adapter)
            mount(other, OTHER)
        other.get(CAVE)
    other.get(CAVE)
    sent = [each.headers.get("Authorization") for each in sent_by(session)]
    assert sent == [BEARER_OTHER, BEARER_OTHER]
