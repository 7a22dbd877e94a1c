"""Header fields and Cookie headers, usual and odd, none of them with our token."""

from __future__ import annotations

from hypothesis import strategies as st

_TOKEN_CHARACTERS = "abcxyzABC019!#$&'*+-.^_`|~"  # RFC 9110, section 5.6.2
_OCTETS = "abcXYZ019!#$%&'()*+-./:<=>?@[]^_`{|}~"  # RFC 6265, section 4.1.1
_NAMES = st.one_of(
    st.sampled_from(["a", "b", "session", "my_middle_auth_token", "middle_auth_token_2"]),
    st.text(_TOKEN_CHARACTERS, min_size=1, max_size=6),
)
_VALUES = st.one_of(
    st.sampled_from(
        ["1", "", "a=b", "middle_auth_token", '"quoted"', '"in; quotes"', '"in;quotes"']
    ),
    # Bytes of UTF-8 as http.client hands them out; the last ones are white space to str.strip().
    st.sampled_from(["\u00e0", "\u0445", "\u2026", "\u00fc"]).map(
        lambda letter: letter.encode().decode("latin-1")
    ),
    st.text(_OCTETS, max_size=12),
    st.text(_OCTETS, max_size=12),
)
PAIRS = st.builds("{}={}".format, _NAMES, _VALUES)
SEPARATORS = st.sampled_from(["; ", "; ", "; ", ";", " ; ", ";\t"])


@st.composite
def joined(draw: st.DrawFn, pairs: list[str]) -> str:
    """A Cookie header of these pairs."""
    text = ""
    for pair in pairs:
        text += (draw(SEPARATORS) if text else "") + pair
    return text


COOKIE_HEADERS = st.lists(PAIRS, min_size=1, max_size=5).flatmap(joined)
FIELD_NAMES = st.sampled_from(
    [
        "Accept",
        "accept-language",
        "X-Token",
        "X-REQUESTED-WITH",
        "User-Agent",
        "Referer",
        "X",
        "If-Match",
    ]
)
FIELD_VALUES = st.text("abc XYZ019;,=\"'/\u00e9", max_size=12).map(str.strip)


def text_or_bytes(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str | bytes]:
    """requests takes both; http.client writes text as Latin-1."""
    return texts | texts.map(lambda text: text.encode("latin-1"))


def on_the_wire(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")
