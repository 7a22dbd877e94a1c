"""Copies and pickles of sessions, adapters and auth objects, as dask and joblib make them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest
import requests
from requests.adapters import HTTPAdapter

from cave_auth_adapter import CaveAdapter, CaveAuth, install, mount, uninstall
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import Tokens

TOKEN = "0123456789abcdef0123456789abcdef"

duplicate = pytest.mark.parametrize(
    "duplicate",
    [
        *(
            pytest.param(
                lambda thing, version=version: pickle.loads(pickle.dumps(thing, version)),
                id=f"pickle {version}",
            )
            for version in range(pickle.HIGHEST_PROTOCOL + 1)
        ),
        pytest.param(lambda thing: pickle.loads(cloudpickle.dumps(thing)), id="cloudpickle"),
        pytest.param(copy.copy, id="copy"),
        pytest.param(copy.deepcopy, id="deepcopy"),
    ],
)
Duplicate = Callable[[Any], Any]


def with_auth() -> requests.Session:
    session = requests.Session()
    session.auth = CaveAuth()
    return session


def with_adapter() -> requests.Session:
    session = requests.Session()
    session.mount("https://", CaveAdapter(max_retries=2))
    return session


def with_mount() -> requests.Session:
    session = requests.Session()
    session.mount("https://", HTTPAdapter(max_retries=2))
    return mount(session)


def with_install() -> requests.Session:
    install()
    return requests.Session()


@duplicate
@pytest.mark.parametrize("make", [with_auth, with_adapter, with_mount, with_install])
def test_a_copy_of_a_session_signs(
    sandbox: Sandbox, tokens: Tokens, make: Callable[[], requests.Session], duplicate: Duplicate
) -> None:
    twin = duplicate(make())

    answer = twin.get(f"{sandbox.data_server}/echo")

    assert answer.json()["cookies"] == {"middle_auth_token": tokens.data}


@pytest.mark.parametrize("make", [with_auth, with_adapter, with_mount, with_install])
def test_a_used_session_pickles_without_a_token(
    sandbox: Sandbox, tokens: Tokens, make: Callable[[], requests.Session]
) -> None:
    session = make()
    assert session.get(f"{sandbox.data_server}/echo").ok

    assert not tokens.found_in(pickle.dumps(session))


@pytest.mark.parametrize("make", [with_auth, with_adapter, with_mount, with_install])
def test_an_answer_pickles_without_a_token(
    sandbox: Sandbox, tokens: Tokens, make: Callable[[], requests.Session]
) -> None:
    answer = make().get(f"{sandbox.data_server}/volume/sandbox/info")

    twin = pickle.loads(pickle.dumps(answer))

    assert twin.json() == answer.json()
    assert not tokens.found_in(pickle.dumps(answer))


def test_a_session_pickled_under_install_does_not_contain_us(on: None) -> None:
    session = requests.Session()
    session.get_adapter("https://global.daf-apis.com")

    assert b"cave_auth" not in pickle.dumps(session)


def test_a_session_pickled_under_install_works_without_install(on: None) -> None:
    data = pickle.dumps(requests.Session())
    uninstall()

    assert type(pickle.loads(data).get_adapter("https://x")) is HTTPAdapter


@duplicate
def test_a_copy_of_an_adapter_keeps_its_settings(duplicate: Duplicate) -> None:
    adapter = CaveAdapter(CaveAuth(TOKEN, hosts=["a.example"]), max_retries=5, pool_maxsize=3)

    twin = duplicate(adapter)

    assert twin.auth == adapter.auth
    assert twin.max_retries.total == 5
    assert twin._pool_maxsize == 3


@duplicate
def test_a_copy_of_a_wrapping_adapter_keeps_the_wrapped_one(duplicate: Duplicate) -> None:
    adapter = CaveAdapter(CaveAuth(TOKEN, hosts=["a.example"]), wrapped=HTTPAdapter(max_retries=5))

    twin = duplicate(adapter)

    assert twin.auth == adapter.auth
    assert type(twin.wrapped) is HTTPAdapter
    assert twin.max_retries.total == twin.wrapped.max_retries.total == 5


class Subclass(CaveAdapter):
    pass


@duplicate
@pytest.mark.parametrize("wrapped", [None, HTTPAdapter()])
def test_a_copy_of_a_subclass_keeps_its_class(
    duplicate: Duplicate, wrapped: HTTPAdapter | None
) -> None:
    assert type(duplicate(Subclass(wrapped=wrapped))) is Subclass


@duplicate
def test_nested_adapters_survive_copying(duplicate: Duplicate) -> None:
    adapter = CaveAdapter(wrapped=CaveAdapter(wrapped=HTTPAdapter(max_retries=4)))

    assert duplicate(adapter).wrapped.wrapped.max_retries.total == 4


@duplicate
@pytest.mark.parametrize(
    "auth",
    [
        CaveAuth(),
        CaveAuth(TOKEN),
        CaveAuth(hosts=["*.daf-apis.com"]),
        CaveAuth(token_file="a", token_key="b"),
    ],
    ids=repr,
)
def test_a_copy_of_an_auth_is_equal(duplicate: Duplicate, auth: CaveAuth) -> None:
    twin = duplicate(auth)

    assert twin == auth
    assert hash(twin) == hash(auth)
    assert repr(twin) == repr(auth)


def test_an_auth_without_a_given_token_pickles_without_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CAVE_TOKEN", TOKEN)
    auth = CaveAuth()
    assert auth.token_for("https://global.daf-apis.com/") == TOKEN

    assert TOKEN.encode() not in pickle.dumps(auth)


@duplicate
def test_a_copy_of_a_prepared_request_can_be_sent(
    sandbox: Sandbox, tokens: Tokens, duplicate: Duplicate
) -> None:
    session = requests.Session()
    request = session.prepare_request(
        requests.Request("POST", f"{sandbox.data_server}/echo", data=b"body")
    )
    install()

    answer = session.send(duplicate(request), verify=sandbox.ca_bundle)

    assert answer.json()["body"] == "body"
    assert answer.json()["cookies"] == {"middle_auth_token": tokens.data}


def test_our_exceptions_can_be_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker hands its exception to its parent in a pickle."""
    monkeypatch.setenv("CAVE_TOKEN_FILE", "/nowhere/x.json")
    session = mount(requests.Session())
    with pytest.raises(requests.RequestException) as caught:
        session.get("https://global.daf-apis.com/")

    twin = pickle.loads(pickle.dumps(caught.value))

    assert type(twin) is type(caught.value)
    assert str(twin) == str(caught.value)
