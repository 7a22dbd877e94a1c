"""Every way to sign, combined with every way to a foreign server: no token arrives there."""

from __future__ import annotations

import functools
import socket

import pytest

from .conftest import TALLY
from .doors import DOORS, LEAKY, WITHOUT_US, Door
from .matrix import Outcome, Way, follow, in_the_habit, leaks, problems, traces, ways, wrong_tokens
from .places import token_of
from .ways import DEPARTURES, End, Habit, targets
from .world import World

Outcomes = dict[Way, Outcome]


@functools.cache
def without_us(world: World, habit: Habit) -> Outcomes:
    """Where plain requests ends on each way; measured once per habit."""
    with in_the_habit(habit), WITHOUT_US.opened() as ask:
        return {way: follow(way, ask, world, demanding=False) for way in ways(habit, WITHOUT_US)}


@pytest.mark.parametrize("habit", Habit, ids=lambda habit: habit.name.lower())
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_no_token_leaves_for_a_foreign_server(world: World, door: Door, habit: Habit) -> None:
    plain, found = without_us(world, habit), []
    with in_the_habit(habit), door.opened() as ask:
        for way in ways(habit, door):
            outcome = follow(way, ask, world)
            count(outcome, door)
            found += [f"{way}: {each}" for each in problems(way, door, outcome, plain[way])]

    assert found == []


def test_the_matrix_finds_each_leak_of_a_session_that_leaks(world: World) -> None:
    heard_abroad, leaked = set(), set()
    with LEAKY.opened() as ask:
        for way in ways(Habit.PLAIN, LEAKY):
            outcome = follow(way, ask, world)
            if any(token_of(origin) is None for origin in outcome.route):
                heard_abroad.add(way)
            if list(leaks(outcome)):
                leaked.add(way)

    assert leaked == heard_abroad
    assert len(leaked) > 400


def test_the_matrix_finds_a_token_in_what_the_caller_gets_back(world: World) -> None:
    target = next(target for target in targets() if target.kind == "foreign")
    way = Way(Habit.PLAIN, target, DEPARTURES[2])
    with LEAKY.opened() as ask:
        assert list(traces(LEAKY, follow(way, ask, world)))


def test_the_matrix_covers_every_ending() -> None:
    ends = {way.departure.end(way.target) for way in ways(Habit.PLAIN, WITHOUT_US)}

    assert ends == {End.ABROAD, End.HOME, End.BARE, End.NOWHERE}


def test_nothing_but_loopback_addresses_is_reached(world: World) -> None:
    with pytest.raises(AssertionError, match="would leave this machine"), socket.socket() as plain:
        plain.connect(("192.0.2.1", 443))  # TEST-NET-1 (RFC 5737)


def count(outcome: Outcome, door: Door) -> None:
    TALLY["combinations"] += 1
    TALLY["crossed"] += 0 if door.brings_its_own else len(list(wrong_tokens(outcome)))
    TALLY["requests"] += sum(token_of(origin) is None for origin in outcome.route)
    TALLY["tokens"] += len(list(leaks(outcome)))
