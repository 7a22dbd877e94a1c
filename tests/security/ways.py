"""The ways out: where a URL leads, how a request gets there, and what its session is like.

Each target declares where it ends. What `requests` makes of an odd URL differs between a URL that
it is given, which it prepares, and one that it is redirected to, which it does not.
"""

# ruff: noqa: RUF001 - the letters that look like others are what is tried

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from .places import EVIL, FOREIGN, GLOBAL, LOCAL, MINNIE, OTHER, V1DD, ZETTA, ZETTA_DATA
from .world import Answer


class End(enum.Enum):
    """Where a request ends."""

    ABROAD = "at a foreign server, or one that there is no token for, with no token"
    HOME = "at a trusted server, signed"
    BARE = "at a trusted server, unsigned: its URL is an unusual one, or a stranger led there"
    BACK = "at the server that redirected it"
    NOWHERE = "in an exception; nothing is sent"


ABROAD, HOME, BARE, BACK, NOWHERE = End


class Target(NamedTuple):
    """A URL, and where it ends if requested, and if redirected to."""

    kind: str
    url: str
    direct: End
    redirected: End
    leads_its_kind: (
        bool  # the first target takes all departures, the others the most important ones
    )


def targets() -> Iterator[Target]:
    """Every URL of the matrix."""
    met = set()
    for kind, direct, redirected, urls in _TARGETS:
        for url in urls:
            yield Target(kind, url, direct, redirected, kind not in met)
            met.add(kind)


def look_alikes(host: str) -> Iterator[str]:
    """Names that a careless comparison would trust."""
    name, _, domain = host.partition(".")
    yield f"{host}.{EVIL}"
    yield f"{host}{EVIL}"
    yield f"{host}.{EVIL}.{host}.{EVIL}"
    yield f"{name}.evil{domain}"
    yield f"evil{domain}"
    yield f"{name}{domain}"
    yield domain  # the wildcard is for hosts below it
    yield f"{name}-{domain}"
    yield host.replace(".", "-")
    yield f"{host}.co"
    yield host[:-1]
    yield host[:-3] + "org"
    yield host.replace("-", "_")
    yield host.replace("-", "")
    yield host.replace("a", "4")


def _hosts(hosts: Iterator[str]) -> list[str]:
    return [f"https://{host}/x" for host in hosts]


_MARKS = '!$&*,;_^|<"'  # what may be in an authority (RFC 3986), and what may not
_LABEL = "a" * 63

# CPython reads these differently since 3.12.4 (gh-67693) and 3.11.4 (gh-103848).
_KEEPS_SLASHES = urlsplit("////host/x").geturl() == "////host/x"
_CHECKS_BRACKETS = sys.version_info >= (3, 11, 4)

# Kind, where it ends if asked for, where if redirected to, URLs.
_TARGETS: list[tuple[str, End, End, list[str]]] = [
    ("trusted", HOME, HOME, [f"https://{MINNIE}/x", f"https://{OTHER}/x"]),
    ("of another deployment", HOME, HOME, [f"https://{h}/x" for h in (ZETTA, ZETTA_DATA)]),
    ("of a deployment without a token", ABROAD, ABROAD, [f"https://{V1DD}/x"]),
    ("foreign", ABROAD, ABROAD, [f"https://{EVIL}/x", f"https://{EVIL}/?to=https://{GLOBAL}/"]),
    ("http", ABROAD, ABROAD, [f"http://{h}/x" for h in (GLOBAL, MINNIE, EVIL, f"{GLOBAL}:443")]),
    ("http", ABROAD, ABROAD, [f"HTTP://{GLOBAL}:8443/x", "http://localhost:8001/x"]),
    ("http on a loopback address", HOME, HOME, [f"http://{LOCAL}/x", f"https://{LOCAL}/x"]),
    ("http on a loopback address", ABROAD, ABROAD, ["http://127.0.0.1:8000/x"]),
    ("other port", ABROAD, ABROAD, [f"https://{GLOBAL}:{p}/x" for p in (8443, 80, 444, 4443)]),
    ("other port", ABROAD, ABROAD, [f"https://{MINNIE}:8443/x", "https://localhost:8001/x"]),
    ("other port", ABROAD, ABROAD, ["https://localhost/x", f"https://{EVIL}:443/x"]),
    ("usual port", HOME, HOME, [f"https://{GLOBAL}:443/x"]),
    ("odd port", HOME, BARE, [f"https://{GLOBAL}:0443/x", f"https://{GLOBAL}:/x"]),
    ("odd port", HOME, ABROAD, [f"https://{GLOBAL}:0/x"]),
    ("odd port", NOWHERE, NOWHERE, [f"https://{GLOBAL}:{port}/x" for port in (65536, -1, "+443")]),
    ("odd port", NOWHERE, NOWHERE, [f"https://{GLOBAL}:443{x}/x" for x in (":443", EVIL, "٤")]),
    ("look-alike", ABROAD, ABROAD, _hosts(look_alikes(GLOBAL))),
    ("look-alike", ABROAD, ABROAD, _hosts(look_alikes(MINNIE))[:6]),
    ("look-alike", ABROAD, ABROAD, ["https://global.dynamicannotationframework.com/x"]),
    ("upper case", HOME, HOME, [f"HTTPS://{GLOBAL}/x", f"https://{GLOBAL.upper()}/x"]),
    ("upper case", ABROAD, ABROAD, [f"https://{EVIL.upper()}/x", f"HTTP://{GLOBAL.upper()}/x"]),
    ("trailing dot", ABROAD, ABROAD, [f"https://{GLOBAL}./x", f"https://{GLOBAL}.:443/x"]),
    ("empty label", NOWHERE, NOWHERE, [f"https://{GLOBAL}../x", f"https://.{GLOBAL}/x"]),
    ("user info", ABROAD, ABROAD, [f"https://{u}@{EVIL}/x" for u in (GLOBAL, f"{GLOBAL}:443")]),
    ("user info", ABROAD, ABROAD, [f"https://{u}@{EVIL}/x" for u in (f"{GLOBAL}%2f", "a@b")]),
    ("user info", ABROAD, ABROAD, [f"https://{GLOBAL}%40{EVIL}/x"]),
    ("user info", BARE, BARE, [f"https://{u}@{GLOBAL}/x" for u in ("user:pass", EVIL, "[::1]")]),
    ("user info", BARE, BARE, [f"https://{EVIL}%2f@{GLOBAL}/x"]),
    ("user info", HOME, BARE, [f"https://@{GLOBAL}/x"]),
    ("at sign elsewhere", HOME, HOME, [f"https://{GLOBAL}{c}@{EVIL}/x" for c in "/?#"]),
    ("at sign elsewhere", ABROAD, ABROAD, [f"https://{EVIL}{c}@{GLOBAL}/x" for c in "/?#"]),
    ("backslash", HOME, ABROAD, [rf"https://{GLOBAL}\{end}/x" for end in (f"@{EVIL}", f".{EVIL}")]),
    ("backslash", HOME, ABROAD, [rf"https://{GLOBAL}\{EVIL}/x"]),
    ("backslash", ABROAD, BARE, [rf"https://{EVIL}\@{GLOBAL}/x"]),
    ("backslash", ABROAD, ABROAD, [rf"https://{EVIL}\.{GLOBAL}/x"]),
    ("backslash", NOWHERE, BACK, [rf"https:\\{GLOBAL}\x", rf"https:/\{EVIL}/x", rf"\\{EVIL}/x"]),
    ("percent", HOME, HOME, ["https://global%2Edaf-apis%2ecom/x", f"https://%67{GLOBAL[1:]}/x"]),
    ("percent", ABROAD, ABROAD, [f"https://{GLOBAL}%{c}.{EVIL}/x" for c in ("2f", "23", "20")]),
    ("percent", ABROAD, ABROAD, [f"https://{GLOBAL}%2e{EVIL}/x", f"https://{GLOBAL}%3a443.{EVIL}"]),
    ("percent", NOWHERE, NOWHERE, [f"https://{GLOBAL}%{c}.{EVIL}/x" for c in ("00", "0d%0a")]),
    ("wide dots", NOWHERE, ABROAD, [f"https://{GLOBAL}/x".replace(".", dot) for dot in "．。｡"]),
    ("wide dots", NOWHERE, ABROAD, [f"https://{GLOBAL}．{EVIL}/x"]),
    ("wide letters", NOWHERE, ABROAD, [f"https://{c}{GLOBAL[1:]}/x" for c in "ｇⓖ"]),
    ("wide marks", NOWHERE, NOWHERE, [f"https://{GLOBAL}{c}.{EVIL}/x" for c in "／＠＃？：℀"]),
    ("IP address", ABROAD, ABROAD, [f"https://{ip}/x" for ip in ("127.0.0.1", "2130706433")]),
    ("IP address", ABROAD, ABROAD, ["https://0x7f.1/x", "https://[::1]/x", "https://[::1]:8000/x"]),
    ("IPv6 zone", ABROAD, ABROAD, [f"https://[fe80::1%25{z}]/x" for z in ("eth0", GLOBAL)]),
    ("IPv6 zone", ABROAD, ABROAD, ["https://[::1%lo]/x", "https://[::ffff:127.0.0.1]/x"]),
    ("brackets", NOWHERE, NOWHERE, ["https://[::1/x"]),
    ("brackets", NOWHERE, NOWHERE if _CHECKS_BRACKETS else BARE, [f"https://[{GLOBAL}]/x"]),
    ("brackets", NOWHERE, ABROAD, [f"https://[::1].{GLOBAL}/x", f"https://[::1]{GLOBAL}/x"]),
    ("IDNA", ABROAD, ABROAD, ["https://bücher.example/x", "https://global.dаf-apis.com/x"]),
    ("IDNA", ABROAD, ABROAD, ["https://global.daf-apıs.com/x", "https://xn--dafapis-x.com/x"]),
    ("IDNA", HOME, ABROAD, ["https://glöbal.daf-apis.com/x", "https://faß.daf-apis.com/x"]),
    ("IDNA", BARE, BARE, ["https://xn--global-.daf-apis.com/x"]),
    ("invisible", NOWHERE, ABROAD, ["https://glo\xadbal.daf-apis.com/x", f"https://{GLOBAL}\u200b/x"]),
    ("invisible", NOWHERE, ABROAD, [f"https://{GLOBAL}{c}.{EVIL}/x" for c in "\u200b\xa0"]),
    ("empty host", NOWHERE, BACK, ["https:///x", "https://?x", "https://#x", "https://", "https:"]),
    ("empty host", NOWHERE, NOWHERE, ["https://:443/x", "https://@/x", "https://./x"]),
    ("long host", ABROAD, ABROAD, [f"https://{_LABEL}.{EVIL}/x", f"https://{GLOBAL}.{_LABEL}.{EVIL}"]),
    ("long host", ABROAD, ABROAD, [f"https://{GLOBAL}.{'a.' * 100}{EVIL}/x"]),
    ("long host", HOME, HOME, [f"https://{'a.' * 100}daf-apis.com/x"]),
    ("long host", NOWHERE, NOWHERE, [f"https://{_LABEL}a.{EVIL}/x", f"https://{GLOBAL * 20}/x"]),
    ("scheme", NOWHERE, NOWHERE, [f"{s}://{GLOBAL}/x" for s in ("HTTPS+unix", "http+https")]),
    ("scheme", NOWHERE, NOWHERE, [f"{s}://{GLOBAL}/x" for s in ("httpss", "httpx", "ftp", "wss")]),
    ("scheme", NOWHERE, NOWHERE, ["file:///etc/hostname", "data:,x", f"http:/{GLOBAL}/x"]),
    ("no scheme", NOWHERE, HOME, [f"//{GLOBAL}/x"]),
    ("no scheme", NOWHERE, ABROAD, [f"//{EVIL}/x", f"//{GLOBAL}.{EVIL}/x"]),
    ("no scheme", NOWHERE, BACK if _KEEPS_SLASHES else ABROAD, [f"////{EVIL}/x"]),
    ("no scheme", NOWHERE, BACK, ["/x", "x", "?x", "../x", f"///{EVIL}/x", f"://{EVIL}/x"]),
    ("slashes", NOWHERE, BACK, [f"https:{s}{EVIL}/x" for s in ("", "/", "///")]),
    ("slashes", NOWHERE, BACK if _KEEPS_SLASHES else ABROAD, [f"https:////{EVIL}/x"]),
    ("slashes", NOWHERE, BACK if _KEEPS_SLASHES else HOME, [f"https:////{GLOBAL}/x"]),
    ("white space", ABROAD, ABROAD, [f" https://{EVIL}/x", f"\thttps://{EVIL}/x"]),
    ("white space", NOWHERE, ABROAD, [f"https://{GLOBAL}{c}.{EVIL}" for c in ("\t", "\r\n ", " ")]),
    ("white space", NOWHERE, ABROAD, [f"ht\ttps://{EVIL}/x", f"https:/\t/{EVIL}/x"]),
    ("white space", NOWHERE, BACK, [f"https ://{EVIL}/x"]),
    ("white space", NOWHERE, NOWHERE, [f"https://{GLOBAL}{c}.{EVIL}/x" for c in "\x00\x0b"]),
    ("marks", ABROAD, ABROAD, [f"https://{GLOBAL}{mark}.{EVIL}/x" for mark in _MARKS]),
]  # fmt: skip


class Departure(NamedTuple):
    """How a request reaches a target: by which hosts and redirect status."""

    name: str
    over: tuple[str, ...] = ()
    status: int = 302
    at_the_end: Answer = Answer()

    @property
    def method(self) -> str:
        """A method that keeps its body, where the status allows it (RFC 9110, 15.4.8)."""
        return "POST" if self.status in (307, 308) else "GET"

    @property
    def is_led(self) -> bool:
        """Whether a foreign host leads to the next hop."""
        return FOREIGN in self.over

    def start(self, target: Target) -> str:
        return f"https://{self.over[0]}/start" if self.over else target.url

    def script(self, target: Target) -> list[Answer]:
        stops = [f"https://{host}/stop" for host in self.over[1:]]
        hops = [*stops, target.url] if self.over else []
        return [*(Answer(self.status, hop) for hop in hops), self.at_the_end]

    def end(self, target: Target) -> End:
        if not self.over:
            return target.direct
        end = target.redirected
        if end is BACK:
            end = ABROAD if self.over[-1] in (FOREIGN, V1DD) else HOME
        return BARE if end is HOME and self.is_led else end


_ASKED = "direct, to a server that asks for a token"
_LOGIN = Answer(401, challenge=f'Bearer realm="https://{GLOBAL}/sticky_auth/api/v1/authorize"')
_CHAINS = {
    "to and fro": (GLOBAL, FOREIGN),
    "from abroad": (FOREIGN, GLOBAL),
    "abroad only": (FOREIGN,),
    "over another trusted host": (GLOBAL, MINNIE),
    "to and fro twice": (MINNIE, FOREIGN, GLOBAL, FOREIGN, MINNIE),
    "over another deployment": (ZETTA, GLOBAL),
    "over a deployment without a token": (GLOBAL, V1DD),
}
_STATUSES = (301, 302, 303, 307, 308)
DEPARTURES = [
    Departure("direct"),
    Departure(_ASKED, at_the_end=_LOGIN),
    *(Departure(f"redirected, {status}", (GLOBAL,), status) for status in _STATUSES),
    Departure("redirected to a server that asks for a token", (GLOBAL,), at_the_end=_LOGIN),
    *(Departure(name, over) for name, over in _CHAINS.items()),
    Departure("to and fro, 307", (GLOBAL, FOREIGN), 307),
    Departure("abroad only, 307", (FOREIGN,), 307),
]  # fmt: skip


class Habit(enum.Enum):
    """What a session is like."""

    PLAIN = "a plain session"
    KEEPS = "a session that keeps auth on redirects"
    LEAVES = "a session that does nothing about auth on redirects"
    PROXIED = "a session behind a proxy"

    def departures(self, target: Target) -> list[Departure]:
        """The ways to a target that are tried in this habit: all for the first of each kind."""
        all_there_are, for_others = _DEPARTURES_IN[self]
        names = all_there_are if target.leads_its_kind else for_others
        return [departure for departure in DEPARTURES if departure.name in names]


_KEPT = {"redirected, 302", "redirected, 307", "to and fro", "to and fro twice"}
_DEPARTURES_IN = {
    Habit.PLAIN: ({each.name for each in DEPARTURES}, {"direct", "redirected, 302"}),
    Habit.KEEPS: (_KEPT, {"redirected, 302"}),
    Habit.LEAVES: (_KEPT, set()),
    Habit.PROXIED: ({"direct", _ASKED, "redirected, 302", "to and fro"}, set()),
}
