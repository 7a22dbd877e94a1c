"""Host specifications as plain data, the URLs that they cover, and URLs grown to deceive."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import NamedTuple

from hypothesis import strategies as st

from .oracle import Place, place

_PORTS = {"http": 80, "https": 443}


class Spec(NamedTuple):
    """The meaning of a host specification, without parsing its text."""

    scheme: str
    host: str
    port: int
    wildcard: bool = False

    def accepts(self, where: Place) -> bool:
        if self.wildcard:
            below = isinstance(where.host, str) and where.host.endswith("." + self.host)
            return below and (where.scheme, where.port) == ("https", 443)
        return where == place(self.scheme, self.host, self.port)

    def texts(self) -> list[str]:
        """All the ways to write it."""
        if self.wildcard:
            return [f"*.{self.host}"]
        full = f"{self.scheme}://{self.host}"
        texts = [f"{full}:{self.port}"]
        if self.port == _PORTS[self.scheme]:
            texts.append(full)
        return [*texts, *(text.removeprefix("https://") for text in texts if "https:" in text)]


FIXED = (
    Spec("https", "cave.example.org", 443),
    Spec("https", "cave.example.org", 8443),
    Spec("https", "example.net", 443, wildcard=True),
    Spec("https", "k8s.sink.example", 443, wildcard=True),
    Spec("https", "localhost", 443),
    Spec("http", "localhost", 8000),
    Spec("http", "127.0.0.1", 8000),
    Spec("http", "[::1]", 8000),
    Spec("https", "127.0.0.1", 443),
    Spec("https", "[2001:db8::1]", 8443),
    Spec("https", "[::ffff:192.0.2.1]", 443),
    Spec("https", "xn--bcher-kva.example", 443),
)

_ALNUM = "abcdefghijklmnopqrstuvwxyz0123456789"


def labels(max_size: int = 63) -> st.SearchStrategy[str]:
    """RFC 1123, section 2.1; without the prefix of punycode, whose rest has rules of its own."""
    text = st.text(_ALNUM + "-", min_size=1, max_size=max_size)
    return text.filter(lambda t: t[0] != "-" != t[-1] and t[2:4] != "--")


HOSTS = st.builds(
    lambda parts, last: ".".join([*parts, last]),
    st.lists(labels(12), min_size=1, max_size=3),
    st.sampled_from(["example", "org", "com", "co-op", "c0m"]),
)
_PORT = st.one_of(st.just(443), st.integers(1, 65535))
SPECS = st.one_of(
    st.sampled_from(FIXED),
    st.builds(Spec, st.just("https"), HOSTS, _PORT, st.just(False)),
    st.builds(Spec, st.just("https"), HOSTS, st.just(443), st.just(True)),
)


@st.composite
def any_case(draw: st.DrawFn, text: str) -> str:
    ups = draw(st.sampled_from([0, 0, -1]) | st.integers(0, 2 ** len(text) - 1))
    return "".join(c.upper() if ups >> n & 1 else c for n, c in enumerate(text))


@st.composite
def plain_urls(draw: st.DrawFn, spec: Spec) -> str:
    """Plain URLs of a host that a specification covers."""
    host = spec.host
    if spec.wildcard:
        below = draw(st.lists(labels(), min_size=1, max_size=3))
        while len(".".join([*below, host])) > 253:
            below.pop()
        host = ".".join([*below, host])
    if host.startswith("["):
        host = draw(st.sampled_from([host, f"[{IPv6Address(host[1:-1]).exploded}]"]))
    scheme, host = draw(any_case(spec.scheme)), draw(any_case(host))
    standard = spec.port == _PORTS[spec.scheme]
    port = "" if standard and draw(st.booleans()) else f":{spec.port}"
    path = draw(st.text(_ALNUM + "/.-_~@:%25", max_size=20))
    tail = draw(st.sampled_from(["", f"/{path}", f"?{path}", f"#{path}", f"/a?b={path}#c"]))
    return f"{scheme}://{host}{port}{tail}".replace("%", "%25")


# --- Fragments by which URLs have deceived one parser or another ----------------------------

_ODD_SCHEMES = (
    *("http", "HTTP", "ftp", "ws", "wss", "file", "javascript", "httpss", "xhttps", "https+unix"),
    *(" https", "\thttps", "\x00https", "ht\ntps", "https\t", "http\u017f", "\uff48ttps", ""),
    *("blob:https", "view-source:https", "https://https"),
)
_ODD_SEPARATORS = (
    *(":", ":/", ":///", ":////", ":\\\\", ":/\\", ":\\/", "//", "/", "", ":\t//", ":/\n/"),
    *("://\t", "://\r\n", ":// ", "://\x00", "%3a//", "\uff1a//", "://\u200b", "://./"),
)
_ODD_USERS = (
    *("user@", "user:password@", "@", ":@", "%40", "evil.example@", "evil.example:443@", "a@b@"),
    *("evil.example\\@", "evil.example/@", "evil.example?@", "evil.example#@", "\uff20", "\t@"),
)
_BEFORE = (
    *("evil", "evil-", "sub.", "a.b.", ".", "..", "-", "-a.", "a-.", "_.", "*.", "a_b.", "xn--a."),
    *("xn--", "xn--bcher-kva.", "b\u00fccher.", "\uff57\uff57\uff57.", "x" * 63 + ".", "0."),
    *(
        "a%2eb.",
        "a%41.",
        "a%2fb.",
        "evil%23.",
        "a%00b.",
        "a%.",
        "x" * 64 + ".",
        "a." * 110,
        "evil.example/",
        "evil.example\\",
        "evil.example#",
        "1.1.",
    ),
    *(
        "evil.example?",
        "evil.example@",
        "[",
        "%",
        "%00",
        "\x00",
        "\t",
        "\n",
        " ",
        "\u200d",
        "\u00ad",
    ),
    *("\ufeff", "\u202e", "\ud800", "\udc00", "a\u2024", "a\u3002", "a\uff0e", "a\uff61", "a%2e"),
)
_BEHIND = (
    *(".evil.example", "-evil.example", "evil.example", "evil", ".", "..", ".com", "-", "_", "*"),
    *("\u3002evil.example", "\uff0eevil.example", "\uff61evil.example", "%2eevil.example", "%2e"),
    *("%00.evil.example", "\x00.evil.example", "\x00", "%00", "\t", "\n", "\r", "\n.evil.example"),
    *(
        " ",
        " .evil.example",
        "\\",
        "\\.evil.example",
        "\\@evil.example",
        "@evil.example",
        "%40evil",
    ),
    *(":443@evil.example", "/@evil.example", "?@evil.example", "#@evil.example", ";evil", "&evil"),
    *(
        ",evil.example",
        "\u2044.evil.example",
        "\u2215evil",
        "\uff0fevil",
        "\uff1fevil",
        "\uff03evil",
    ),
    *(
        "]",
        "[",
        "%5b",
        "^",
        "|",
        "`",
        "{",
        "<",
        "\x7f",
        "\x85",
        "\u2028",
        "\ud800",
        "\ufffd",
        "\u00df",
    ),
)
_ADDRESSES = (
    *("127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.0.0.01", "0"),
    *("127.0.0.1", "127.0.0.1.", "0x7f.0x0.0x0.0x1", "127.0.0.1.nip.io", "1.2.3", "1.2.3.4.5"),
    *("256.256.256.256", "4294967296", "\uff11\uff12\uff17.0.0.1", "\u0661\u0662\u0667.0.0.1"),
    *(
        "127.0.0.0x1",
        "127.0.0.1x",
        "0x",
        "0x.0x",
        "127.0.0.09",
        "localhost",
        "localhost.",
        "x.0x7f",
    ),
    *("[::1]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[::00001]", "[::ffff:127.0.0.1]", "[::127.0.0.1]"),
    *("[::1%25lo]", "[::1%lo]", "[::1%]", "[::1", "::1", "[::1].evil.example", "[::1]evil", "[]"),
    *("[:::1]", "[v1.x]", "[::ffff:7f00:1]", "[fe80::1%25eth0]", "[2001:db8::1%25eth0]", "[1:2]"),
    *("[::192.0.2.01]", "[::FFFF:192.0.2.1]", "[::ffff:c000:201]", "[2001:DB8:0::1]", "[.]", "[:]"),
)
_ODD_PORTS = (
    *(":", ":0", ":00", ":0443", ":00443", ":444", ":80", ":8000", ":8443", ":65535", ":65536"),
    *(":65979", ":4294967739", ":443:443", ":443a", ":a", ": 443", ":443 ", ":\t443", ":44\n3"),
    *(":-443", ":+443", ":4_43", ":0x1bb", ":\uff14\uff14\uff13", ":\u0664\u0664\u0663", ":443."),
    *(":443\\", ":443@evil.example", ":%34%34%33", ":443%00", "::443", ":443\x00"),
)
_TAILS = (
    *("/", "?", "#", "/path", "\\", "\\evil", ";x", "%2f", "%23", " ", "\x00", "\n/", "\t", "\r"),
    *(
        "/@evil.example",
        "?@evil.example",
        "#@evil.example",
        "/..//evil.example",
        "/\u2028",
        "/\ud800",
    ),
    *("/%", "/\\evil.example", "/?#", "\u2028", "\uff0f", "/ \u00fc", "\x85", "\xa0"),
)
_DOTS = ("\u3002", "\uff0e", "\uff61", "\u2024", "%2e", "%2E", "..", "%252e", ".\t", ".\n", "\\.")
_DOUBLES = {
    **{"k": "\u212a", "s": "\u017f", "o": "\u043e", "e": "\uff45", "l": "\u0406", "a": "%61"},
    **{"c": "\u24d2", "1": "\u00b9", "0": "\uff10", "x": "\u2179", "n": "n\u0303", "p": "%70"},
}
_SPLINTERS = st.sampled_from(
    [*"\t\n\r \x00\x0b\x1f\x7f\x85\xa0\\/@:?#%[].-_*", "\u200b", "\u3002", "\ufeff", "\ud800"]
)


_ODDITIES = (
    *(("scheme", odd) for odd in _ODD_SCHEMES),
    *(("separator", odd) for odd in _ODD_SEPARATORS),
    *(("user", odd) for odd in _ODD_USERS),
    *(("before", odd) for odd in _BEFORE),
    *(("behind", odd) for odd in _BEHIND),
    *(("address", odd) for odd in _ADDRESSES),
    *(("port", odd) for odd in _ODD_PORTS),
    *(("tail", odd) for odd in _TAILS),
    *(("dot", odd) for odd in _DOTS),
    *(("letter", letter) for letter in _DOUBLES),
    *[("splinter", "")] * 20,
)


_ODDITY = st.sampled_from(_ODDITIES)


def _deface(draw: st.DrawFn, parts: dict[str, str], kind: str, odd: str) -> None:
    """Put one oddity into the parts of a URL."""
    host = parts["host"]
    if kind == "before":
        parts["host"] = odd + host
    elif kind == "behind":
        parts["host"] = host + odd
    elif kind == "address":
        parts["host"] = odd
    elif kind == "dot":
        parts["host"] = host.replace(".", odd, draw(st.integers(1, 3)))
    elif kind == "letter":
        parts["host"] = host.replace(odd, _DOUBLES[odd], 1)
    elif kind == "splinter":
        name = draw(st.sampled_from(sorted(parts)))
        at = draw(st.integers(0, len(parts[name])))
        parts[name] = parts[name][:at] + draw(_SPLINTERS) + parts[name][at:]
    else:
        parts[kind] = odd


@st.composite
def hostile_urls(draw: st.DrawFn, specs: Sequence[Spec]) -> str:
    """URLs of trusted hosts with nothing wrong, one thing (most of them), or two."""
    spec = draw(st.sampled_from([*specs, *FIXED[:3]]))
    host = draw(any_case(spec.host))
    if spec.wildcard and draw(st.integers(0, 9)):
        host = f"{draw(labels(8))}.{host}"
    port = "" if spec.port == _PORTS[spec.scheme] else f":{spec.port}"
    scheme = draw(any_case(spec.scheme))
    tail = draw(st.sampled_from(["/", "/", ""]))
    parts = {"scheme": scheme, "separator": "://", "user": "", "host": host}
    parts |= {"port": port, "tail": tail}
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 1, 2]))):
        _deface(draw, parts, *draw(_ODDITY))
    order = ("scheme", "separator", "user", "host", "port", "tail")
    return "".join(parts[name] for name in order)


_FRAGMENT = st.sampled_from(
    [
        *("https", "://", "@", ":", "/", "\\", *_ODD_SCHEMES, *_ODD_SEPARATORS, *_ODD_USERS),
        *(*_BEFORE, *_BEHIND, *_ADDRESSES, *_ODD_PORTS, *_TAILS, *_DOTS),
    ]
)

#: Texts that might be written for a host and a port.
NAMES = st.builds(
    lambda before, host, behind, port: before + host + behind + port,
    st.sampled_from(["", "", "", "https://", "http://", "*.", "ftp://", "//", "user@"]),
    st.sampled_from(_ADDRESSES) | st.sampled_from([spec.host for spec in FIXED]) | HOSTS,
    st.just("") | st.sampled_from(_BEHIND),
    st.just("") | st.sampled_from(_ODD_PORTS),
)


@st.composite
def soups(draw: st.DrawFn, specs: Sequence[Spec] = FIXED) -> str:
    """Fragments in any order."""
    hosts = [spec.host for spec in specs] + [f"a.{spec.host}" for spec in specs]
    return "".join(draw(st.lists(_FRAGMENT | st.sampled_from(hosts), max_size=7)))
