"""The detector finds a token in every encoding, and reports nothing else."""

from __future__ import annotations

import base64
import gzip
import os
import zlib

import pytest

from .detector import any_found, found
from .places import TOKENS

TOKEN, ANOTHER, *_ = TOKENS.values()
AROUND = b"POST /x HTTP/1.1\r\nHost: evil.example\r\nX: ", b"\r\nAccept: */*\r\n\r\n{}"


def writings(token: str) -> dict[str, bytes]:
    """A token in every encoding that the detector must know, among other bytes."""
    raw = token.encode()
    plain = {
        "as it is": raw,
        "upper case": raw.upper(),
        "swapped case": raw.swapcase(),
        "reversed": raw[::-1],
        "first half": raw[: len(raw) // 2],
        "second half": raw[len(raw) // 2 :],
        "percent-encoded": "".join(f"%{byte:02X}" for byte in raw).encode(),
        "percent-encoded twice": "".join(f"%25{byte:02x}" for byte in raw).encode(),
        "percent-encoded in part": raw[:7] + b"%" + b"%02x" % raw[7] + raw[8:],
        "hex": raw.hex().encode(),
        "hex in upper case": raw.hex().upper().encode(),
        "base32": base64.b32encode(raw),
        "JSON escapes": "".join(f"\\u{byte:04x}" for byte in raw).encode(),
        "Python escapes": "".join(f"\\x{byte:02x}" for byte in raw).encode(),
        "quoted-printable": b"".join(b"=%02X" % byte for byte in raw),
        "quoted-printable over two lines": raw[:20] + b"=\r\n" + raw[20:],
        "gzip": gzip.compress(raw),
        "zlib": zlib.compress(raw),
        "Python repr": repr({"Authorization": f"Bearer {token}"}).encode(),
    }
    for name in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        plain[name] = token.encode(name)
    for before in range(3):
        text = b"user:"[:before] + raw
        plain[f"base64, alignment {before}"] = base64.b64encode(text + b"more")
        plain[f"base64url, alignment {before}"] = base64.urlsafe_b64encode(text + b"\xff\xfe")
        plain[f"base64 at the end, alignment {before}"] = base64.b64encode(text)
    return plain


@pytest.mark.parametrize("name", writings(TOKEN))
def test_it_finds_a_token_written_as(name: str) -> None:
    assert found(TOKEN, AROUND[0] + writings(TOKEN)[name] + AROUND[1])


@pytest.mark.parametrize("name", writings(TOKEN))
def test_it_does_not_find_another_token_written_as(name: str) -> None:
    assert not found(TOKEN, AROUND[0] + writings(ANOTHER)[name] + AROUND[1])


def test_it_finds_nothing_in_random_text() -> None:
    assert not any_found(TOKENS.values(), os.urandom(1 << 20), *AROUND)


def test_it_searches_the_repr_of_objects() -> None:
    assert found(TOKEN, {"Authorization": f"Bearer {TOKEN}"})
    assert found(TOKEN, ["x", {"body": TOKEN.encode("utf-16")}])


def test_no_token_is_found_in_another_token() -> None:
    for token in TOKENS.values():
        assert [found(token, other.encode()) for other in TOKENS.values()].count(True) == 1
