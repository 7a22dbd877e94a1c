"""Which hosts are trusted, for which reason, and how much of it is kept in memory."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cave_auth_adapter import CaveAuth, TokenStore
from cave_auth_adapter.hosts import KnownHosts, NamedHosts, trusted_hosts
from cave_auth_adapter.origins import HostSpec, Origin, TrustedHosts

from ..support.stub import TOKEN, Clock, Write
from ..support.systems import posix_only

LAB = Origin("https", "cave.my-lab.org", 443)


def why(host: str, hosts: KnownHosts | NamedHosts) -> str | None:
    trust = hosts.why(Origin("https", host, 443))
    return trust.why if trust else None


def test_the_reason_for_trust_is_given(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(TOKEN, LAB.server)
    monkeypatch.setenv("CAVE_AUTH_HOSTS", "*.other-lab.org")
    known = KnownHosts()
    assert why("minnie.microns-daf.com", known) == "known deployment of global.daf-apis.com"
    assert why(LAB.host, known) == f"has a secret file, {LAB.host}-cave-secret.json"
    assert why("a.other-lab.org", known) == "named in the variable CAVE_AUTH_HOSTS"
    assert why("elsewhere.example.org", known) is None
    named = NamedHosts(["*.other-lab.org"])
    assert why("a.other-lab.org", named) == "named in code, by hosts="
    assert why(LAB.host, named) is None


def test_every_trusted_host_has_a_reason_and_no_other_has(
    store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(TOKEN, "localhost:8443")
    monkeypatch.setenv("CAVE_AUTH_HOSTS", "http://localhost:8000,*.my-lab.org")
    known = KnownHosts()
    specs = [trust.host.replace("*", "a") for trust in trusted_hosts()]
    others = ["elsewhere.example.org", "localhost", "my-lab.org", "https://localhost:8000"]
    for spec in [*specs, *others]:
        origin = HostSpec.parse(spec).origin
        is_trusted = known.trusted_origin(f"{origin.scheme}://{origin.server}/") is not None
        assert is_trusted == (known.why(origin) is not None) == (spec not in others)


def test_a_saved_host_does_not_count_as_named(
    store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(TOKEN, LAB.server)
    known = KnownHosts()
    assert not known.names(LAB)
    monkeypatch.setenv("CAVE_AUTH_HOSTS", LAB.host)
    assert known.names(LAB)
    assert NamedHosts([LAB.host]).names(LAB)


def test_the_order_of_named_hosts_does_not_matter() -> None:
    assert NamedHosts(["a.org", "*.b.org"]) == NamedHosts(["*.b.org", "a.org"])
    assert hash(NamedHosts(["a.org", "*.b.org"])) == hash(NamedHosts(["*.b.org", "a.org"]))
    assert NamedHosts(["b.org"]) != NamedHosts(["*.b.org"])
    assert KnownHosts() == KnownHosts()
    assert KnownHosts() != NamedHosts([])


@posix_only
def test_a_chmod_of_the_secret_file_is_noticed(write: Write, clock: Clock) -> None:
    """chmod does not change the directory's time stamp."""
    path: Path = write(f"{LAB.host}-cave-secret.json", token=TOKEN)
    auth, url = CaveAuth(), f"https://{LAB.host}/"
    assert auth.trusts(url)
    path.chmod(0o606)
    clock.advance(1)
    assert not auth.trusts(url)
    path.chmod(0o600)
    clock.advance(1)
    assert auth.trusts(url)


SHAPES: dict[str, Callable[[int], str]] = {
    "long hosts": lambda n: f"https://{n}{'a' * 50_000}.example.org/",
    "long queries": lambda n: f"https://cave.example.org?{n}{'a' * 50_000}",
    "long users": lambda n: f"https://{n}{'a' * 50_000}@cave.example.org/",
    "many hosts": lambda n: f"https://host{n}.{'a' * 50}.{'b' * 50}.example.org/",
    "long paths": lambda n: f"https://cave.example.org/{n}{'a' * 50_000}",
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("trusted", ["*.example.org", "elsewhere.org"])
def test_remembered_decisions_are_bounded_in_bytes(shape: str, trusted: str) -> None:
    hosts = TrustedHosts([trusted, "cave.example.org"])
    for n in range(6000):
        hosts.trust(SHAPES[shape](n))
    gc.collect()
    kept = [*hosts._decisions, hosts._last[0]]
    assert sum(map(sys.getsizeof, kept)) < 1_000_000


def test_a_long_url_gets_the_same_decision_as_a_short_one() -> None:
    hosts = TrustedHosts(["cave.example.org"])
    for _ in range(2):
        assert hosts.trust(f"https://cave.example.org?{'a' * 50_000}")
        assert hosts.trust(f"https://cave.example.org/{'a' * 50_000}")
        assert not hosts.trust(f"https://{'a' * 50_000}@cave.example.org/")
        assert not hosts.trust(f"https://cave.example.org.{'a.' * 50_000}org/")
