"""Host specifications: which are accepted, and what they mean."""

from __future__ import annotations

import pytest
import requests

from cave_auth_adapter import CaveAuthError, InvalidHostSpec
from cave_auth_adapter.origins import HostSpec, Origin

LABEL_63 = "a" * 63


class TestHostSpec:
    @pytest.mark.parametrize(
        ("spec", "origin"),
        [
            ("cave.example.org", ("https", "cave.example.org", 443)),
            ("CAVE.Example.ORG", ("https", "cave.example.org", 443)),
            ("localhost", ("https", "localhost", 443)),
            ("cave.example.org:8443", ("https", "cave.example.org", 8443)),
            ("https://cave.example.org", ("https", "cave.example.org", 443)),
            ("HTTPS://cave.example.org:443", ("https", "cave.example.org", 443)),
            ("https://cave.example.org:8443", ("https", "cave.example.org", 8443)),
            ("http://localhost:8000", ("http", "localhost", 8000)),
            ("http://localhost", ("http", "localhost", 80)),
            ("http://127.0.0.1:8000", ("http", "127.0.0.1", 8000)),
            ("http://127.8.9.10:8000", ("http", "127.8.9.10", 8000)),
            ("http://[::1]:8000", ("http", "[::1]", 8000)),
            ("[::1]:8443", ("https", "[::1]", 8443)),
            ("[0:0:0:0:0:0:0:1]", ("https", "[::1]", 443)),
            ("[2001:DB8::1]", ("https", "[2001:db8::1]", 443)),
            ("192.0.2.1:65535", ("https", "192.0.2.1", 65535)),
            ("xn--bcher-kva.example", ("https", "xn--bcher-kva.example", 443)),
            (f"{LABEL_63}.example.org", ("https", f"{LABEL_63}.example.org", 443)),
        ],
    )
    def test_a_host_is_one_origin(self, spec: str, origin: tuple[str, str, int]) -> None:
        assert HostSpec.parse(spec) == (Origin(*origin), False)

    def test_a_wildcard_is_every_host_below_a_suffix(self) -> None:
        assert HostSpec.parse("*.Example.org") == (Origin("https", "example.org", 443), True)

    @pytest.mark.parametrize(
        "spec",
        [
            "",
            " ",
            "*",
            "*.",
            "cave.example.org/",
            "https://cave.example.org/info",
            "cave.example.org?x",
            "cave.example.org#x",
            "user@cave.example.org",
            " cave.example.org",
            "cave.example.org ",
            "cave.example.org\n",
            "cave.exa\tmple.org",
            "cave.example.org.",
            ".example.org",
            "cave..example.org",
            "-cave.example.org",
            "cave-.example.org",
            "cave_1.example.org",
            "cave.*.org",
            "c*.example.org",
            "*.*.example.org",
            "bücher.example",
            "cave.example.org\u3002evil",
            "cave%2eexample.org",
            "cave.example.org\\evil",
            "[fe80::1%eth0]",
            "[fe80::1%25eth0]",
            "[::1",
            "::1",
            "[localhost]",
            "[]",
            "[::12345]",
            "127.1",
            "127.0.0.01",
            "0x7f.0.0.1",
            "0x7f000001",
            "2130706433",
            "1.2.3.256",
            "1.2.3.4.5",
            "cave.example.org:",
            "cave.example.org:0",
            "cave.example.org:0443",
            "cave.example.org:65536",
            "cave.example.org:-1",
            "cave.example.org:https",
            "cave.example.org:٤٤٣",
            "//cave.example.org",
            "https:cave.example.org",
            "ftp://cave.example.org",
            "ws://localhost:8000",
            f"{LABEL_63}a.example.org",
            ".".join([LABEL_63] * 4),
            None,
            443,
            b"cave.example.org",
        ],
    )
    def test_a_malformed_specification_is_refused_with_the_allowed_forms(self, spec: str) -> None:
        with pytest.raises(InvalidHostSpec, match=r"allowed are host, \*\.suffix") as caught:
            HostSpec.parse(spec)
        assert repr(spec) in str(caught.value)

    def test_a_password_in_an_address_is_not_shown(self) -> None:
        with pytest.raises(InvalidHostSpec) as refused:
            HostSpec.parse("https://ada:pass:word@cave.example.org")
        assert "'https://ada:...@cave.example.org'" in str(refused.value)
        assert "word" not in str(refused.value)

    @pytest.mark.parametrize(
        "spec",
        [
            "http://cave.example.org",
            "http://cave.example.org:443",
            "http://192.0.2.1",
            "http://0.0.0.0:8000",
            "http://10.0.0.1:8000",
            "http://[2001:db8::1]:8000",
            "http://localhost.example.org:8000",
            "http://notlocalhost:8000",
        ],
    )
    def test_plain_http_is_refused_but_for_loopback(self, spec: str) -> None:
        with pytest.raises(InvalidHostSpec, match=r"https only; write 'https://"):
            HostSpec.parse(spec)

    @pytest.mark.parametrize("spec", ["*.org", "*.localhost", "*.[::1]", "*.192.0.2.1"])
    def test_too_wide_a_wildcard_is_refused(self, spec: str) -> None:
        with pytest.raises(InvalidHostSpec, match="too wide"):
            HostSpec.parse(spec)

    @pytest.mark.parametrize(
        "spec", ["https://*.example.org", "*.example.org:8443", "http://*.example.org"]
    )
    def test_a_wildcard_takes_neither_scheme_nor_port(self, spec: str) -> None:
        with pytest.raises(InvalidHostSpec, match="neither scheme nor port"):
            HostSpec.parse(spec)

    @pytest.mark.parametrize("base", [ValueError, CaveAuthError, requests.RequestException])
    def test_the_error_is_a_value_error_too(self, base: type[Exception]) -> None:
        with pytest.raises(base):
            HostSpec.parse("")
