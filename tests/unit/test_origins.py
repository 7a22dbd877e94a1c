"""Which URLs may see a token, and to which deployment they belong."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.util import parse_url

from cave_auth_adapter import InvalidHostSpec, origins
from cave_auth_adapter.origins import (
    DEPLOYMENTS,
    HostSpec,
    Origin,
    TrustedHosts,
    auth_server_of,
    deployment_of,
    is_loopback,
    parse_origin,
    server_called,
    server_name,
    trusted_by_file,
)


class TestTrustedHosts:
    @pytest.mark.parametrize("hosts", ["cave.example.org", b"cave.example.org", ""])
    def test_one_string_is_not_a_list(self, hosts: str) -> None:
        with pytest.raises(InvalidHostSpec, match=r"not one string: write \["):
            TrustedHosts(hosts)

    def test_an_empty_list_trusts_nothing(self) -> None:
        assert not TrustedHosts([]).trust("https://global.daf-apis.com/")

    @pytest.mark.parametrize(
        "url",
        [
            "https://cave.example.org",
            "https://cave.example.org/",
            "https://cave.example.org/a?b=c#d",
            "https://cave.example.org?b=https://x/",
            "https://cave.example.org#d",
            "https://cave.example.org:443/",
            "HTTPS://CAVE.EXAMPLE.ORG/",
            "https://cave.example.org/@evil.example/",
            "https://cave.example.org/\\evil.example",
            "https://cave.example.org/ü %",
            "https://cave.example.org:8443/",
            "https://deep.below.example.net/",
            "http://localhost:8000/",
            "http://127.0.0.1:8000/",
            "http://[::1]:8000/",
            "http://[0::1]:8000/",
        ],
    )
    def test_urls_of_trusted_hosts_are_trusted(self, url: str) -> None:
        assert HOSTS.trust(url)

    @pytest.mark.parametrize(
        "url",
        [
            # another scheme or port
            "http://cave.example.org/",
            "http://cave.example.org:443/",
            "http://cave.example.org:8443/",
            "ftp://cave.example.org/",
            "https://cave.example.org:444/",
            "https://cave.example.org:80/",
            "https://deep.below.example.net:8443/",
            "http://deep.below.example.net/",
            "https://localhost:8000/",
            "http://localhost:8001/",
            "http://localhost/",
            "https://[::1]:8000/",
            # look-alikes
            "https://cave.example.org.evil.example/",
            "https://cave.example.org-evil.example/",
            "https://cave.example.orgevil.example/",
            "https://evilcave.example.org/",
            "https://sub.cave.example.org/",
            "https://example.net/",
            "https://evilexample.net/",
            "https://below.example.net.evil.example/",
            "https://evil.example/cave.example.org",
            "https://evil.example?https://cave.example.org/",
            "https://evil.example#https://cave.example.org/",
            # user information
            "https://user@cave.example.org/",
            "https://user:password@cave.example.org/",
            "https://@cave.example.org/",
            "https://cave.example.org@evil.example/",
            "https://cave.example.org:443@evil.example/",
            "https://evil.example@cave.example.org/",
            # odd authorities
            "https://cave.example.org\\@evil.example/",
            "https://cave.example.org\\.evil.example/",
            "https:\\\\cave.example.org/",
            "https://cave.example.org./",
            "https://cave.example.org%2eevil.example/",
            "https://cave%2eexample.org/",
            "https://cave.example.org%00.evil.example/",
            "https://cave.example.org\x00/",
            "https://cave.example.org /",
            " https://cave.example.org/",
            "https:// cave.example.org/",
            "\nhttps://cave.example.org/",
            "https://cave.example.org\n/",
            "https://cave.exam\tple.org/",
            "https://cave.example.org\n.evil.example/",
            "https://cave.example.org\u3002evil.example/",
            "https://cave\uff0eexample.org/",
            "https://cave.example.org\u2044.evil.example/",
            "https://cave.example.org:/",
            "https://cave.example.org:0443/",
            "https://cave.example.org:443:443/",
            "https://cave.example.org:65979/",  # 443 + 2**16
            "https://cave.example.org;evil/",
            "https://cave.example.org&evil/",
            "https://cave.example.org,evil.example/",
            "https://*.example.net/",
            "https://_.example.net/",
            # letters that lower() or casefold() turns into ASCII
            "https://cave.example.or\u210a/",
            "https://\u212aate.example.net/",
            "https://\u017fub.example.net/",
            # other spellings of a trusted address
            "http://127.1:8000/",
            "http://2130706433:8000/",
            "http://0x7f000001:8000/",
            "http://127.0.0.01:8000/",
            "http://0177.0.0.1:8000/",
            "http://localhost.:8000/",
            "http://sub.localhost:8000/",
            "http://[::1%25lo]:8000/",
            "http://[::ffff:127.0.0.1]:8000/",
            "http://::1:8000/",
            # no authority at all
            "",
            "https:",
            "https:/",
            "https://",
            "https:///",
            "https:///cave.example.org/",
            "https:////cave.example.org/",
            "https:cave.example.org/",
            "https:/cave.example.org/",
            "//cave.example.org/",
            "cave.example.org",
            "/cave.example.org",
            "https://:443/",
            "blob:https://cave.example.org/",
            "https+unix://cave.example.org/",
            "view-source:https://cave.example.org/",
            # not a string
            None,
            b"https://cave.example.org/",
            443,
        ],
    )
    def test_other_urls_are_not_trusted(self, url: str) -> None:
        assert not HOSTS.trust(url)

    def test_remembered_decisions_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(origins, "_REMEMBERED_ORIGINS", 8)
        hosts = TrustedHosts(["*.example.net"])
        answers = [hosts.trust(f"https://host{n}.example.net/") for n in range(100)]
        assert all(answers)
        assert len(hosts._decisions) <= 8

    def test_paths_are_not_remembered(self) -> None:
        hosts = TrustedHosts(["*.example.net"])
        for n in range(100):
            hosts.trust(f"https://one.example.net/{n}")
        assert len(hosts._decisions) == 1

    def test_asking_again_gives_the_same_answer(self) -> None:
        hosts = TrustedHosts(["cave.example.org"])
        urls = ["https://cave.example.org/", "https://cave.example.org.evil.example/"] * 3
        assert [hosts.trust(url) for url in urls] == [True, False] * 3


HOSTS = TrustedHosts(
    [
        "cave.example.org",
        "cave.example.org:8443",
        "*.example.net",
        "http://localhost:8000",
        "http://127.0.0.1:8000",
        "http://[::1]:8000",
    ]
)


class TestDefaultDeployments:
    def test_well_known_names_lead_to_their_deployment(self) -> None:
        names = ("microns", "flywire", "fanc", "banc", "v1dd", "crant", "h01", "fish1")
        assert {server_called(name) for name in names} == set(DEPLOYMENTS)
        assert server_called("H01") == "global.brain-wire-test.org"
        assert server_called("global.daf-apis.com") is None

    @pytest.mark.parametrize(
        ("url", "deployment"),
        [
            ("https://minnie.microns-daf.com/", "global.daf-apis.com"),
            ("https://cave.my-lab.org/", "cave.my-lab.org"),
            ("https://localhost:8443/", "localhost:8443"),
            ("https://minnie.microns-daf.com:8443/", "minnie.microns-daf.com:8443"),
        ],
    )
    def test_an_unknown_host_is_a_deployment_of_its_own(self, url: str, deployment: str) -> None:
        assert deployment_of(HostSpec.parse(url.rstrip("/")).origin) == deployment

    @pytest.mark.parametrize("server", DEPLOYMENTS)
    def test_an_auth_server_takes_its_own_tokens(self, server: str) -> None:
        assert auth_server_of(Origin("https", server, 443)) == server

    @pytest.mark.parametrize(
        ("host", "server"),
        [
            ("minnie.microns-daf.com", "global.daf-apis.com"),
            ("prodv1.flywire-daf.com", "global.daf-apis.com"),
            ("cave.fanc-fly.com", "global.daf-apis.com"),
            ("api.em.brain.allentech.org", "global.em.brain.allentech.org"),
            ("www.fanc-fly.com", None),
            ("brain.allentech.org", None),
            ("zetta.ai", None),
            ("data.proofreading.zetta.ai", "proofreading.zetta.ai"),
            ("local.brain-wire-test.org", "global.brain-wire-test.org"),
            ("brain-wire-test.org", None),
            ("global.dynamicannotationframework.com", None),
        ],
    )
    def test_the_auth_server_of_a_host(self, host: str, server: str | None) -> None:
        assert auth_server_of(Origin("https", host, 443)) == server

    def test_another_port_is_another_server(self) -> None:
        assert auth_server_of(Origin("https", "global.daf-apis.com", 8443)) is None


@pytest.mark.parametrize(
    ("server", "name"),
    [
        ("global.daf-apis.com", "global.daf-apis.com"),
        ("https://Global.DAF-apis.com/", "global.daf-apis.com"),
        ("https://global.daf-apis.com:443", "global.daf-apis.com"),
        ("localhost:8443", "localhost:8443"),
        ("http://localhost:8000", "localhost:8000"),
        ("[0::1]:8443", "[::1]:8443"),
    ],
)
def test_a_server_has_a_name_for_files(server: str, name: str) -> None:
    assert server_name(server) == name


@pytest.mark.parametrize("server", ["*.example.org", "../x", "a/b", "", None, "http://a.example"])
def test_a_malformed_server_has_no_name(server: str) -> None:
    with pytest.raises(InvalidHostSpec):
        server_name(server)


@pytest.mark.parametrize(
    "server",
    [
        "*.example.org",
        "",
        "Global.DAF-apis.com",
        "https://example.org",
        "example.org:443",
        "127.1",
        "a_b",
        "dynamicannotationframework.com",
        "global.dynamicannotationframework.com",
        "dynamicannotationframework.com:8443",
        *("backup", "old", "minnie65", "2024-01-31", "com", "[::1"),
    ],
)
def test_file_names_that_make_no_server_trusted(server: str) -> None:
    assert not trusted_by_file(server)


@pytest.mark.parametrize(
    "server",
    [
        *("example.org", "localhost:8443", "notdynamicannotation.com"),
        *("localhost", "10.0.0.1", "cave:8443", "[::1]", "[2001:db8::1]:8443"),
    ],
)
def test_file_names_that_make_a_server_trusted(server: str) -> None:
    assert trusted_by_file(server)


@pytest.mark.parametrize(
    "url", ["https://x@evil.example/https://cave.example.org/", " https://cave.example.org"]
)
def test_a_url_begins_with_its_origin(url: str) -> None:
    assert parse_origin(url) is None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.255.0.9", "[::1]"])
def test_loopback_addresses_are_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "128.0.0.1", "[::]", "localhost.evil.example", ""])
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


# Pieces that make parsers disagree, around trusted hosts.
_PIECES = st.sampled_from(
    [
        *("cave.example.org", "x.example.net", "localhost", "127.0.0.1", "[::1]", "[0:0::1]"),
        *("evil.example", ":", ":443", ":8443", ":8000", ":0443", "@", "user:pw@", ".", "-", ""),
        *("/", "\\", "?", "#", ";", "&", "%2e", "%2F", "%40", "%00", " ", "\t", "\n", "\r", "\x00"),
        *("ſ", "K", "。", "．", "／", "＠", "ⓒ", "é", "*", "[", "]", "xn--", "0x7f", "1"),  # noqa: RUF001
    ]
)
_SCHEMES = st.sampled_from(
    ["https://", "http://", "HTTPS://", "hTTp://", "https:", "https:///", ""]
)
_AUTHORITIES = st.lists(_PIECES, min_size=1, max_size=4).map("".join)
_TAILS = st.one_of(st.just(""), st.lists(_PIECES, max_size=5).map("".join).map("/".__add__))
_URLS = st.builds("{}{}{}{}".format, _SCHEMES, _PIECES, _AUTHORITIES, _TAILS) | st.builds(
    "{}{}{}{}".format,
    _SCHEMES,
    st.sampled_from(["cave.example.org", "x.example.net", "localhost", "127.0.0.1", "[::1]"]),
    st.sampled_from(["", ":443", ":8443", ":8000"]) | _PIECES,
    _TAILS | _AUTHORITIES.map("?".__add__) | _AUTHORITIES.map("#".__add__),
)


def _same_host(one: str | None, other: str) -> bool:
    if one is None or other[0] != "[":
        return one == other
    return ip_address(one.strip("[]")) == ip_address(other.strip("[]"))


@given(_URLS)
@example("https://cave.example.org?@evil.example/")
@example("https://x.example.net#@evil.example")
@example("http://[0::1]:8000/\\@evil.example")
def test_other_parsers_agree_on_every_trusted_url(url: str) -> None:
    origin = HOSTS.trusted_origin(url)
    if origin is None:
        return
    split = urlsplit(url)
    assert split.scheme == origin.scheme
    assert split.username is split.password is None
    assert _same_host(split.hostname, origin.host)
    assert (split.port or {"https": 443, "http": 80}[split.scheme]) == origin.port
    parsed = parse_url(url)
    assert parsed.scheme == origin.scheme
    assert parsed.auth is None
    assert _same_host(parsed.host, origin.host)
    assert (parsed.port or {"https": 443, "http": 80}[origin.scheme]) == origin.port


@given(_URLS)
def test_requests_connects_to_the_trusted_host(url: str) -> None:
    """Preparing a URL in requests does not change its host."""
    if not HOSTS.trust(url):
        return
    prepared = requests.Request("GET", url).prepare()
    assert HOSTS.trusted_origin(prepared.url or "") == HOSTS.trusted_origin(url)


@given(st.text(max_size=40))
def test_any_text_gets_an_answer(text: str) -> None:
    origin = parse_origin(text)
    assert origin is None or origin.scheme in ("http", "https")


@given(_URLS)
def test_the_decision_is_the_same_with_and_without_memory(url: str) -> None:
    fresh = TrustedHosts(["cave.example.org", "*.example.net"])
    assert fresh.trusted_origin(url) == fresh.trusted_origin(url)
    parsed = parse_origin(url)
    assert fresh.trust(url) == (parsed is not None and fresh.include(parsed))


@pytest.mark.parametrize("rest", [".evil.example/", ":8443/", "@evil.example/", "\\.evil.example/"])
def test_a_remembered_decision_does_not_apply_to_a_look_alike(rest: str) -> None:
    hosts = TrustedHosts(["cave.example.org"])
    for _ in range(2):
        assert hosts.trust("https://cave.example.org/info")
        assert not hosts.trust(f"https://cave.example.org{rest}")
