"""Network faults made by a server on loopback raise as in plain requests, and leave no socket."""

from __future__ import annotations

import logging

import pytest
import requests

from cave_auth_adapter import CaveAuth, uninstall

from ..support.doors import DOORS, session_through
from ..support.faulty import FAULTS, GOOD, HANDSHAKES, STALL, Fault, FaultyServer
from ..support.stub import TOKEN
from .conftest import Fate, Serve, bounded, fate_of, needs_proc, settled_sockets, still_works

ROUNDS = 20

doors = pytest.mark.parametrize("door", DOORS)
signed = pytest.mark.parametrize("token", [TOKEN, None], ids=["signed", "no token"])
each_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
ENDING = {name: fault for name, fault in FAULTS.items() if fault.then != STALL}
each_fault_but_stalls = pytest.mark.parametrize("fault", ENDING.values(), ids=ENDING)


def plain_fate(
    server: FaultyServer, fault: Fault, stream: bool, method: str = "GET"
) -> tuple[Fate, int]:
    """The expected result: that of plain requests, and how many requests the server gets."""
    uninstall()
    before = len(server.requests)
    with requests.Session() as session:
        fate = bounded(lambda: fate_of(session, server.url, fault, stream, method))
    return fate, len(server.requests) - before


def auth_for(server: FaultyServer, token: str | None) -> CaveAuth:
    return CaveAuth(token, hosts=[server.host])


@doors
@pytest.mark.parametrize(
    ("token", "stream"),
    [(TOKEN, False), (TOKEN, True), (None, True)],
    ids=["signed", "signed stream", "no token stream"],
)
@each_fault
def test_a_fault_raises_as_without_us(
    serve: Serve, fault: Fault, door: str, token: str | None, stream: bool
) -> None:
    server = serve(lambda seen: fault)
    expected, asked = plain_fate(server, fault, stream)
    auth = auth_for(server, token)
    with session_through(door, auth) as session:
        assert bounded(lambda: fate_of(session, server.url, fault, stream)) == expected

        assert len(server.requests) == 2 * asked  # as often as without us
        first = server.requests[asked].headers.get("authorization")
        assert first == (f"Bearer {token}" if token else None)
        server.plan = lambda seen: GOOD
        assert still_works(door, auth, session, server.url)


@doors
@pytest.mark.parametrize("name", ["closes before the answer", "stalls within the body"])
def test_a_fault_during_a_post_raises_as_without_us(serve: Serve, name: str, door: str) -> None:
    fault = FAULTS[name]
    server = serve(lambda seen: fault)
    expected, asked = plain_fate(server, fault, False, "POST")
    with session_through(door, auth_for(server, TOKEN)) as session:
        assert bounded(lambda: fate_of(session, server.url, fault, False, "POST")) == expected
    assert len(server.requests) == 2 * asked


@doors
@signed
@pytest.mark.parametrize("fault", HANDSHAKES.values(), ids=HANDSHAKES)
def test_a_failed_handshake_raises_as_without_us(
    serve: Serve, fault: Fault, door: str, token: str | None
) -> None:
    server = serve(lambda seen: GOOD, handshake=fault)
    expected, _ = plain_fate(server, fault, False)
    assert expected.error is not None
    auth = auth_for(server, token)
    with session_through(door, auth) as session:
        assert bounded(lambda: fate_of(session, server.url, fault, False)) == expected

        server.handshake = None
        assert still_works(door, auth, session, server.url)


@doors
@signed
def test_a_server_that_is_gone_raises_as_without_us(
    serve: Serve, door: str, token: str | None
) -> None:
    server = serve(lambda seen: GOOD)
    server.close()
    expected, _ = plain_fate(server, GOOD, False)
    assert expected.error is requests.ConnectionError
    auth = auth_for(server, token)
    with session_through(door, auth) as session:
        assert bounded(lambda: fate_of(session, server.url, GOOD, False)) == expected

        serve(lambda seen: GOOD, port=int(server.host.rpartition(":")[2]))
        assert still_works(door, auth, session, server.url)


def test_the_faults_raise_errors_of_many_kinds(serve: Serve) -> None:
    """The comparison above must cover many kinds of errors."""
    server = serve(lambda seen: GOOD)
    fates: set[Fate] = set()
    for fault in FAULTS.values():
        server.plan = lambda seen, fault=fault: fault  # type: ignore[misc]
        fates.add(plain_fate(server, fault, True)[0])

    errors = {fate.error for fate in fates}
    assert len(errors) >= 8
    assert {requests.ConnectionError, requests.ReadTimeout, None} <= errors
    assert requests.exceptions.ChunkedEncodingError in errors
    assert {fate.received for fate in fates if fate.error} >= {0, 1024}


# No socket is left


def rounds(server: FaultyServer, fault: Fault, door: str) -> None:
    auth = auth_for(server, TOKEN)
    for number in range(ROUNDS):
        with session_through(door, auth) as session:
            fate_of(session, server.url, fault, stream=bool(number % 2))


@needs_proc
@doors
@each_fault_but_stalls
def test_20_faults_leave_no_open_socket(
    serve: Serve, fault: Fault, door: str, caplog: pytest.LogCaptureFixture
) -> None:
    # urllib3 logs odd headers with a traceback, which holds a socket.
    caplog.set_level(logging.CRITICAL, "urllib3")
    before = settled_sockets()
    server = serve(lambda seen: fault)
    bounded(lambda: rounds(server, fault, door))
    server.close()
    assert settled_sockets(before) == before


@needs_proc
@doors
def test_the_count_finds_an_open_socket(serve: Serve, door: str) -> None:
    before = settled_sockets()
    server = serve(lambda seen: GOOD)
    held = session_through(door, auth_for(server, TOKEN)).get(server.url, stream=True)
    server.close()
    assert settled_sockets(before, patience=0.1) == before + 1
    held.close()
