"""Why a request was refused, and what is advised, for answers of every shape; a stub answers."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import logging
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
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
    TokenNotFound,
    TokenStore,
    explain,
    mount,
    raise_for_auth,
)
from cave_auth_adapter.refusals import judge, remember_token, warn_of_stranger
from cave_auth_adapter.refusals.answers import covered, parsed
from cave_auth_adapter.refusals.bodies import PEEKED, decoded
from cave_auth_adapter.shells import unset
from cave_auth_adapter.tokens import Kind, Source, Token

from ..support.stub import TOKEN
from .test_hostile_answers import CAVE, HOSTS, Server, Through, door  # noqa: F401

GLOBAL = "https://global.daf-apis.com"
MINNIE = "https://minnie.microns-daf.com"
LAB = "https://cave.my-lab.example"
LOGIN_PAGE = f"{GLOBAL}/sticky_auth/api/v1/authorize"
GOOGLE = "https://accounts.google.com/o/oauth2/auth"


def answer(status: int, url: str = MINNIE, body: Any = b"", **headers: str) -> requests.Response:
    """An answer with a body that is yet to be read; a dict or a list is sent as JSON."""
    response = requests.Response()
    response.status_code, response.url = status, url
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    content = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
    response.raw = urllib3.HTTPResponse(
        io.BytesIO(content), dict(response.headers), status, preload_content=False
    )
    return response


def refused(kind: Kind = "file", url: str = MINNIE, path: Any = None) -> requests.Response:
    response = answer(401, url, WWW_Authenticate='Bearer error="invalid_token"')
    remember_token(response, Token(TOKEN, Source(kind, path, "token")))
    return response


def nested(depth: int) -> bytes:
    return b'{"error": "x", "data": ' + b'{"a": ' * depth + b"1" + b"}" * (depth + 1)


# --- No answer raises ----------------------------------------------------------------------


@pytest.mark.parametrize("depth", [100, 480, 600, 900, 3000])
@pytest.mark.parametrize("status", [400, 401, 403])
def test_deeply_nested_json_is_returned_unchanged(
    door: Through,  # noqa: F811
    status: int,
    depth: int,
) -> None:
    body = nested(depth)
    response = door(Server(status=status, body=body)).get(f"{CAVE}/x")
    assert (response.status_code, response.content) == (status, body)
    assert explain(response) is None or status == 401


def test_a_response_without_a_body_is_accepted(door: Through) -> None:  # noqa: F811
    class Bodiless(Server):
        def send(self, *arguments: Any, **options: Any) -> requests.Response:
            response = super().send(*arguments, **options)
            response.raw = None
            return response

    for status in (400, 401, 403):
        assert door(Bodiless(status=status)).get(f"{CAVE}/x").status_code == status


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


# --- Who refused, and what is advised ------------------------------------------------------


def followed(*urls: str) -> requests.Response:
    """An answer with status 200 after redirects, as requests returns it."""
    hops = [answer(302, url, Location=target) for url, target in itertools.pairwise(urls)]
    last = answer(200, urls[-1], b"<html>")
    last.history = hops
    return last


@pytest.mark.parametrize(
    ("first", "command"),
    [
        (MINNIE, "cave-auth login global.daf-apis.com"),
        (LAB, "cave-auth trust cave.my-lab.example --server global.daf-apis.com"),
    ],
)
def test_the_service_that_redirects_to_the_login_is_named(first: str, command: str) -> None:
    response = followed("https://short.example/x", f"{first}/x", LOGIN_PAGE, GOOGLE)
    sentence = explain(response)
    assert sentence is not None
    assert sentence.startswith(first.partition("//")[2])
    assert sentence.endswith(command)
    assert "google" not in sentence
    with pytest.raises(TokenNotFound) as caught:
        raise_for_auth(response)
    assert caught.value.host == first.partition("//")[2]


STRANGER = {"location": LOGIN_PAGE}
CHALLENGE = {"www-authenticate": f'Bearer realm="{LOGIN_PAGE}"'}


@pytest.mark.parametrize(("status", "headers"), [(302, STRANGER), (401, CHALLENGE)])
def test_an_untrusted_service_that_wants_a_token_warns_once(
    door: Through,  # noqa: F811
    warnings: Callable[[], list[str]],
    status: int,
    headers: dict[str, str],
) -> None:
    for _ in range(3):
        door(Server(status=status, headers=headers)).get(LAB, allow_redirects=False)
    (warning,) = warnings()
    assert "is not trusted" in warning
    assert f"cave-auth trust {LAB[8:]} --server global.daf-apis.com" in warning


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (302, {"location": f"{LAB}/elsewhere"}),
        (401, {"www-authenticate": 'Basic realm="x"'}),
        (200, CHALLENGE),
        (None, {}),
    ],
)
def test_other_hosts_give_no_warning(
    door: Through,  # noqa: F811
    warnings: Callable[[], list[str]],
    status: int,
    headers: dict[str, str],
) -> None:
    door(Server(status=status, headers=headers)).get(LAB, allow_redirects=False)
    assert warnings() == []


@pytest.mark.parametrize(
    ("url", "page", "command"),
    [
        (LAB, f"{LAB}/sticky_auth/api/v1/authorize", "cave-auth login cave.my-lab.example"),
        (LAB, "https://auth.lab.example/sticky_auth/api/v1/authorize",
         "cave-auth login auth.lab.example, then "
         "cave-auth trust cave.my-lab.example --server auth.lab.example"),
    ],
)  # fmt: skip
def test_the_advice_names_the_servers_of_the_deployment(url: str, page: str, command: str) -> None:
    response = answer(401, url, WWW_Authenticate=f'Bearer realm="{page}"')
    remember_token(response, None)  # a door trusts it
    assert (explain(response) or "").endswith(f"Log in: {command}")


def test_after_a_redirect_the_advice_is_a_direct_request() -> None:
    response = answer(401, f"{MINNIE}/x?token=1", WWW_Authenticate=f'Bearer realm="{LOGIN_PAGE}"')
    remember_token(response, None, led=True)
    assert "It followed a redirect from another site" in (explain(response) or "")
    response.history = [answer(302, "https://short.example/x", Location=response.url)]
    sentence = explain(response)
    assert sentence is not None
    assert "It followed a redirect from short.example" in sentence
    assert sentence.endswith(f"Request the address directly: {MINNIE}/x")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("file", "Log in again: cave-auth login global.daf-apis.com"),
        ("keyring", "Log in again: cave-auth login"),
        ("token=", "give a new one there, or leave token= out and log in: cave-auth login"),
        ("token_file=", "save a new one there, or leave token_file= out and log in: "),
        ("source=", "let source= return a new one, or leave it out and log in: "),
        ("CAVE_TOKEN", f"set a new one, or {unset('CAVE_TOKEN')} and log in: "),
        ("CAVE_TOKEN_FILE", f"save a new one there, or {unset('CAVE_TOKEN_FILE')} and log in: "),
        ("CAVE_TOKEN_COMMAND", f"let it print a new one, or {unset('CAVE_TOKEN_COMMAND')} and"),
    ],
)
def test_the_remedy_fits_the_token_source(kind: Kind, said: str) -> None:
    sentence = explain(refused(kind, path="/secrets/file"))
    assert sentence is not None
    assert said in sentence
    assert ("A login does not replace it" in sentence) == (kind not in ("file", "keyring"))


def test_for_a_new_token_the_advice_is_to_wait(tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    path.touch()
    assert "wait up to five minutes" in (explain(refused(path=path)) or "")
    assert "wait up to five minutes" in (explain(refused("CAVE_TOKEN")) or "")
    assert "five minutes" not in (explain(refused(path=path, url=GLOBAL)) or "")
    os.utime(path, (0, time.time() - 400))
    assert "five minutes" not in (explain(refused(path=path)) or "")


@pytest.mark.parametrize("privilege", ["superadmin", "admin", "dataset admin", "group admin"])
def test_a_missing_privilege_is_named(privilege: str) -> None:
    response = answer(403, body=f"Requires {privilege} privilege.".encode())
    with pytest.raises(PermissionMissing, match=f"only an? {privilege} may do this") as caught:
        raise_for_auth(response)
    assert caught.value.privilege == privilege


def test_a_missing_role_is_named() -> None:
    data = {"required_role": "dataset_admin", "auth_dataset": "fish"}
    response = answer(403, body={"error": "missing_role", "data": data})
    with pytest.raises(
        PermissionMissing, match="the role 'dataset_admin' on the dataset"
    ) as caught:
        raise_for_auth(response)
    assert (caught.value.role, caught.value.dataset) == ("dataset_admin", "fish")
    assert caught.value.permission is None


@pytest.mark.parametrize("error", ["invalid_table_id", "missing_table_id"])
def test_a_bad_table_id_is_explained(error: str) -> None:
    response = answer(400, body={"error": error})
    with pytest.raises(requests.HTTPError, match="table") as caught:
        raise_for_auth(response)
    assert "check the address" in str(caught.value)


def test_a_redirect_to_the_terms_form_raises_terms_not_accepted() -> None:
    form = f"{GLOBAL}/sticky_auth/api/v1/tos/3/accept"
    response = followed(f"{MINNIE}/x", f"{form}?redirect={quote(MINNIE)}/x", GOOGLE)
    with pytest.raises(TermsNotAccepted) as caught:
        raise_for_auth(response)
    assert caught.value.form_url == f"{form}?redirect={GLOBAL}/sticky_auth/settings/tokens"
    assert "server's word" not in str(caught.value)


def test_a_form_on_another_host_comes_with_a_caution() -> None:
    data = {"tos_name": "T", "tos_form_url": "https://evil.example/api/v1/tos/1/accept"}
    sentence = explain(answer(403, body={"error": "missing_tos", "data": data}))
    assert sentence is not None
    assert sentence.endswith("before you open it): https://evil.example/api/v1/tos/1/accept")


def test_a_password_in_place_of_a_token_is_explained() -> None:
    response = answer(400, body={"error": "bad_auth_header"})
    request = requests.Request("GET", MINNIE, auth=("me", "secret"))
    response.request = request.prepare()
    assert "It held a password, from auth=, the URL or netrc" in (explain(response) or "")


@pytest.mark.parametrize("body", ['{"error": "missing_role"}', b'{"error": "missing_role"}'])
def test_explain_accepts_parts_of_an_answer(body: Any) -> None:
    sentence = explain(status=403, headers={"x-y": "z"}, body=body, url=f"{MINNIE}/x")
    assert (sentence or "").startswith("minnie.microns-daf.com: your account lacks the role")
    assert explain(status=200, url=MINNIE) is None
    refusal = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    assert (explain(status=401, headers=refusal) or "").endswith("cave-auth login SERVER")
    challenge = {"www-authenticate": f'Bearer realm="{LOGIN_PAGE}"', "content-encoding": "gzip"}
    assert "wants a token" in (explain(status=401, headers=challenge, url=MINNIE) or "")


# --- One warning each ----------------------------------------------------------------------


class Service(Server):
    """Refuses every token but one."""

    good = TOKEN

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        alive = request.headers.get("Authorization") == f"Bearer {self.good}"
        self.arrived.clear()
        self.answer = {} if alive else {
            "status": 401, "headers": {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        }  # fmt: skip
        return super().send(request, **options)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    def since() -> list[str]:
        messages = [each.message for each in caplog.records if each.levelno == logging.WARNING]
        caplog.clear()
        return messages

    return since


def test_each_refused_token_gives_its_own_warning(
    warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    service, session = Service(), requests.Session()
    session.mount("https://", service)
    mount(session, CaveAuth(hosts=HOSTS))
    for token in (TOKEN, TOKEN[::-1]):
        monkeypatch.setenv("CAVE_TOKEN", token)
        service.good = token
        assert session.get(CAVE).status_code == 200
        service.good = "another"
        assert [session.get(CAVE).status_code for _ in range(3)] == [401] * 3
        assert len(warnings()) == 1
    monkeypatch.setenv("CAVE_TOKEN", TOKEN.upper())  # and a token that never worked
    assert session.get(CAVE).status_code == 401
    assert len(warnings()) == 1


def test_each_dataset_gives_its_own_warning(
    door: Through,  # noqa: F811
    warnings: Callable[[], list[str]],
) -> None:
    for dataset in ("fish", "fly", "fish"):
        data = {"required_permission": "view", "auth_dataset": dataset}
        body = json.dumps({"error": "missing_permission", "data": data}).encode()
        door(Server(status=403, body=body)).get(f"{CAVE}/x")
    assert [message.partition("dataset ")[2][:6] for message in warnings()] == ["'fish'", "'fly'."]


def test_a_refused_token_from_a_file_names_the_file(door: Through) -> None:  # noqa: F811
    path = TokenStore().save(TOKEN, CAVE)
    session = requests.Session()
    session.mount("https://", Service(status=401))
    mount(session, CaveAuth(hosts=HOSTS))
    Service.good = "another"
    try:
        assert str(path) in (explain(session.get(CAVE)) or "")
    finally:
        Service.good = TOKEN
