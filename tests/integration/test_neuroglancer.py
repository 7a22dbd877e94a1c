"""The real Python viewer of neuroglancer, asked for credentials as its web page does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import neuroglancer
import pytest
import requests
from neuroglancer.default_credentials_manager import default_credentials_manager as manager

from cave_auth_adapter import CaveAuth, install, uninstall
from cave_auth_adapter.bridges import neuroglancer as bridge
from cave_auth_adapter.integrations.neuroglancer import register
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import Tokens


@pytest.fixture
def viewer() -> Iterator[neuroglancer.Viewer]:
    before = dict(manager._providers)
    manager._providers.pop(bridge.KIND, None)
    yield neuroglancer.Viewer()
    uninstall()
    manager._providers.clear()
    manager._providers.update(before)
    neuroglancer.stop()


def ask(viewer: Any, origin: object, invalid: int | None = None) -> requests.Response:
    """As src/python_integration/credentials_provider.ts does."""
    body = {"key": "middleauthapp", "parameters": origin, "invalid": invalid}
    url = viewer.get_viewer_url().replace("/v/", "/credentials/").rstrip("/")
    return requests.post(url, data=json.dumps(body), timeout=30)


def late_install(auth: CaveAuth | None = None) -> None:
    """neuroglancer is imported after `install()`."""
    install(auth)
    bridge._register(SimpleNamespace(default_credentials_manager=manager))  # type: ignore[arg-type]


DOORS = [late_install, register]


def test_without_us_it_has_no_cave_credentials(
    viewer: Any, sandbox: Sandbox, tokens: Tokens
) -> None:
    """https://github.com/google/neuroglancer/issues/392"""
    assert ask(viewer, sandbox.data_server).status_code == 500


@pytest.mark.parametrize("door", DOORS)
def test_a_page_gets_the_token_of_a_trusted_host(
    viewer: Any, sandbox: Sandbox, tokens: Tokens, door: Any
) -> None:
    door()
    answer = ask(viewer, sandbox.data_server).json()
    assert answer["credentials"] == {"tokenType": "Bearer", "accessToken": tokens.data}

    header = {"Authorization": f"Bearer {answer['credentials']['accessToken']}"}
    url = f"{sandbox.data_server}/volume/sandbox/info"
    with requests.Session() as session:
        assert session.get(url, headers=header, verify=sandbox.ca_bundle).ok
    assert ask(viewer, sandbox.other_data_server).json()["credentials"]["accessToken"] == (
        tokens.other
    )


@pytest.mark.parametrize("door", DOORS)
def test_a_refused_token_is_looked_up_again(
    viewer: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, door: Any
) -> None:
    monkeypatch.setenv("CAVE_AUTH_HOSTS", sandbox.data_server)
    monkeypatch.setenv("CAVE_TOKEN", "a1b2")
    door()
    first = ask(viewer, sandbox.data_server).json()
    monkeypatch.setenv("CAVE_TOKEN", sandbox.token)
    second = ask(viewer, sandbox.data_server, invalid=first["generation"]).json()

    assert second["generation"] > first["generation"]
    assert second["credentials"]["accessToken"] == sandbox.token


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "origin",
    [
        "https://example.org",
        "https://global.daf-apis.com.example.org",
        "http://global.daf-apis.com",
        "https://global.daf-apis.com@example.org",
        "null",
        "",
        None,
        7,
        {"origin": "https://global.daf-apis.com"},
    ],
)
def test_a_page_gets_no_token_for_other_origins(
    viewer: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, door: Any, origin: object
) -> None:
    monkeypatch.setenv("CAVE_TOKEN", sandbox.token)
    door()
    answer = ask(viewer, origin)

    assert answer.status_code == 400
    assert sandbox.token not in answer.text


def test_a_host_without_a_token_is_one_line_with_the_next_step(
    viewer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    register()
    for _ in range(2):
        assert ask(viewer, "https://global.daf-apis.com").status_code == 400

    [record] = [each for each in caplog.records if each.name == "cave_auth_adapter"]
    assert "cave-auth login" in record.getMessage()


def test_a_viewer_that_allows_no_credentials_gives_none(sandbox: Sandbox, tokens: Tokens) -> None:
    register()
    guessable = neuroglancer.Viewer(token="guessable")
    assert ask(guessable, sandbox.data_server).status_code == 403


def test_a_viewer_open_to_other_machines_gives_a_token_on_request_only(
    viewer: Any,
    sandbox: Sandbox,
    tokens: Tokens,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(neuroglancer.server.global_server_args, "bind_address", "0.0.0.0")
    late_install()
    assert ask(viewer, sandbox.data_server).status_code == 400
    assert "listens on 0.0.0.0" in caplog.text

    register()
    assert ask(viewer, sandbox.data_server).ok


def test_a_tools_own_provider_is_kept(viewer: Any, sandbox: Sandbox, tokens: Tokens) -> None:
    manager.register(bridge.KIND, lambda parameters: None)
    late_install()
    assert ask(viewer, sandbox.data_server).status_code == 400


def test_after_uninstall_no_credentials_are_given(
    viewer: Any, sandbox: Sandbox, tokens: Tokens
) -> None:
    late_install()
    assert ask(viewer, sandbox.data_server).ok
    uninstall()
    assert ask(viewer, sandbox.data_server).status_code == 400


def test_the_credentials_come_from_the_given_auth(viewer: Any, sandbox: Sandbox) -> None:
    register(CaveAuth("c3d4", hosts=[sandbox.data_server]))

    assert ask(viewer, sandbox.data_server).json()["credentials"]["accessToken"] == "c3d4"
    assert ask(viewer, sandbox.other_data_server).status_code == 400
    with pytest.raises(TypeError):
        register("c3d4")  # type: ignore[arg-type]


def test_a_server_of_unknown_shape_gives_no_token(
    viewer: Any,
    sandbox: Sandbox,
    tokens: Tokens,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    late_install()
    monkeypatch.setattr(neuroglancer.server, "global_server_args", None)

    assert ask(viewer, sandbox.data_server).status_code == 400
    [record] = [each for each in caplog.records if each.name == "cave_auth_adapter"]
    assert record.getMessage().startswith(f"neuroglancer {version('neuroglancer')} gets no CAVE")
