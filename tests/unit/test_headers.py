"""Signing the headers of a request, and removing the signature again."""

from __future__ import annotations

import pickle
from http.client import HTTPMessage
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from cave_auth_adapter.headers import (
    Headers,
    SignedHeaders,
    bearer_token,
    copy_of,
    keep_out_of_jars,
    sign,
    strip,
    unsign,
)
from cave_auth_adapter.tokens import Source, Token

from ..support.stub import BEARER, COOKIE, OTHER_TOKEN, TOKEN, holds

STALE = f"middle_auth_token={OTHER_TOKEN}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, COOKIE),
        ("", COOKIE),
        (STALE, COOKIE),
        ("a=1", f"a=1; {COOKIE}"),
        ("a=1; b=2", f"a=1; b=2; {COOKIE}"),
        (f"a=1; {STALE}; b=2", f"a=1; b=2; {COOKIE}"),
        (f"{STALE}; {STALE}", COOKIE),
        (f"a=1;{STALE};b=2", f"a=1;b=2; {COOKIE}"),
        (f"a=1; {STALE};", f"a=1; {COOKIE}"),
        ("a=1;", f"a=1; {COOKIE}"),
        (f"middle_auth_token = {OTHER_TOKEN}", COOKIE),
        ("middle_auth_token", COOKIE),
        # names that only look like ours
        ("my_middle_auth_token=1", f"my_middle_auth_token=1; {COOKIE}"),
        ("middle_auth_token_2=1", f"middle_auth_token_2=1; {COOKIE}"),
        ("a=middle_auth_token", f"a=middle_auth_token; {COOKIE}"),
        # bytes, as requests allows
        (b"a=1", f"a=1; {COOKIE}"),
        (STALE.encode(), COOKIE),
        (b"a=\xfc", f"a=ü; {COOKIE}"),
    ],
)
def test_our_cookie_is_added_to_the_others(before: str | bytes | None, after: str) -> None:
    headers: Headers = requests.structures.CaseInsensitiveDict()
    if before is not None:
        headers["cookie"] = before
    sign(headers, TOKEN)
    assert headers["Cookie"] == after


@pytest.mark.parametrize("before", [None, "Basic eDp5", f"Bearer {OTHER_TOKEN}", b"Basic eDp5"])
def test_the_authorization_header_is_replaced(before: str | bytes | None) -> None:
    headers = {} if before is None else {"Authorization": before}
    sign(headers, TOKEN)
    assert headers["Authorization"] == BEARER


def test_header_names_are_case_insensitive() -> None:
    headers: Any = requests.structures.CaseInsensitiveDict({"AUTHORIZATION": "x", "cookie": "a=1"})
    sign(headers, TOKEN)
    assert dict(headers.lower_items()) == {"authorization": BEARER, "cookie": f"a=1; {COOKIE}"}


COOKIES = st.lists(
    st.sampled_from(["a=1", "b=2", STALE, COOKIE, ";", "; ", " ", "=", "middle_auth_token", '"']),
    max_size=6,
).map("".join)


@given(COOKIES)
@example("a=1;")
def test_signing_twice_gives_the_same_headers(cookies: str) -> None:
    once: Headers = {"Cookie": cookies}
    sign(once, TOKEN)
    twice = dict(once)
    sign(twice, TOKEN)
    assert twice == once


@given(COOKIES)
def test_one_token_cookie_remains(cookies: str) -> None:
    headers: Headers = {"Cookie": cookies.replace('"', "")}
    sign(headers, TOKEN)
    names = [pair.partition("=")[0].strip() for pair in str(headers["Cookie"]).split(";")]
    assert names.count("middle_auth_token") == 1


@given(st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=3))
def test_unsign_reverses_sign(cookies: dict[str, str]) -> None:
    headers: Headers = {"X": "1"}
    if cookies:
        headers["Cookie"] = "; ".join("=".join(item) for item in cookies.items())
    before = dict(headers)
    sign(headers, TOKEN)
    unsign(headers)
    assert headers == before


def test_unsign_leaves_basic_authorization() -> None:
    headers: Headers = {"Authorization": "Basic eDp5", "Cookie": COOKIE}
    unsign(headers)
    assert headers == {"Authorization": "Basic eDp5"}


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, None),
        ("", None),
        ("Basic eDp5", None),
        ("Bearer", ""),
        ("Bearer ", ""),
        (BEARER, TOKEN),
        (f"bearer  {TOKEN} ", TOKEN),
        (BEARER.encode(), TOKEN),
        ("BearerX 1", None),
    ],
)
def test_bearer_token_reads_the_authorization_header(
    header: str | bytes | None, token: str | None
) -> None:
    assert bearer_token({} if header is None else {"Authorization": header}) == token


def test_strip_removes_every_header_with_a_token() -> None:
    headers: Headers = {
        "Accept": "*/*",
        "X-Token": f"my {TOKEN}",
        "X-Bytes": TOKEN.encode(),
        "Authorization": "Basic eDp5",
        "Cookie": f"a=1; {STALE}; b={TOKEN}",
    }
    strip(headers, [TOKEN])
    assert headers == {"Accept": "*/*", "Authorization": "Basic eDp5", "Cookie": "a=1"}


def test_signing_a_copy_leaves_the_original_unchanged() -> None:
    request = requests.Request(
        "POST", "https://x.example/", data="body", cookies={"a": "1"}
    ).prepare()
    before = dict(request.headers)
    twin = copy_of(request)
    sign(twin.headers, TOKEN)
    assert dict(request.headers) == before
    assert (twin.method, twin.url, twin.body) == (request.method, request.url, request.body)


def test_signed_headers_hide_the_token_in_repr_and_pickle() -> None:
    headers = SignedHeaders({"Accept": "*/*", "Cookie": "a=1"}, Token(TOKEN, Source("token=")))
    assert headers["Authorization"] == BEARER
    assert TOKEN in headers["Cookie"]
    assert not holds(TOKEN, headers)
    assert pickle.loads(pickle.dumps(headers)) == {"Accept": "*/*", "Cookie": "a=1"}


def test_a_set_cookie_with_the_token_does_not_reach_the_jar() -> None:
    message, response = HTTPMessage(), requests.Response()
    message["Set-Cookie"] = "mine=1; Path=/"
    message["Set-Cookie"] = f"theirs={TOKEN}; Path=/"
    response.headers["Set-Cookie"] = ", ".join(message.get_all("Set-Cookie", []))
    response.raw = SimpleNamespace(_original_response=SimpleNamespace(msg=message))
    keep_out_of_jars(response, TOKEN)
    assert message.get_all("Set-Cookie") == ["mine=1; Path=/"]
