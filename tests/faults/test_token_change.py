"""A server that fails while a token changes, in its refusal or in its second answer."""

from __future__ import annotations

import pytest
import requests
from requests.adapters import HTTPAdapter

from cave_auth_adapter import CaveAuth, TokenStore, mount

from ..support.doors import DOORS, session_through
from ..support.faulty import CLOSE, FAULTS, GOOD, KEEP, REFUSAL, STALL, Fault, FaultyServer, answer
from ..support.servers import Seen
from ..support.stub import TOKEN
from .conftest import Fate, Serve, bounded, fate_of, still_works

OLD = "00000000000000000000000000000000"
LONG = 1 << 20
doors = pytest.mark.parametrize("door", DOORS)
each_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
_401 = "401 Unauthorized"
REFUSALS = {
    "cut off": Fault(answer(_401, body=b"cut", length=100), CLOSE),
    "cut off when long": Fault(answer(_401, body=bytes(LONG // 2), length=LONG), CLOSE),
    "long": Fault(answer(_401, body=bytes(LONG)), KEEP),
    "stalling": Fault(answer(_401, body=b"", length=100), STALL),
    "stalling when long": Fault(answer(_401, body=bytes(100_000), length=LONG), STALL),
    "broken gzip": Fault(answer(_401, "Content-Encoding: gzip"), KEEP),
    "endless": Fault(b"HTTP/1.1 401 Unauthorized\r\n\r\n" + bytes(100_000), STALL),
}


class Changing:
    """A server that changes the token during the first request, and its next answers."""

    def __init__(self, serve: Serve, refusal: Fault, then: Fault):
        self.refusal, self.then = refusal, then
        self.server: FaultyServer = serve(self.plan)
        TokenStore().save(OLD, self.server.host)
        self.auth = CaveAuth(hosts=[self.server.host])

    def plan(self, seen: Seen) -> Fault:
        if seen.headers.get("authorization") != f"Bearer {TOKEN}":
            TokenStore().save(TOKEN, self.server.host, overwrite=True)
            return self.refusal
        return self.then

    def plain_fate(self) -> Fate:
        """The result of a request that has the new token from the start."""
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {TOKEN}"
            return bounded(lambda: fate_of(session, self.server.url, self.then, stream=True))


@doors
@each_fault
def test_a_failed_repeat_raises_as_a_first_request_does(
    serve: Serve, fault: Fault, door: str
) -> None:
    changing = Changing(serve, REFUSAL, fault)
    expected, url = changing.plain_fate(), changing.server.url
    with session_through(door, changing.auth) as session:
        assert bounded(lambda: fate_of(session, url, fault, stream=True)) == expected

        assert any(OLD in seen.headers["authorization"] for seen in changing.server.requests)
        changing.then = GOOD
        assert still_works(door, changing.auth, session, url)


@doors
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_truncated_refusal_does_not_matter_with_a_new_token(
    serve: Serve, refusal: Fault, door: str
) -> None:
    changing = Changing(serve, refusal, GOOD)
    with session_through(door, changing.auth) as session:
        fate = bounded(lambda: fate_of(session, changing.server.url, refusal, False))
        assert fate == Fate(None, 200, 4, 0)
        assert still_works(door, changing.auth, session, changing.server.url)


@pytest.mark.parametrize("door", ["auth", "mount"])
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_returns_its_connection_before_the_repeat(
    serve: Serve, refusal: Fault, door: str
) -> None:
    """In a pool of one connection, the repeat would otherwise wait for ever."""
    changing = Changing(serve, refusal, GOOD)
    with requests.Session() as session:
        session.mount("https://", HTTPAdapter(pool_maxsize=1, pool_block=True))
        if door == "mount":
            mount(session, changing.auth)
        else:
            session.auth = changing.auth
        fate = bounded(lambda: fate_of(session, changing.server.url, refusal, False))
    assert fate == Fate(None, 200, 4, 0)


@doors
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_repeat_survives_a_close_after_the_refusal(serve: Serve, door: str, method: str) -> None:
    """The server may close the connection right after the refusal, before anybody notices."""
    refused: set[int] = set()

    def plan(seen: Seen) -> Fault:
        if seen.connection in refused:
            return Fault(b"", CLOSE)
        if seen.headers.get("authorization") == f"Bearer {TOKEN}":
            return GOOD
        refused.add(seen.connection)
        TokenStore().save(TOKEN, server.host, overwrite=True)
        return REFUSAL

    server = serve(plan)
    TokenStore().save(OLD, server.host)
    with session_through(door, CaveAuth(hosts=[server.host])) as session:
        assert session.request(method, server.url, data=b"x", timeout=10).status_code == 200
