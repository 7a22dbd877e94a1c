"""Changing one key in the text of a secret file leaves every other character as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cave_auth_adapter.store.document import Document, RepeatedKey

TOKEN = "0123456789abcdef"
# Texts that Python's json would write differently.
ODD = [
    *('{"n":1e400}', '{"n":1.00000000000000000001}', '{"n":-0.0}', '{"n":NaN}', '{"n": 1E5}'),
    *('{"n":123456789012345678901234567890}', '{"s":"\\ud800"}', '{"s":"\\u0041\\/"}', '{"s":"ü"}'),
    '{"a" :\t{"b":1,"b":2} }',
]
LAYOUTS: list[dict[str, Any]] = [{}, {"indent": 2}, {"indent": "\t"}, {"separators": (",", ":")}]
KEYS = st.sampled_from(["token", "a", 'quo"te', "back\\slash", "", "ü"])
OBJECTS = st.dictionaries(KEYS, st.none() | st.integers() | st.text() | st.lists(st.text()))


@pytest.mark.parametrize("text", ODD)
def test_the_rest_of_the_text_is_unchanged(text: str) -> None:
    written = Document(text).with_key("token", TOKEN).text
    kept = text.rstrip("} ")
    assert written.startswith(kept)
    assert json.loads(written)["token"] == TOKEN
    assert Document(written).without_key("token").text == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", '{"token": "T"}'),
        (" {\n}\n", '{"token": "T"}'),
        ('{"a": 1}', '{"a": 1, "token": "T"}'),
        ('{\n  "a": 1\n}\n', '{\n  "a": 1,\n  "token": "T"\n}\n'),
        ('{"a": 1,\n "b": 2}', '{"a": 1,\n "b": 2,\n "token": "T"}'),
        ('{"token" : "old" , "b": 2}', '{"token" : "T" , "b": 2}'),
        ('\ufeff{"a": 1}', '{"a": 1, "token": "T"}'),
    ],
)
def test_a_new_key_is_laid_out_like_the_others(before: str, after: str) -> None:
    assert Document.decode(before.encode()).with_key("token", "T").text == after


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a busy machine
@given(content=OBJECTS, layout=st.sampled_from(LAYOUTS), key=KEYS, ascii_only=st.booleans())
def test_changes_match_those_of_a_dict(
    content: dict[str, Any], layout: dict[str, Any], key: str, ascii_only: bool
) -> None:
    text = json.dumps(content, ensure_ascii=ascii_only, **layout)
    changed = Document(text).with_key(key, TOKEN).text
    assert list(json.loads(changed).items()) == list({**content, key: TOKEN}.items())
    assert json.loads(Document(changed).without_key(key).text) == {
        name: value for name, value in content.items() if name != key
    }


@pytest.mark.parametrize("text", ['{"a": 1,\n "a": 2}', '{"a": 1, "\\u0061": 2, "token": "old"}'])
def test_a_repeated_key_is_an_error_on_change(text: str) -> None:
    document = Document(text)
    assert document.secrets()["a"] == 2
    with pytest.raises(RepeatedKey, match=rf"line {text.count(chr(10)) + 1}"):
        document.with_key("token", TOKEN)
    with pytest.raises(RepeatedKey):
        document.without_key("a")


def test_repr_shows_no_token() -> None:
    document = Document(json.dumps({"token": TOKEN}))
    assert TOKEN not in repr(document) + repr(document.secrets())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[]", "list"),
        ('"x"', "string"),
        ("1", "number"),
        ("1e400", "number"),
        ("true", "boolean"),
        ("null", "null"),
    ],
)
def test_what_is_no_object_is_named_as_in_json(text: str, kind: str) -> None:
    with pytest.raises(TypeError) as caught:
        Document(text).secrets()
    assert str(caught.value) == kind
