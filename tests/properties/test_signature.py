"""Signing twice equals signing once, and removing the signature restores the request."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from cave_auth_adapter import CaveAdapter, CaveAuth, installed, mount
from cave_auth_adapter.headers import copy_of, sign, strip, unsign

from ..support.recorder import Recorder
from ..support.servers import Authority
from .budget import examples
from .cookies import (
    COOKIE_HEADERS,
    FIELD_NAMES,
    FIELD_VALUES,
    PAIRS,
    joined,
    on_the_wire,
    text_or_bytes,
)

TOKEN, STALE = "0123456789abcdef" * 2, "fedcba9876543210" * 2
OURS = st.sampled_from([f"middle_auth_token={STALE}", f"middle_auth_token = {STALE}"])
AUTHORIZATIONS = st.sampled_from(["Basic eDp5", f"Bearer {STALE}", "Bearer", "", "Digest a=b"])

Headers = MutableMapping[str, Any]
KINDS: list[Callable[[dict[str, Any]], Headers]] = [dict, CaseInsensitiveDict]


@st.composite
def headers(draw: st.DrawFn, cookies: st.SearchStrategy[str] = COOKIE_HEADERS) -> Headers:
    """Headers as a request may have them before we see it."""
    fields = draw(st.dictionaries(FIELD_NAMES, text_or_bytes(FIELD_VALUES), max_size=4))
    names = {"Cookie": text_or_bytes(cookies), "Authorization": text_or_bytes(AUTHORIZATIONS)}
    for name, values in names.items():
        if draw(st.booleans()):
            fields[name] = draw(values)
    fields = dict(draw(st.permutations(list(fields.items()))))
    kind = draw(st.sampled_from(KINDS))
    if kind is CaseInsensitiveDict:
        change: Any = draw(st.sampled_from([str, str.lower, str.upper]))
        fields = {change(name): value for name, value in fields.items()}
    return kind(fields)


COOKIES_WITH_OURS = st.lists(PAIRS | OURS, min_size=1, max_size=6).flatmap(joined)


def plain(fields: Headers) -> list[tuple[str, bytes]]:
    return [(name.lower(), on_the_wire(value)) for name, value in fields.items()]


def others_in(fields: Headers) -> list[bytes]:
    """The cookies that are not ours."""
    pairs = [pair.strip(b" \t") for pair in on_the_wire(fields.get("Cookie", "")).split(b";")]
    name = b"middle_auth_token"
    return [pair for pair in pairs if pair and pair.partition(b"=")[0].strip() != name]


@examples(500)
@given(headers(COOKIES_WITH_OURS))
def test_signing_twice_gives_the_same_headers(fields: Headers) -> None:
    cookies_before = others_in(fields)
    sign(fields, TOKEN)
    once = plain(fields)
    sign(fields, TOKEN)
    assert plain(fields) == once
    assert others_in(fields) == cookies_before
    ours = f"middle_auth_token={TOKEN}".encode()
    assert on_the_wire(fields["Cookie"]).split(b"; ")[-1] == ours
    assert on_the_wire(fields["Cookie"]).count(b"middle_auth_token=" + TOKEN.encode()) == 1
    assert STALE.encode() not in b"".join(value for _, value in plain(fields))


@examples(500)
@given(headers())
def test_removing_the_signature_restores_the_headers(fields: Headers) -> None:
    before = [item for item in plain(fields) if item[0] != "authorization"]
    sign(fields, TOKEN)
    unsign(fields)
    assert sorted(plain(fields)) == sorted(before)
    unsigned = plain(fields)
    unsign(fields)
    assert plain(fields) == unsigned


@examples(300)
@given(headers(COOKIES_WITH_OURS))
def test_removing_the_signature_removes_only_our_cookie_and_a_bearer_token(fields: Headers) -> None:
    cookies, before = others_in(fields), dict(plain(fields))
    unsign(fields)
    after = dict(plain(fields))
    assert others_in(fields) == cookies
    assert b"middle_auth_token" not in [
        pair.partition(b"=")[0].strip() for pair in after.get("cookie", b"").split(b";")
    ]
    gone = {name for name in before if name not in after}
    assert gone <= {"authorization", "cookie"}
    assert ("authorization" in gone) == before.get("authorization", b"").startswith(b"Bearer")
    assert all(after[name] == before[name] for name in after if name != "cookie")


@st.composite
def headers_with_tokens(draw: st.DrawFn) -> tuple[Headers, list[str]]:
    tokens = draw(st.lists(st.text("0123456789abcdef", min_size=16, max_size=32), max_size=3))
    hidden = st.sampled_from([*tokens, STALE]).map(lambda token: f"x{token}y")
    cookies = st.lists(PAIRS | OURS | hidden.map("c={}".format), min_size=1).flatmap(joined)
    fields = draw(headers(cookies))
    for name in draw(st.lists(FIELD_NAMES, max_size=3)):
        fields[name] = draw(text_or_bytes(hidden | hidden.map("Bearer {}".format)))
    return fields, tokens


@examples(500)
@given(headers_with_tokens())
def test_strip_removes_every_token_and_nothing_else(case: tuple[Headers, list[str]]) -> None:
    fields, tokens = case
    secrets = [token.encode() for token in tokens]

    def is_bare(value: bytes) -> bool:
        return not any(secret in value for secret in secrets)

    before = plain(fields)
    kept_cookies = [pair for pair in others_in(fields) if is_bare(pair)]
    touched = not all(map(is_bare, [value for _, value in before])) or any(
        name == "cookie" and b"middle_auth_token" in value for name, value in before
    )
    strip(fields, tokens)
    after = plain(fields)
    assert is_bare(b"\n".join(value for _, value in after))
    assert others_in(fields) == kept_cookies
    assert [item for item in after if item[0] != "cookie"] == [
        item for item in before if item[0] != "cookie" and is_bare(item[1])
    ]
    if not touched:
        assert after == before


@examples(200)
@given(headers(COOKIES_WITH_OURS), st.lists(st.sampled_from(["sign", "unsign", "strip"])))
def test_signing_a_copy_leaves_the_original_unchanged(fields: Headers, acts: list[str]) -> None:
    original = requests.Request("POST", "https://cave.example.org/", data=b"body").prepare()
    original.headers = CaseInsensitiveDict(fields)
    before, attributes = list(original.headers.items()), dict(vars(original))
    twin = copy_of(original)
    for act in acts:
        if act == "sign":
            sign(twin.headers, TOKEN)
        elif act == "unsign":
            unsign(twin.headers)
        else:
            strip(twin.headers, [TOKEN, STALE])
    assert list(original.headers.items()) == before
    assert dict(vars(original)) == attributes
    assert (twin.method, twin.url, twin.body) == (original.method, original.url, original.body)


@examples(200)
@given(COOKIE_HEADERS)
def test_an_auth_applied_twice_signs_once(cookies: str) -> None:
    auth = CaveAuth(TOKEN, hosts=["cave.example.org"])
    request = requests.Request("GET", "https://cave.example.org/", headers={"Cookie": cookies})
    prepared = request.prepare()
    once = plain(auth(prepared).headers)
    assert plain(auth(prepared).headers) == once


@pytest.fixture
def server(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Over TLS: on plain http, an auth object waits for a refusal before it signs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.ca.issue_cert("127.0.0.1").configure_cert(context)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    with Recorder(context) as recorder:
        yield recorder


DOORS = ("session auth", "call auth", "signed before", "mount", "mount again", "adapter", "install")


def test_a_request_is_signed_once_by_any_combination_of_ways(server: Recorder) -> None:
    auth = CaveAuth(TOKEN, hosts=[server.url])

    @examples(120)
    @given(st.sets(st.sampled_from(DOORS), min_size=1), st.none() | COOKIES_WITH_OURS)
    def check(doors: set[str], cookies: str | None) -> None:
        server.clear()
        send_through(doors, auth, server.url, cookies)
        (request,) = server.requests()
        assert values_in(request, b"authorization") == [f"Bearer {TOKEN}".encode()]
        (cookie,) = values_in(request, b"cookie")
        pairs = [pair.strip(b" \t") for pair in cookie.split(b";")]
        ours = [pair for pair in pairs if pair.partition(b"=")[0].strip() == b"middle_auth_token"]
        assert ours == [f"middle_auth_token={TOKEN}".encode()]
        assert others_in({"Cookie": cookie}) == others_in({"Cookie": cookies or "jar=1"})

    check()


def values_in(request: bytes, name: bytes) -> list[bytes]:
    lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    fields = [line.partition(b": ") for line in lines]
    return [value for field, _, value in fields if field.lower() == name]


def send_through(doors: set[str], auth: CaveAuth, url: str, cookies: str | None) -> None:
    """Send a request through all these doors at once."""
    with requests.Session() as session, contextlib.ExitStack() as stack:
        session.cookies.set("jar", "1")
        if "adapter" in doors:
            session.mount("https://", CaveAdapter(auth))
        if "mount" in doors:
            mount(session, auth)
        if "mount again" in doors:
            for prefix, adapter in session.adapters.items():
                session.adapters[prefix] = CaveAdapter(auth, wrapped=adapter)
        if "session auth" in doors:
            session.auth = auth
        if "install" in doors:
            stack.enter_context(installed(auth))
        fields: Headers = {} if cookies is None else {"Cookie": cookies}
        if "signed before" in doors:
            fields.setdefault("Cookie", "jar=1")
            sign(fields, TOKEN)
        session.get(url, headers=fields, auth=auth if "call auth" in doors else None)
