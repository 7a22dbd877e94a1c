"""What a token is: its source, by kind and in words."""

from __future__ import annotations

from typing import get_args

import pytest

from cave_auth_adapter.tokens import FILES, Kind, Source, Token

from ..support.stub import TOKEN


@pytest.mark.parametrize("kind", get_args(Kind))
def test_each_kind_of_source_has_words(kind: Kind) -> None:
    words = str(Source(kind, "/secrets/some.json", "a key"))
    assert ("/secrets/some.json" in words) == (kind in FILES)
    assert len(words.split()) >= 2


def test_a_token_shows_its_source_and_not_itself() -> None:
    token = Token(TOKEN, Source("file", "/secrets/some.json", "token"))
    assert "/secrets/some.json" in repr(token)
    assert TOKEN not in repr(token)
