"""Ours against the installed caveclient: the same names, parameters and defaults."""

from __future__ import annotations

import inspect
from importlib.metadata import version
from typing import Any

import pytest

from cave_auth_adapter.caveclient import AuthClient, CAVEclient

theirs = pytest.importorskip("caveclient", reason="CAVEclient is not installed")
TheirCAVEclient, TheirAuthClient = theirs.CAVEclient, theirs.auth.AuthClient

pytestmark = pytest.mark.skipif(
    not version("caveclient").startswith("8."), reason="we have the names of caveclient 8"
)


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in found]


def public(cls: type) -> dict[str, Any]:
    return {name: value for name, value in vars(cls).items() if not name.startswith("_")}


def kind(value: object) -> str:
    if isinstance(value, property):
        return "a settable property" if value.fset else "a property"
    return type(value).__name__


def test_nothing_of_auth_client_is_missing_or_added() -> None:
    ours, theirs = public(AuthClient), public(TheirAuthClient)
    assert {name: kind(value) for name, value in ours.items()} == {
        name: kind(value) for name, value in theirs.items()
    }


METHODS = [name for name, value in public(TheirAuthClient).items() if inspect.isfunction(value)]


@pytest.mark.parametrize("name", ["__init__", *METHODS])
def test_auth_client_has_the_same_parameters(name: str) -> None:
    assert parameters(getattr(AuthClient, name)) == parameters(getattr(TheirAuthClient, name))


def test_caveclient_has_the_same_first_parameters() -> None:
    ours = parameters(CAVEclient.__init__)
    theirs = parameters(TheirCAVEclient.__new__)
    assert [each[0] for each in ours[1:]] == [
        "datastack_name",
        "server_address",
        "auth_token_file",
        "auth_token_key",
        "auth_token",
    ]
    assert ours[1:] == theirs[1 : len(ours)]


def test_calls_without_a_server_return_the_same(
    capsys: pytest.CaptureFixture[str], opened: list[str]
) -> None:
    address = "https://cave.example.org"
    ours, theirs = (
        cls(token="0123abcd", server_address=address) for cls in (AuthClient, TheirAuthClient)
    )
    for name, arguments in {
        "get_token_page": (True,),
        "get_new_token": (True,),
        "setup_token": (False, True),
    }.items():
        results = [getattr(client, name)(*arguments) for client in (ours, theirs)]
        assert results[0] == results[1], name
        assert opened[-2] == opened[-1], name
        assert opened[-1].startswith(address)
    assert ours.request_header == theirs.request_header == {"Authorization": "Bearer 0123abcd"}
    for client in (ours, theirs):
        assert (client.local_server, client.local_server_filepath) == (None, None)
        client.local_server = "https://minnie.example.org"
    assert ours.local_server_filepath == theirs.local_server_filepath
    assert capsys.readouterr().out.count(address) == 4
    theirs.token = ours.token = "89abcdef"
    assert ours.request_header == theirs.request_header
