"""Decide which URLs may see a token, without any I/O.

A token is sent only over ``https`` (or ``http`` to a loopback address that was named
explicitly), only to a trusted host, and only to the port that was trusted. An authority
with anything unusual in it (user information, a backslash, percent signs, white space,
non-ASCII letters) is not trusted. Parsers disagree about such URLs: we might check one
host, and requests connect to another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from .errors import InvalidHostSpec
from .redaction import is_like_token

#: The known public deployments: auth server -> the hosts that accept its tokens.
DEPLOYMENTS: dict[str, tuple[str, ...]] = {
    "global.daf-apis.com": (
        "*.daf-apis.com",
        "*.microns-daf.com",
        "*.flywire-daf.com",
        "cave.fanc-fly.com",
    ),
    "global.em.brain.allentech.org": ("*.em.brain.allentech.org",),
    # CRANT: graphene://middleauth+https://data.proofreading.zetta.ai/segmentation/table/kronauer_ant_x1
    "proofreading.zetta.ai": ("*.proofreading.zetta.ai",),
    # H01 and Fish1: SERVER_ADDRESS in navis/interfaces/h01.py.
    "global.brain-wire-test.org": ("*.brain-wire-test.org",),
}

#: The deployment that CAVEclient uses by default.
DEFAULT_DEPLOYMENT = "global.daf-apis.com"
DEFAULT_SERVER = f"https://{DEFAULT_DEPLOYMENT}"

#: The usual name of a data set -> its auth server.
DATA_SETS = {
    "MICrONS": "global.daf-apis.com",
    "FlyWire": "global.daf-apis.com",
    "FANC": "global.daf-apis.com",
    "BANC": "global.daf-apis.com",
    "V1DD": "global.em.brain.allentech.org",
    "CRANT": "proofreading.zetta.ai",
    "H01": "global.brain-wire-test.org",
    "Fish1": "global.brain-wire-test.org",
}
_BY_NAME = {name.lower(): server for name, server in DATA_SETS.items()}

#: A domain that CAVE gave up. Its next owner must not receive tokens because an old secret
#: file still has its name. Only ``hosts=`` or ``CAVE_AUTH_HOSTS`` can make it trusted.
RETIRED_DOMAIN = "dynamicannotationframework.com"

SPEC_FORMS = (
    "allowed are host, *.suffix, host:port, https://host:port, "
    "and http://host:port where the host is a loopback address"
)

_DEFAULT_PORTS = {"https": 443, "http": 80}
_REMEMBERED_ORIGINS = 2048
_LONGEST_ORIGIN = len("https://") + 253 + len(":65535")  # RFC 1035, section 2.3.4

# RFC 952 and RFC 1123 host names; RFC 3986 brackets for IPv6, without a zone (RFC 6874).
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = rf"(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])"
_PORT = r"(?::(?P<port>[1-9][0-9]{0,4}))?"
_ORIGIN = re.compile(rf"(?P<scheme>https?)://{_HOST}{_PORT}(?=[/?#]|\Z)", re.ASCII | re.IGNORECASE)
_SPEC = re.compile(
    rf"(?:(?P<scheme>https?)://)?(?P<wildcard>\*\.)?{_HOST}{_PORT}\Z", re.ASCII | re.IGNORECASE
)
_PASSWORD = r"(?<=[^/]:)[^/@]*(?=@)"
_ENDS_IN_A_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\Z")


class Origin(NamedTuple):
    """Scheme, host and port (RFC 6454): the unit of trust."""

    scheme: str
    host: str
    port: int

    @property
    def server(self) -> str:
        """``host``, or ``host:port`` if the port is not the scheme's default, as in file names."""
        if self.port == _DEFAULT_PORTS[self.scheme]:
            return self.host
        return f"{self.host}:{self.port}"


class HostSpec(NamedTuple):
    """One entry of a list of trusted hosts: an origin, or every host below a suffix."""

    origin: Origin
    wildcard: bool = False

    @classmethod
    def parse(cls, text: str) -> HostSpec:
        """Read a host specification.

        :param text: ``host``, ``*.suffix``, ``host:port``, ``https://host:port`` or
            ``http://loopback:port``. The default port is the scheme's.
        :raises InvalidHostSpec: for anything else; also a :class:`ValueError`.

        >>> HostSpec.parse("localhost:8443").origin
        Origin(scheme='https', host='localhost', port=8443)
        >>> HostSpec.parse("*.daf-apis.com").wildcard
        True
        """
        match = _SPEC.match(text) if isinstance(text, str) else None
        origin = _origin_from(match) if match else None
        if origin is not None and is_like_token(origin.host):
            raise InvalidHostSpec(f"{text!r} is a token, not a host: {SPEC_FORMS}.")
        if match is None or origin is None:
            shown = re.sub(_PASSWORD, "...", text) if isinstance(text, str) else text
            raise InvalidHostSpec(f"{shown!r} is not a host specification: {SPEC_FORMS}.")
        if match["wildcard"]:
            _check_wildcard(text, match, origin)
        if origin.scheme == "http" and not is_loopback(origin.host):
            raise InvalidHostSpec(
                f"{text!r}: tokens are sent over https only; write 'https://{origin.host}'. "
                "Plain http is for loopback addresses (localhost, 127.0.0.1, [::1])."
            )
        return cls(origin, bool(match["wildcard"]))


def parse_origin(url: str) -> Origin | None:
    """The origin of an ``http`` or ``https`` URL; None for an unusual authority.

    >>> parse_origin("https://Global.DAF-apis.com/info/")
    Origin(scheme='https', host='global.daf-apis.com', port=443)
    >>> parse_origin("https://global.daf-apis.com@evil.example/") is None
    True
    """
    match = _ORIGIN.match(url) if isinstance(url, str) else None
    return _origin_from(match) if match else None


def auth_server_of(origin: Origin) -> str | None:
    """The auth server whose tokens a host accepts; None if it is in no known deployment.

    >>> auth_server_of(parse_origin("https://minnie.microns-daf.com/"))
    'global.daf-apis.com'
    """
    for server, hosts in _DEPLOYED.items():
        if hosts.include(origin):
            return server
    return None


def deployment_of(origin: Origin) -> str:
    """The deployment of a host: its auth server. An unknown host is a deployment of its own.

    >>> deployment_of(parse_origin("https://minnie.microns-daf.com/"))
    'global.daf-apis.com'
    >>> deployment_of(parse_origin("https://localhost:8443/"))
    'localhost:8443'
    """
    return auth_server_of(origin) or origin.server


def server_called(name: str) -> str | None:
    """The auth server of a data set, by its usual name; None for any other word.

    >>> server_called("MICrONS")
    'global.daf-apis.com'
    """
    return _BY_NAME.get(name.lower())


def is_retired(host: str) -> bool:
    """Whether a host is in the domain that CAVE gave up."""
    return f".{host}".endswith("." + RETIRED_DOMAIN)


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this computer: 127.0.0.0/8, ::1 or ``localhost``."""
    if host == "localhost":  # RFC 6761, section 6.3
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class TrustedHosts:
    """A fixed list of host specifications, which decides fast whether a URL may see a token.

    :param specs: host specifications, as :meth:`HostSpec.parse` takes them.
    :raises InvalidHostSpec: for the first entry that is not one; also a :class:`ValueError`.

    >>> hosts = TrustedHosts(["*.daf-apis.com"])
    >>> hosts.trust("https://global.daf-apis.com/auth")
    True
    >>> hosts.trust("https://global.daf-apis.com.evil.example/")
    False
    """

    def __init__(self, specs: Iterable[str]):
        if isinstance(specs, (str, bytes)):
            raise InvalidHostSpec(
                f"hosts is a list of host specifications, not one string: write [{specs!r}]."
            )
        parsed = [HostSpec.parse(spec) for spec in specs]
        self._origins = {spec.origin for spec in parsed if not spec.wildcard}
        self._suffixes = {spec.origin.host for spec in parsed if spec.wildcard}
        self._decisions: dict[str, Origin | None] = {}
        self._last: tuple[str, Origin | None] = ("\0", None)  # matches no URL

    def trust(self, url: str) -> bool:
        """Whether a URL may see a token."""
        return self.trusted_origin(url) is not None

    def trusted_origin(self, url: str) -> Origin | None:
        """The origin of a URL that may see a token; None for every other URL."""
        # "https://" has 8 characters; the first slash after them ends the authority, at the latest.
        # The rest of the URL does not matter, so decisions are cached by that part of it. Longer
        # strings than any origin are not cached: their length is the caller's choice.
        if not isinstance(url, str):
            return None
        last, origin = self._last
        if url.startswith(last):
            return origin
        end = url.find("/", 8)
        key = url if end < 0 else url[:end]
        if len(key) > _LONGEST_ORIGIN:
            return self._decide(key)
        try:
            origin = self._decisions[key]
        except KeyError:
            origin = self._remember(key, self._decide(key))
        if end >= 0:
            self._last = url[: end + 1], origin
        return origin

    def include(self, origin: Origin) -> bool:
        """Whether an origin is in the list."""
        if origin in self._origins:
            return True
        if origin.scheme != "https" or origin.port != _DEFAULT_PORTS["https"]:
            return False
        suffix = origin.host
        while suffix:
            _, _, suffix = suffix.partition(".")
            if suffix in self._suffixes:
                return True
        return False

    def _decide(self, key: str) -> Origin | None:
        origin = parse_origin(key)
        return origin if origin is not None and self.include(origin) else None

    def _remember(self, key: str, origin: Origin | None) -> Origin | None:
        if len(self._decisions) >= _REMEMBERED_ORIGINS:  # limited, for crawlers
            self._decisions.clear()
        self._decisions[key] = origin
        return origin


def server_name(server: str) -> str:
    """The name of a server in the names of secret files: ``host``, or ``host:port``.

    :param server: ``host``, ``host:port`` or ``https://host:port``.
    :raises InvalidHostSpec: (also a :class:`ValueError`) if it is none of these.

    >>> server_name("https://Global.DAF-apis.com/")
    'global.daf-apis.com'
    """
    spec = HostSpec.parse(server.rstrip("/") if isinstance(server, str) else server)
    if spec.wildcard:
        raise InvalidHostSpec(f"{server!r} is not one server: write host or host:port.")
    return spec.origin.server


def trusted_by_file(server: str) -> bool:
    """Whether a secret file for a server of this name makes it trusted.

    A name without a dot or a port is more likely a label (``backup``) than a server.

    >>> trusted_by_file("localhost:8443"), trusted_by_file("backup")
    (True, False)
    """
    try:
        host = HostSpec.parse(server).origin.host
        if server_name(server) != server:
            return False
    except InvalidHostSpec:
        return False
    return not is_retired(host) and ("." in host or ":" in server or is_loopback(host))


def _origin_from(match: re.Match[str]) -> Origin | None:
    """An :class:`Origin` with its host in canonical form; None if the host or port is invalid."""
    scheme = (match["scheme"] or "https").lower()
    port = int(match["port"] or _DEFAULT_PORTS[scheme])
    host = _canonical_host(match["host"].lower())
    return Origin(scheme, host, port) if host and port < 2**16 else None


def _canonical_host(host: str) -> str | None:
    try:
        if host.startswith("["):
            return f"[{IPv6Address(host[1:-1]).compressed}]"
        # Resolvers and the URL standard ("ends in a number") read 127.1, 0x7f.1 and 2130706433 as
        # addresses. We accept only four decimal parts.
        if _ENDS_IN_A_NUMBER.match(host):
            return str(IPv4Address(host))
    except ValueError:
        return None
    return host if len(host) <= 253 else None


def _check_wildcard(text: str, match: re.Match[str], origin: Origin) -> None:
    if match["scheme"] or match["port"]:
        raise InvalidHostSpec(f"{text!r}: *.suffix has neither scheme nor port: {SPEC_FORMS}.")
    if "." not in origin.host or origin.host[0] == "[" or origin.host[-1].isdigit():
        raise InvalidHostSpec(
            f"{text!r} is too wide, or not a domain: write at least *.domain.tld; {SPEC_FORMS}."
        )


_DEPLOYED = {server: TrustedHosts((server, *hosts)) for server, hosts in DEPLOYMENTS.items()}
