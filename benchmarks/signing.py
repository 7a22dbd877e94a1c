"""What a signature costs, against a header set by hand and against the peers."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import requests

from cave_auth_adapter import TokenStore

from .measure import Result, Row, Spread, in_turn
from .sessions import CAVE, OTHER, OURS, PEERS, TOKEN, offline, ours, peers, untouched, with_headers

_ROUNDS, _CALLS = 120, 15
_BOUND, _BOUND_OTHER = 1.10, 1.03


def sessions() -> dict[str, requests.Session]:
    TokenStore().save(TOKEN)
    return {
        "hand": with_headers("Authorization", "Cookie"),
        "header": with_headers("Authorization"),
        **ours(),
        **peers(),
    }


def measured(trust_env: bool) -> Result:
    made = sessions()
    for session in made.values():
        session.trust_env = trust_env
    ways = {name: functools.partial(session.get, CAVE) for name, session in made.items()}
    return in_turn(ways, rounds=_ROUNDS, calls=_CALLS)


def by_door() -> dict[str, Spread]:
    """Each door against the same session with header and cookie set by hand, just these two.

    In a program that signs in one way, no other way takes its place in the processor's caches.
    """
    made = sessions()
    ratios = {}
    for name in OURS:
        pair = {each: functools.partial(made[each].get, CAVE) for each in ("hand", name)}
        ratios[name] = in_turn(pair, rounds=2 * _ROUNDS, calls=_CALLS).ratio(name, "hand")
    return ratios


def rows(ratios: dict[str, Spread], result: Result) -> Iterator[Row]:
    for name, words in OURS.items():
        held = ratios[name].median <= _BOUND
        yield Row(f"signing by {words}", ratios[name].show(" x"), f"<= {_BOUND} x", held)
    for name, words in {"header": "the header alone, set by hand", **PEERS}.items():
        yield Row(words, result.ratio(name, "hand").show(" x"))


def against_peers(result: Result, alike: Result) -> Iterator[Row]:
    """Each way against the peers. The one that signs for CAVE, too, is to take longer."""
    for name, words in OURS.items():
        ratio, what = result.ratio(name, "caveclient"), f"{words} against {PEERS['caveclient']}"
        yield Row(what, ratio.show(" x"), "< 1 x", ratio.median < 1)
        ratio = result.ratio(name, "google")
        yield Row(f"{words} against {PEERS['google']}", ratio.show(" x"))
    for name, words in OURS.items():
        for peer in ("oauthlib", "authlib"):
            ratio = alike.ratio(name, peer)
            yield Row(f"{words} against {PEERS[peer]}, netrc left aside", ratio.show(" x"))


def other_hosts() -> tuple[Spread, Row]:
    installed, plain = ours()["install"], untouched(offline())
    ways = {
        "without": functools.partial(plain.get, OTHER),
        "with": functools.partial(installed.get, OTHER),
    }
    ratio = in_turn(ways, rounds=300, calls=25).ratio("with", "without")
    held = ratio.median <= _BOUND_OTHER
    what = "a request to a host that is not CAVE, under `install()`"
    return ratio, Row(what, ratio.show(" x"), f"<= {_BOUND_OTHER} x", held)
