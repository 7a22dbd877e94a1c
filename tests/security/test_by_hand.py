"""Redirects that the caller follows with ``Session.resolve_redirects``, through one door or two."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from cave_auth_adapter import CaveAuth, install, mount, uninstall

from .detector import any_found
from .places import FOREIGN, GLOBAL, TOKENS, ZETTA
from .world import Answer, World

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")

CAVE, STRANGER = f"https://{GLOBAL}/x", f"https://{FOREIGN}/x"


@pytest.fixture(
    params=["auth", "mount", "install", "mount and auth", "install and auth", "install and mount"]
)
def session(request: pytest.FixtureRequest) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        if "auth" in request.param:
            session.auth = CaveAuth()
        if "mount" in request.param:
            mount(session)
        if "install" in request.param:
            install()
        yield session
    uninstall()


def follow(session: requests.Session, start: str, verify: str | bool, by_name: bool) -> None:
    answer = session.get(start, allow_redirects=False, verify=verify, timeout=20)
    if by_name:
        hops = session.resolve_redirects(answer, answer.request, verify=verify, timeout=20)
    else:
        hops = session.resolve_redirects(answer, answer.request, False, 20, verify)
    assert [hop.status_code for hop in hops] == [200]


def signed(world: World) -> list[str]:
    return [each.origin for each in world.arrivals if any_found(TOKENS.values(), each.data)]


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("verified", [True, False])
def test_the_redirect_of_a_stranger_is_not_signed(
    world: World, session: requests.Session, verified: bool, by_name: bool
) -> None:
    world.play([Answer(302, CAVE)])
    follow(session, STRANGER, verified and str(world.bundle), by_name)
    assert signed(world) == []


@pytest.mark.parametrize("by_name", [True, False])
def test_a_redirect_without_verified_tls_is_not_signed(
    world: World, session: requests.Session, by_name: bool
) -> None:
    world.play([Answer(302, f"https://{ZETTA}/x")])
    follow(session, CAVE, False, by_name)
    assert signed(world) == [f"https://{GLOBAL}:443"]
