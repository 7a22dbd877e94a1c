"""Answers of every shape are explained without an error, within bounds, and without a token."""

from __future__ import annotations

import gzip
import io
import json
import os
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
import requests
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

from cave_auth_adapter import (
    CaveAuth,
    PermissionMissing,
    TermsNotAccepted,
    explain,
    mount,
    raise_for_auth,
)
from cave_auth_adapter.refusals import judge, remember_token, warn_of_stranger
from cave_auth_adapter.refusals.answers import covered, parsed
from cave_auth_adapter.refusals.bodies import PEEKED, decoded
from cave_auth_adapter.tokens import Source, Token

from ..support.hostile import CAVE, HOSTS, Server, Through
from ..support.refusals import LAB, LOGIN_PAGE, MINNIE, answer
from ..support.stub import TOKEN


def nested(depth: int) -> bytes:
    return b'{"error": "x", "data": ' + b'{"a": ' * depth + b"1" + b"}" * (depth + 1)


# --- No answer raises ----------------------------------------------------------------------


@pytest.mark.parametrize("depth", [100, 480, 600, 900, 3000])
@pytest.mark.parametrize("status", [400, 401, 403])
def test_deeply_nested_json_is_returned_unchanged(
    through: Through,
    status: int,
    depth: int,
) -> None:
    body = nested(depth)
    response = through(Server(status=status, body=body)).get(f"{CAVE}/x")
    assert (response.status_code, response.content) == (status, body)
    assert explain(response) is None or status == 401


def test_a_response_without_a_body_is_accepted(through: Through) -> None:
    class Bodiless(Server):
        def send(self, *arguments: Any, **options: Any) -> requests.Response:
            response = super().send(*arguments, **options)
            response.raw = None
            return response

    for status in (400, 401, 403):
        assert through(Bodiless(status=status)).get(f"{CAVE}/x").status_code == status


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(),
    st.binary(),
    st.lists(st.text()),
    st.floats(),
)
WORDS = st.sampled_from(
    ["missing_tos", "missing_permission", "missing_role", "invalid_token", "invalid_table_id"]
)
DATA = st.dictionaries(
    st.sampled_from(["tos_name", "tos_form_url", "required_role", "auth_dataset", "x"]),
    st.recursive(ODD, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
)
BODIES = st.one_of(
    st.binary(),
    st.fixed_dictionaries({"error": WORDS | ODD, "data": DATA | ODD}).map(
        lambda said: json.dumps(said, default=repr).encode()
    ),
    st.text().map(
        lambda group: f"Requires membership of group: {group}".encode("utf-8", "replace")
    ),
)
HEADERS = st.dictionaries(
    st.sampled_from(["WWW-Authenticate", "Location", "Content-Encoding"]),
    st.one_of(
        st.text(),
        st.binary(),
        st.none(),
        st.integers(),
        st.sampled_from([LOGIN_PAGE, "https://[", "//[", "Bearer error=", "gzip", "deflate", "br"]),
    ),
)
URLS = st.one_of(st.none(), st.text(), st.binary(), st.sampled_from([MINNIE, LAB, "https://[", ""]))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([301, 302, 400, 401, 403, 500, None]), BODIES, HEADERS, URLS)
def test_no_answer_makes_explain_raise(status: Any, body: bytes, headers: Any, url: Any) -> None:
    response = requests.Response()
    response.status_code, response.url = status, url
    response.headers.update(headers)
    response.raw = urllib3.HTTPResponse(io.BytesIO(body), preload_content=False)
    earlier = requests.Response()
    earlier.headers, earlier.status_code = None, status  # type: ignore[assignment]
    for history in ([], [earlier], None):
        response.history = history  # type: ignore[assignment]
        sentence = explain(response)
        assert sentence is None or sentence.isprintable()
    judge(response, None)  # type: ignore[arg-type]
    warn_of_stranger(response)


# --- Bodies are bounded, and stay ----------------------------------------------------------


class Endless(io.RawIOBase):
    """An endless body that counts the bytes read."""

    def __init__(self) -> None:
        self.taken = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size > 0, "read to its end"
        self.taken += size
        return b" " * size

    read1 = read


@pytest.mark.parametrize("raise_errors", [False, True])
def test_at_most_64_kib_of_a_stream_are_read(raise_errors: bool) -> None:
    body = Endless()
    session = requests.Session()
    session.mount("https://", Server(status=403, body=body))
    mount(session, CaveAuth(TOKEN, hosts=HOSTS, raise_errors=raise_errors))
    response = session.get(f"{CAVE}/x", stream=True)
    explain(response)
    assert 0 < body.taken <= 2 * PEEKED  # urllib3 reads ahead


@pytest.mark.parametrize("coding", ["", "gzip", "deflate"])
def test_a_stream_can_be_read_after_explain(coding: str) -> None:
    said = json.dumps(
        {"error": "missing_permission", "data": {"auth_dataset": "d"}, "x": "y" * 500}
    )
    plain = said.encode()
    sent = {"": plain, "gzip": gzip.compress(plain), "deflate": zlib.compress(plain)}[coding]
    for read in (
        lambda response: response.content,
        lambda response: b"".join(response.iter_content(7)),
        lambda response: response.raw.read(decode_content=True),
    ):
        response = answer(403, body=sent, **({"Content_Encoding": coding} if coding else {}))
        assert "on the dataset 'd'" in (explain(response) or "")
        assert read(response) == plain
    response = answer(403, body=sent, **({"Content_Encoding": coding} if coding else {}))
    explain(response)
    assert response.raw.read(decode_content=False) == sent


def test_a_long_stream_is_complete_after_explain() -> None:
    body = os.urandom(3 * PEEKED)
    response = answer(403, body=body)
    assert explain(response) is None
    assert b"".join(response.iter_content(1000)) == body


def test_a_truncated_stream_fails_when_the_caller_reads_it() -> None:
    class Broken(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            return super().read(3) or self.fail()

        read1 = read

        def fail(self) -> bytes:
            raise urllib3.exceptions.ProtocolError("cut off")

    response = answer(403)
    response.raw = urllib3.HTTPResponse(Broken(b"abcdef"), preload_content=False)
    assert explain(response) is None
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        response.content  # noqa: B018


def test_a_compression_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b" " * (1 << 24))
    assert len(decoded(bomb, "gzip", 100)) == 100
    assert decoded(b"no gzip", "gzip", 100) == b""


@pytest.mark.parametrize("body", ["1e400", "NaN", "9" * 30, "[" * 40 + "]" * 40, "[" * 10**5])
def test_extreme_json_is_refused(body: str) -> None:
    with pytest.raises(ValueError, match=r"too|finite|Expecting"):
        parsed(body)


# --- Tokens said back ----------------------------------------------------------------------

DISGUISES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "in capitals": str.upper,
    "in a sentence": lambda token: f"no such token: {token}!",
    "url-encoded": lambda token: "".join(f"%{ord(c):02x}" for c in token),
    "url-encoded twice": lambda token: quote("".join(f"%{ord(c):02X}" for c in token)),
    "as entities": lambda token: "".join(f"&#{ord(c)};" for c in token),
    "with a zero width space": lambda token: token[:9] + "\u200b" + token[9:],
    "in wide letters": lambda token: "".join(chr(ord(c) + 0xFEE0) for c in token),
}
PLACES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "permission": lambda t: {"error": "missing_permission", "data": {"required_permission": t}},
    "list": lambda t: {"error": "missing_permission", "data": {"auth_dataset": [t]}},
    "name of a member": lambda t: {"error": "missing_tos", "data": {"tos_name": {t: 1}}},
    "nested": lambda t: {"error": "missing_role", "data": {"required_role": {"a": [{"b": t}]}}},
    "form": lambda t: {"error": "missing_tos", "data": {"tos_form_url": f"https://x.example/{t}"}},
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("place", PLACES)
def test_an_echoed_token_is_not_shown(place: str, disguise: str) -> None:
    said = DISGUISES[disguise](TOKEN)
    response = answer(403, body=PLACES[place](said))
    remember_token(response, Token(TOKEN, Source("CAVE_TOKEN")))
    sentence = explain(response)
    assert sentence is not None
    assert not any(part in sentence.lower() for part in (TOKEN, said.lower()))
    with pytest.raises((PermissionMissing, TermsNotAccepted)) as caught:
        raise_for_auth(response)
    assert said not in f"{caught.value} {vars(caught.value)}"


def test_an_echoed_token_in_the_name_of_a_host_is_not_shown() -> None:
    """A redirect may lead to such a name."""
    response = answer(403, body=PLACES["permission"]("view"))
    response.url = f"https://{TOKEN}.evil.example/x"
    remember_token(response, Token(TOKEN, Source("CAVE_TOKEN")))
    with pytest.raises(PermissionMissing) as caught:
        raise_for_auth(response)
    assert TOKEN not in f"{caught.value} {vars(caught.value)}"
    assert caught.value.host == "<token>.evil.example"


def test_an_echoed_token_of_the_caller_is_not_shown() -> None:
    for header in (
        {"Authorization": f"Bearer {TOKEN}"},
        {"Cookie": f"a=b; middle_auth_token={TOKEN}"},
    ):
        response = answer(403, body=PLACES["permission"](TOKEN))
        response.request = requests.Request("GET", MINNIE, headers=header).prepare()
        sentence = explain(response)
        assert sentence is not None
        assert TOKEN not in sentence


def test_a_text_without_the_token_is_unchanged() -> None:
    assert covered("100 % of &amp; it", [TOKEN]) == "100 % of &amp; it"
