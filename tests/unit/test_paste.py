"""What is taken from a text that people paste at the prompt of a login."""

from __future__ import annotations

import json

import pytest

from cave_auth_adapter import InvalidToken
from cave_auth_adapter.login.paste import token_in_paste

TOKEN = "0123456789abcdef" * 2
TARGET = "http://127.0.0.1:41231/Abc_def-123"
WHOLE = (
    f"{TARGET}?middle_auth_token={TOKEN}&middle_auth_url=global.daf-apis.com%2Fsticky_auth"
    f"&token={TOKEN}"
)
DOWNLOAD = {"token": TOKEN, "description": "mine", "middle_auth_url": "global.daf-apis.com"}


@pytest.mark.parametrize(
    "pasted",
    [
        TOKEN,
        f"  {TOKEN}\n",
        TOKEN * 2,  # 64 digits; CAVE has 32
        f"Bearer {TOKEN}",
        f"Authorization: Bearer {TOKEN}",
        json.dumps({"token": TOKEN}),
        json.dumps(DOWNLOAD, indent=2),
        json.dumps({"my_datastack": TOKEN}),
        WHOLE,
        WHOLE.removeprefix("http://"),
        WHOLE.replace("http", "https", 1),
        WHOLE * 2,
        WHOLE.removeprefix("http://") * 2,
        f"{WHOLE}\n{WHOLE}",
        f"{WHOLE}#",
        f"\x1b[200~{WHOLE}\x1b[201~",
        f"\x1b[200~{TOKEN}\x1b[201~",
    ],
)
def test_a_token_is_found(pasted: str) -> None:
    assert token_in_paste(pasted, TARGET) == TOKEN


@pytest.mark.parametrize(
    ("pasted", "said"),
    [
        ("", "Nothing was pasted"),
        ("\x1b[200~\x1b[201~", "Nothing was pasted"),
        ("\x16", "What you pasted has a control character in it"),
        (f"\x16{TOKEN}", "Shift-Insert"),
        ("{", "not a complete secret file"),
        ("[" * 100_000, "no bearer token"),
        ("{" * 100_000, "not a complete secret file"),
        ('{"a": "b", "c": "d"}', "'token'"),
        (json.dumps({"token": [TOKEN]}), "not a string"),
        (f"'{TOKEN}'", "quotes"),
        (TARGET, "no token in it"),
        (WHOLE.replace("41231", "41232"), "not the address"),
        (WHOLE.replace("Abc", "abc"), "not the address"),
        (f"https://global.daf-apis.com/{TOKEN}", "not the address"),
        (f"{WHOLE}&token=another", "no token in it"),
        (WHOLE + WHOLE.replace("0123", "3210"), "no token in it"),
        (f"https://evil.example/?next={WHOLE}", "no token in it"),
    ],
)
def test_a_text_without_a_token_is_explained_and_not_shown(pasted: str, said: str) -> None:
    with pytest.raises(InvalidToken, match=said) as caught:
        token_in_paste(pasted, TARGET)
    assert TOKEN not in str(caught.value)
    assert caught.value.__context__ is None or TOKEN not in repr(caught.value.__context__)


def test_an_address_is_explained_where_no_login_waits_for_one() -> None:
    with pytest.raises(InvalidToken, match="not the address"):
        token_in_paste(WHOLE)
