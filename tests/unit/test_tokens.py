"""A token: what it may look like, and how its source is named."""

from __future__ import annotations

from typing import get_args

import pytest

from cave_auth_adapter import InvalidToken
from cave_auth_adapter.tokens import FILES, Kind, Source, Token, check_token

from ..support.secret_files import lines_of
from ..support.stub import TOKEN


@pytest.mark.parametrize("kind", get_args(Kind))
def test_each_kind_of_source_has_a_description(kind: Kind) -> None:
    words = str(Source(kind, "/secrets/some.json", "a key"))
    assert ("/secrets/some.json" in words) == (kind in FILES)
    assert len(words.split()) >= 2


def test_repr_shows_the_source_and_hides_the_token() -> None:
    token = Token(TOKEN, Source("file", "/secrets/some.json", "token"))
    assert "/secrets/some.json" in repr(token)
    assert TOKEN not in repr(token)


@pytest.mark.parametrize("token", [TOKEN, "a", "aA0-._~+/", "abc==", "x" * 4096])
def test_well_formed_tokens_are_accepted(token: str) -> None:
    assert check_token(token, "this test") == token


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        (None, "is not a string but NoneType"),
        ("", "is empty"),
        (TOKEN + "\n", "has a line break in it"),
        (TOKEN + " ", "has white space in it"),
        (f"'{TOKEN}'", "has quotes in it"),
        ("=" + TOKEN, "has characters in it that no bearer token has"),
    ],
)
def test_a_malformed_token_is_refused_with_the_reason(token: object, problem: str) -> None:
    with pytest.raises(InvalidToken, match=f"^this test {problem}") as caught:
        check_token(token, "this test")
    assert TOKEN not in lines_of(caught.value)
