"""The decision to trust a URL, compared with how a browser and ``requests`` read it."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from cave_auth_adapter import CaveAuth, InvalidHostSpec
from cave_auth_adapter.origins import HostSpec, Origin, TrustedHosts, server_name

from .budget import examples
from .oracle import Place, place, place_in_a_browser, place_of_an_adapter, place_of_requests
from .urls import FIXED, NAMES, SPECS, Spec, hostile_urls, plain_urls, soups

TRUSTED_AT_LEAST = 0.05  # of all examples; as many must be refused
LOOPBACK = ("localhost", "127.0.0.1", int(place("http", "[::1]", 80).host))
PLAIN_CHARACTERS = set(string.ascii_letters + string.digits + ".-:[]")

Decide = Callable[[str], Origin | None]


def assert_trust_is_sound(decide: Decide, specs: list[Spec], url: str) -> bool:
    """Whether a URL is trusted; if it is, all must agree on where it leads, and that it may."""
    origin = decide(url)
    if origin is None:
        return False
    where = place(*origin)
    assert any(spec.accepts(where) for spec in specs)
    assert is_plain(url)
    assert where.scheme == "https" or where.host in LOOPBACK
    assert place_in_a_browser(url) == where or is_bad_punycode(where)
    assert place_of_an_adapter(url) in (where, None)
    assert place_of_requests(url) in (where, None)
    return True


def is_plain(url: str) -> bool:
    """Whether a URL's authority is one that all parsers read in the same way."""
    after_scheme = url.partition("://")[2]
    authority = re.split("[/?#]", after_scheme, maxsplit=1)[0]
    return bool(authority) and set(authority) <= PLAIN_CHARACTERS


def is_bad_punycode(where: Place) -> bool:
    """Whether a host has a label that a browser does not open; to requests it is a host like all.

    As such it is below a domain that is trusted, or was named as it stands.
    """
    return isinstance(where.host, str) and f".{where.host}".find(".xn--") >= 0


class Tally(Counter[bool]):
    """How many URLs were trusted and how many not; each property needs enough of both."""

    def note(self, trusted: bool) -> None:
        event("trusted" if trusted else "not trusted")
        self[trusted] += 1

    def assert_both_happened(self) -> None:
        least = TRUSTED_AT_LEAST * self.total()
        assert min(self[True], self[False]) >= least > 0, self


SPEC_LISTS = st.lists(SPECS, min_size=1, max_size=4)


def test_a_trusted_url_leads_to_a_trusted_host_for_a_browser_and_for_requests() -> None:
    tally = Tally()

    @examples(1800)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        specs = data.draw(SPEC_LISTS)
        texts = [data.draw(st.sampled_from(spec.texts())) for spec in specs]
        hosts = TrustedHosts(texts)
        url = data.draw(st.one_of(hostile_urls(specs), hostile_urls(specs), soups(specs)), "url")
        trusted = assert_trust_is_sound(hosts.trusted_origin, specs, url)
        assert CaveAuth(hosts=texts).trusts(url) is trusted
        tally.note(trusted)

    check()
    tally.assert_both_happened()


# The known deployments, listed here again on purpose, and what `known` adds.
KNOWN = [
    *(Spec("https", host, 443, True) for host in ("daf-apis.com", "microns-daf.com")),
    *(Spec("https", host, 443, True) for host in ("flywire-daf.com", "em.brain.allentech.org")),
    *(Spec("https", host, 443, True) for host in ("proofreading.zetta.ai", "brain-wire-test.org")),
    *(Spec("https", host, 443) for host in ("cave.fanc-fly.com", "proofreading.zetta.ai")),
    Spec("https", "saved.example.org", 443),
    Spec("https", "localhost", 8443),
    Spec("https", "named.example.org", 8443),
    Spec("https", "named.example.net", 443, True),
    Spec("http", "127.0.0.1", 8000),
]
RETIRED = Spec("https", "api.dynamicannotationframework.com", 443)


@pytest.fixture
def known(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> CaveAuth:
    """An auth with the defaults, where servers have secret files and the environment names some."""
    secrets.mkdir(parents=True)
    for server in ("saved.example.org", "localhost:8443", RETIRED.host):
        (secrets / f"{server}-cave-secret.json").write_text("{}")
    names = " named.example.org:8443, *.named.example.net,http://127.0.0.1:8000"
    monkeypatch.setenv("CAVE_AUTH_HOSTS", names)
    return CaveAuth()


def test_exactly_known_saved_and_named_hosts_are_trusted_by_default(known: CaveAuth) -> None:
    tally = Tally()

    @examples(1200)
    @given(st.one_of(hostile_urls(KNOWN), hostile_urls([*KNOWN, RETIRED]), soups(KNOWN)))
    def check(url: str) -> None:
        trusted = assert_trust_is_sound(known.hosts.trusted_origin, KNOWN, url)
        assert known.trusts(url) is trusted
        tally.note(trusted)

    check()
    tally.assert_both_happened()


@examples(600)
@given(st.data())
def test_every_plain_url_of_a_trusted_host_is_trusted(data: st.DataObject) -> None:
    spec = data.draw(SPECS)
    others = data.draw(st.lists(SPECS, max_size=3))
    hosts = TrustedHosts(data.draw(st.sampled_from(each.texts())) for each in [spec, *others])
    url = data.draw(plain_urls(spec), "url")
    origin = hosts.trusted_origin(url)
    assert origin is not None
    where = place(*origin)
    assert spec.accepts(where)
    assert place_in_a_browser(url) == place_of_an_adapter(url) == place_of_requests(url) == where


def test_every_plain_url_of_a_known_host_is_trusted_by_default(known: CaveAuth) -> None:
    @examples(300)
    @given(st.sampled_from(KNOWN).flatmap(plain_urls))
    def check(url: str) -> None:
        assert known.trusts(url)

    check()


ANY_TEXT = st.one_of(
    st.text(), st.text(st.characters(codec=None)), soups(), hostile_urls(FIXED), NAMES
)


def test_any_text_gets_an_answer(known: CaveAuth) -> None:
    @examples(600)
    @given(ANY_TEXT)
    def check(text: str) -> None:
        assert known.trusts(text) in (True, False)
        assert known.token_for(text) is None  # the files hold none
        assert TrustedHosts(["example.org"]).trust(text) is False

    check()


def test_a_host_specification_is_refused_or_survives_a_round_trip() -> None:
    tally = Tally()

    @examples(1200)
    @given(ANY_TEXT | NAMES | SPECS.flatmap(lambda spec: st.sampled_from(spec.texts())))
    def check(text: str) -> None:
        try:
            spec = HostSpec.parse(text)
        except InvalidHostSpec:
            tally.note(False)
            return
        tally.note(True)
        scheme, host, port = spec.origin
        written = f"*.{host}" if spec.wildcard else f"{scheme}://{host}:{port}"
        assert HostSpec.parse(written) == spec
        where = place(scheme, host, port)
        assert where == place_in_a_browser(f"{scheme}://{host}:{port}/") or is_bad_punycode(where)
        assert scheme == "https" or where.host in LOOPBACK
        if not spec.wildcard and scheme == "https":
            assert server_name(text) == spec.origin.server
            assert HostSpec.parse(spec.origin.server) == spec

    check()
    tally.assert_both_happened()
