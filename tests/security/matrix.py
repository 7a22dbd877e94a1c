"""The leak matrix: every door by every way out, and what must hold for each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

import pytest
import requests
from requests.sessions import SessionRedirectMixin

from .detector import any_found, found
from .doors import Ask, Door
from .places import FOREIGN, PROXY, TOKENS, token_of, tokens_beside
from .ways import Departure, End, Habit, Target, targets
from .world import Answer, World

NO_TOKEN = Answer(401, challenge='Bearer realm="x/api/v1/authorize"')


class Way(NamedTuple):
    habit: Habit
    target: Target
    departure: Departure

    def __str__(self) -> str:
        return f"{self.target.kind}: {self.departure.name} to {self.target.url!a}"

    @property
    def starts_at_home(self) -> bool:
        return bool(self.departure.over) and self.departure.over[0] != FOREIGN


class Outcome(NamedTuple):
    """The result of a way: what the servers received, and what the caller got."""

    route: list[str]  # the origins that heard a request, in order, without repetitions
    last: bytes
    heard: dict[tuple[str, int], bytes]
    response: requests.Response | None
    error: Exception | None


def ways(habit: Habit, door: Door) -> Iterator[Way]:
    """The ways out of a door; those to one target after each other, to reuse connections."""
    for target in targets():
        for departure in habit.departures(target):
            way = Way(habit, target, departure)
            if way.starts_at_home or not door.brings_its_own:
                yield way


@contextlib.contextmanager
def in_the_habit(habit: Habit) -> Iterator[None]:
    """Tools make sessions, too, so the habit is set on the class."""
    with pytest.MonkeyPatch.context() as patch:
        if habit is Habit.KEEPS:
            patch.setattr(requests.Session, "should_strip_auth", lambda *_: False)
        elif habit is Habit.LEAVES:
            patch.setattr(SessionRedirectMixin, "rebuild_auth", lambda *_: None)
        elif habit is Habit.PROXIED:
            for name in ("HTTP_PROXY", "HTTPS_PROXY"):
                patch.setenv(name, f"http://{PROXY}")
        yield


def follow(way: Way, ask: Ask, world: World, *, demanding: bool = True) -> Outcome:
    """Send a request on its way.

    :param demanding: whether trusted servers want a token, as the real ones do; where a stranger
        leads to one they don't, or the way would end there.
    """
    demanding = demanding and not way.departure.is_led
    world.play(way.departure.script(way.target), _demand if demanding else None)
    response, error = None, None
    try:
        response = ask(way.departure.method, way.departure.start(way.target))
    except Exception as caught:  # a tool may raise anything for an answer of another kind
        error = caught
    arrivals = world.arrivals
    route = [origin for origin, _ in groupby(arrival.origin for arrival in arrivals)]
    return Outcome(route, arrivals[-1].data if arrivals else b"", world.heard, response, error)


def _demand(origin: str, request: bytes) -> Answer | None:
    """The answer of a trusted server to a request without our token."""
    is_signed = any(token.encode() in request for token in TOKENS.values())
    return NO_TOKEN if token_of(origin) and not is_signed else None


def problems(way: Way, door: Door, outcome: Outcome, without_us: Outcome) -> Iterator[str]:
    """What is wrong with an outcome; nothing if we keep our promises."""
    yield from leaks(outcome)
    if not door.brings_its_own:
        yield from wrong_tokens(outcome)
    if outcome.route != without_us.route:
        yield f"went over {outcome.route}, and without us over {without_us.route}"
    end = expected(way, door, without_us)
    if (wrong := _wrong_end(end, way, outcome)) is not None:
        yield f"ended {wrong}, and not {end.value}"
    if not door.is_a_tool:
        if type(outcome.error) is not type(without_us.error):
            yield f"raised {outcome.error!r}, and without us {without_us.error!r}"
        yield from traces(door, outcome)


def leaks(outcome: Outcome) -> Iterator[str]:
    """The tokens that servers received and must not see."""
    for (origin, _), data in outcome.heard.items():
        own = token_of(origin)
        if own is None and any_found(TOKENS.values(), data):
            yield f"LEAK: {origin} heard a token: {data!r}"


def traces(door: Door, outcome: Outcome) -> Iterator[str]:
    """The tokens in what the caller got back."""
    response, error = outcome.response, outcome.error
    answers = [response, *response.history] if response is not None else []
    shown: list[object] = [(each.url, each.headers, each.request.headers) for each in answers]
    request = getattr(error, "request", None)
    if request is not None and door.name != "auth":  # a known limit, see docs/how-it-works.md
        shown.append(request.headers)
    if any_found(TOKENS.values(), *shown, str(error), repr(error)):
        yield f"TRACE: the caller got a token back: {shown} {error!r}"


def expected(way: Way, door: Door, without_us: Outcome) -> End:
    """The end that a way declares; a proxy changes it for plain http and for malformed names."""
    end = way.departure.end(way.target)
    if end is End.BARE and way.departure.over[:1] == (FOREIGN,) and not door.sees_strangers:
        end = End.HOME if way.target.redirected in (End.HOME, End.BACK) else end
    if way.habit is Habit.PROXIED:
        last = without_us.route[-1] if without_us.route else ""
        if last == f"http://{PROXY}":
            return End.ABROAD
        if end is End.NOWHERE and without_us.error is None:
            return End.ABROAD
    return end


def _wrong_end(end: End, way: Way, outcome: Outcome) -> str | None:
    """Where a request ended, in words, if that is not the expected end."""
    hops = outcome.route[len(_stops(way)) :]
    last = outcome.route[-1] if outcome.route else None
    own = token_of(last) if last else None
    if end is End.NOWHERE:
        return None if not hops and outcome.error is not None else f"at {hops}"
    if last is None:
        return f"nowhere ({outcome.error!r})"
    if end is End.ABROAD:
        return None if own is None else f"at {last}"
    if own is None:
        return f"at {last}"
    signed = any(
        f"Authorization: Bearer {token}".encode() in outcome.last for token in TOKENS.values()
    )
    return None if signed == (end is End.HOME) else f"{'' if signed else 'un'}signed"


def _stops(way: Way) -> list[str]:
    return [host for host, _ in groupby(way.departure.over)]


def wrong_tokens(outcome: Outcome) -> Iterator[str]:
    """The trusted servers that received the token of another deployment's file.

    A server that refuses its token may get that of another file of its deployment.
    """
    for (origin, _), data in outcome.heard.items():
        own = token_of(origin)
        if own is not None:
            for token in set(TOKENS.values()) - {own, *tokens_beside(own)}:
                if found(token, data):
                    yield f"{origin} heard the token of another deployment"
