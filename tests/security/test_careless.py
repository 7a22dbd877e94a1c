"""Unverified TLS, tools that start with plain http, and directories that others may write."""

from __future__ import annotations

import contextlib
import copy
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from cave_auth_adapter import CaveAuth, TokenStore, install, mount, uninstall

from .conftest import TALLY
from .detector import any_found
from .doors import DOORS
from .places import EVIL, FOREIGN, GLOBAL, MINNIE, NAMED_HOSTS, TOKENS, ZETTA, token_of
from .world import Answer, World

#: Settings of ``verify`` that check no certificate, and those that do. ``None`` stands for a path.
FALSE: tuple[Any, ...] = (False, None, 0, "", [], ())
SIGNS: dict[str, Callable[[requests.Session], object]] = {
    "auth": lambda session: setattr(session, "auth", CaveAuth()),
    "mount": mount,
    "install": lambda session: install(),
}


class Case(NamedTuple):
    """Where a request starts, where its server redirects it, and which servers may get a token."""

    name: str
    start: str
    hops: tuple[str, ...]
    unverified: tuple[str, ...]
    verified: tuple[str, ...]


CAVE, DATA = f"https://{GLOBAL}", f"https://{MINNIE}"
CASES = (
    Case("asked for", f"{CAVE}/x", (), (GLOBAL,), (GLOBAL,)),
    Case("within the server", f"{CAVE}/x", (f"{CAVE}/y", "/z"), (GLOBAL,), (GLOBAL,)),
    Case("to another server", f"{CAVE}/x", (f"{DATA}/y",), (GLOBAL,), (GLOBAL, MINNIE)),
    Case("to another deployment", f"{CAVE}/x", (f"https://{ZETTA}/y",), (GLOBAL,), (GLOBAL, ZETTA)),
    Case("from a stranger", f"https://{FOREIGN}/x", (f"{CAVE}/y",), (), ()),
    Case("there and back", f"{CAVE}/x", (f"https://{FOREIGN}/", f"{CAVE}/y"), (GLOBAL,), (GLOBAL,)),
    Case("the upgrade", f"http://{GLOBAL}/x", (f"{CAVE}/x",), (), (GLOBAL,)),
    Case("an upgrade and more", f"http://{GLOBAL}/x", (f"{CAVE}/y",), (), ()),
    Case("a name in the clear", f"http://{FOREIGN}/x", (f"{CAVE}/x",), (), ()),
)


@pytest.fixture(params=SIGNS)
def signed(request: pytest.FixtureRequest) -> Iterator[requests.Session]:
    with requests.Session() as session:
        SIGNS[request.param](session)
        yield session
    uninstall()


def ask(world: World, session: requests.Session, case: Case, verify: Any) -> set[str]:
    """The hosts that received a token when a session sends a request.

    Its ``verify`` is what counts: with REQUESTS_CA_BUNDLE set, requests prefers that.
    """
    world.play([Answer(302, hop) for hop in case.hops], _demand)
    session.verify, session.trust_env = verify, False
    session.get(case.start, timeout=20)
    heard = {
        origin.partition("://")[2].partition(":")[0]
        for (origin, _), data in world.heard.items()
        if any_found(TOKENS.values(), data)
    }
    TALLY["combinations"] += 1
    return heard


def _demand(origin: str, request: bytes) -> Answer | None:
    """The last hop of a way requires a token, as real services do."""
    wants = token_of(origin) is not None and not any_found(TOKENS.values(), request)
    return Answer(401) if wants and request.split(b" ")[1] in (b"/x", b"/y") else None


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("verify", FALSE, ids=repr)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_verified_tls_only_the_server_that_was_asked_gets_a_token(
    world: World, signed: requests.Session, case: Case, verify: Any
) -> None:
    assert ask(world, signed, case, verify) <= set(case.unverified)


@pytest.mark.parametrize("kind", ["str", "Path"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_with_verified_tls_the_trusted_servers_get_their_token(
    world: World, signed: requests.Session, case: Case, kind: str
) -> None:
    verify: Any = str(world.bundle) if kind == "str" else world.bundle
    assert ask(world, signed, case, verify) == set(case.verified)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("verify", FALSE, ids=repr)
def test_unverified_tls_is_one_warning(
    world: World,
    signed: requests.Session,
    verify: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        assert ask(world, signed, CASES[0], verify) == {GLOBAL}
    told = [text for text in caplog.messages if "without checking its certificate" in text]
    assert len(told) == 1


@pytest.mark.parametrize("door", [door for door in DOORS if door.is_a_tool], ids=lambda d: d.name)
@pytest.mark.parametrize("host", [GLOBAL, MINNIE, ZETTA])
def test_a_tool_that_starts_with_plain_http_sends_no_token(
    world: World, door: Any, host: str
) -> None:
    world.play([])
    # A tool may raise anything for an answer of another kind.
    with door.opened() as asks, contextlib.suppress(Exception):
        asks("GET", f"http://{host}/start")
    TALLY["combinations"] += 1
    clear = {origin: data for (origin, _), data in world.heard.items() if origin[:5] == "http:"}
    if not door.brings_its_own:  # these send their own token, or nothing if they find none
        assert clear, "nothing was sent"
        assert not any_found(TOKENS.values(), *clear.values())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such mode bits")
@pytest.mark.parametrize("careless", ["the directory", "the file"])
def test_a_world_writable_file_does_not_make_a_server_trusted(
    world: World, signed: requests.Session, careless: str
) -> None:
    directory = Path.home() / ".cloudvolume" / "secrets"
    planted = directory / f"{EVIL}-cave-secret.json"
    planted.write_text("{}")
    planted.chmod(0o666 if careless == "the file" else 0o600)
    directory.chmod(0o777 if careless == "the directory" else 0o700)
    world.play([])
    signed.get(f"https://{EVIL}/x", timeout=20)
    TALLY["combinations"] += 1
    assert not any_found(TOKENS.values(), *world.heard.values())
    assert NAMED_HOSTS  # the named hosts go on being trusted
    assert TokenStore().load(GLOBAL) == TOKENS[GLOBAL]


class FreshHeaders(HTTPAdapter):
    """Sends a request with another type of headers."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        twin = request.copy()
        twin.headers = CaseInsensitiveDict(dict(request.headers.items()))
        return super().send(twin, **options)


class PreparedAnew(HTTPAdapter):
    """Sends a request without the hooks of the one that it was given."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        method, url, headers = request.method, request.url, dict(request.headers)
        twin = requests.Request(method, url, headers, data=request.body).prepare()
        return super().send(twin, **options)


class DeepCopy(HTTPAdapter):
    """Sends a copy that shares nothing with the request that it was given."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        return super().send(copy.deepcopy(request), **options)


class SaysNothing(HTTPAdapter):
    """Does not say which request it answers."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        response = super().send(request, **options)
        response.request = None  # type: ignore[assignment]
        return response


class KeepsAuth(requests.Session):
    """Leaves auth unchanged on redirects."""

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        pass


class FollowsByItself(requests.Session):
    """Follows redirects by itself."""

    def resolve_redirects(self, resp: Any, req: Any, **options: Any) -> Iterator[Any]:
        options.pop("yield_requests", None)
        while target := resp.headers.get("Location"):
            req = req.copy()
            req.url = target
            resp = self.send(req, allow_redirects=False, **options)
            yield resp


WAYS = (
    (f"{CAVE}/x", f"https://{FOREIGN}/y"),
    (f"{CAVE}/x", f"{CAVE}:8443/y"),
    (f"https://{FOREIGN}/x", f"{CAVE}/y"),
    (f"{CAVE}/x", f"https://{FOREIGN}/", f"{CAVE}/y"),
)
ADAPTERS = (HTTPAdapter, FreshHeaders, PreparedAnew, DeepCopy, SaysNothing)


@pytest.mark.parametrize("door", SIGNS)
@pytest.mark.parametrize("kind", [requests.Session, KeepsAuth, FollowsByItself])
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_only_the_requested_host_is_signed_for_every_sender(
    world: World, door: str, kind: type[requests.Session], adapter: type[HTTPAdapter]
) -> None:
    if adapter is SaysNothing and kind is requests.Session:
        pytest.skip("requests itself wants to know the request")
    for start, *hops in WAYS:
        world.play([Answer(307, hop) for hop in hops], _demand)
        with kind() as session:
            session.mount("https://", adapter())
            SIGNS[door](session)
            session.post(start, data=b"x", timeout=20)
        uninstall()
        TALLY["combinations"] += 1
        signed = [each for each in world.arrivals if any_found(TOKENS.values(), each.data)]
        assert len(world.arrivals) > len(hops)
        assert all(each.data.startswith(b"POST /x") for each in signed)
        assert {each.origin for each in signed} <= {f"{CAVE}:443"}


@pytest.mark.parametrize("door", SIGNS)
@pytest.mark.parametrize("adapter", [HTTPAdapter, DeepCopy])
def test_a_request_and_its_copies_can_be_sent_again(
    world: World, door: str, adapter: type[HTTPAdapter]
) -> None:
    with requests.Session() as session:
        session.mount("https://", adapter())
        SIGNS[door](session)
        prepared = session.prepare_request(requests.Request("GET", f"{CAVE}/x"))
        send = functools.partial(session.send, timeout=20, verify=str(world.bundle))
        again = prepared.copy(), prepared.copy(), prepared, prepared, copy.deepcopy(prepared)
        for leads in (None, _abroad, None):
            for each in again:
                world.play([], functools.partial(_demand_first, leads))
                assert send(each).status_code == 200
        # The stranger leads back to the very URL. That is not asked for.
        for each in again:
            world.play([Answer(307, f"https://{FOREIGN}/"), Answer(307, f"{CAVE}/x")], _demand)
            assert send(each.copy()).status_code == 401
    uninstall()


@pytest.mark.parametrize("door", ["mount", "install"])
@pytest.mark.parametrize("hooks", [{"response": lambda *_, **__: None}, {"response": ()}, {}])
@pytest.mark.parametrize("follows", [True, False])
def test_unusual_hooks_do_no_harm(
    world: World, door: str, hooks: dict[str, Any], follows: bool
) -> None:
    with requests.Session() as session:
        SIGNS[door](session)
        prepared = session.prepare_request(requests.Request("GET", f"https://{FOREIGN}/x"))
        prepared.hooks = {**hooks}
        send = functools.partial(session.send, timeout=20, verify=str(world.bundle))
        world.play([Answer(302, f"{CAVE}/y")], _demand)
        answer = send(prepared, allow_redirects=follows)
        if answer.next is not None:
            answer = send(answer.next)
    uninstall()
    assert answer.status_code == 401  # a stranger led there


def _demand_first(then: Any, origin: str, request: bytes) -> Answer | None:
    return _demand(origin, request) or (then and then(origin))


def _abroad(origin: str) -> Answer | None:
    return Answer(302, f"https://{FOREIGN}/") if GLOBAL in origin else None
