"""A request to a host outside CAVE is the same on the wire, byte for byte, with the plugin."""

from __future__ import annotations

import contextlib
import io
import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import urllib3.filepost
from hypothesis import event, given
from hypothesis import strategies as st
from requests.auth import HTTPBasicAuth

from cave_auth_adapter import CaveAdapter, CaveAuth, TokenStore, installed, mount

from ..support.recorder import Received, Recorder
from ..support.servers import Authority
from .budget import examples
from .cookies import COOKIE_HEADERS, FIELD_NAMES, FIELD_VALUES, text_or_bytes

TOKEN, FOREIGN_TOKEN = "0123456789abcdef" * 2, "fedcba9876543210" * 2

# --- What is sent ---------------------------------------------------------------------------

WORDS = st.text("abc XYZ09%/?&=+;:@\u00e9\u4e2d\"'<>", max_size=8)
FORM = st.dictionaries(WORDS, WORDS | st.lists(WORDS, max_size=2), max_size=3)
CHUNKS = st.lists(st.binary(min_size=1, max_size=20), max_size=3)
# Makes a new body for each request, since sending uses up a generator or a file.
BODIES: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], dict[str, Any]]]] = {
    "none": (st.none(), lambda _: {}),
    "bytes": (st.binary(max_size=50), lambda value: {"data": value}),
    "text": (st.text(max_size=20), lambda value: {"data": value}),
    "form": (FORM, lambda value: {"data": value}),
    "json": (st.dictionaries(WORDS, st.integers() | WORDS, max_size=3), lambda v: {"json": v}),
    "files": (
        st.tuples(WORDS, st.binary(max_size=30), FORM),
        lambda v: {"files": {"f": (v[0], io.BytesIO(v[1]))}, "data": v[2]},
    ),
    "file": (st.binary(max_size=50), lambda value: {"data": io.BytesIO(value)}),
    "chunked": (CHUNKS, lambda value: {"data": iter(value)}),
}
METHODS = st.sampled_from(
    ["GET", "GET", "POST", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "get", "PROPFIND"]
)
AUTHS = st.sampled_from([None, None, ("user", "p\u00e4ss"), ("", ""), HTTPBasicAuth("a", "b")])
AUTHORIZATIONS = st.sampled_from(["Basic eDp5", f"Bearer {FOREIGN_TOKEN}", b"Bearer", "odd"])
HOPS = st.lists(
    st.tuples(st.sampled_from([301, 302, 303, 307, 308]), st.integers(0, 2)), max_size=2
)


class Call(NamedTuple):
    """The arguments of one request; the URL without its server."""

    method: str
    server: int
    user: str
    path: str
    body: str
    value: Any
    options: dict[str, Any]

    def send(self, request: Callable[..., requests.Response], servers: list[Recorder]) -> object:
        """The comparable parts of what the caller gets."""
        scheme, _, host = servers[self.server].url.partition("://")
        url = f"{scheme}://{self.user}{host}{self.path}"
        options = {**self.options, **BODIES[self.body][1](self.value)}
        try:
            answer = request(self.method, url, timeout=10, **options)
        except (requests.RequestException, ValueError) as error:
            return type(error)
        return answer.status_code, answer.text, [each.url for each in answer.history]


@st.composite
def header_fields(draw: st.DrawFn) -> dict[str, Any]:
    fields: dict[str, Any] = draw(
        st.dictionaries(FIELD_NAMES, text_or_bytes(FIELD_VALUES), max_size=3)
    )
    for name, values in {"Cookie": COOKIE_HEADERS, "authorization": AUTHORIZATIONS}.items():
        if not draw(st.integers(0, 3)):
            fields[name] = draw(values)
    return fields


@st.composite
def calls(draw: st.DrawFn) -> Call:
    body = draw(st.sampled_from(sorted(BODIES)))
    path = "".join(f"/to/{status}/{number}" for status, number in draw(HOPS))
    path += draw(st.sampled_from(["/", "/cookie/x", "/a b/\u00e9?q=1&q=2#f", "/%7e/../x;p?"]))
    options: dict[str, Any] = {"headers": draw(header_fields()), "auth": draw(AUTHS)}
    if draw(st.booleans()):
        options["cookies"] = draw(
            st.dictionaries(st.sampled_from("ab"), st.sampled_from(["1", "x y"]))
        )
    if draw(st.booleans()):
        options["params"] = draw(FORM)
    if not draw(st.integers(0, 4)):
        options["allow_redirects"] = False
    user = draw(st.sampled_from(["", "", "", "me:secret@", "me@"]))
    value = draw(BODIES[body][0])
    return Call(draw(METHODS), draw(st.integers(0, 2)), user, path, body, value, options)


class Settings(NamedTuple):
    """What a session has of its own."""

    headers: dict[str, Any]
    params: dict[str, Any]
    cookies: dict[str, str]
    trust_env: bool

    def apply(self, session: requests.Session) -> None:
        session.headers.update(self.headers)
        session.params.update(self.params)
        session.cookies.update(self.cookies)
        session.trust_env = self.trust_env
        session.verify = os.environ["REQUESTS_CA_BUNDLE"]  # for those that trust no environment


# None has a cookie with our name: install() removes it on a redirect to a foreign host,
# because CAVEclient keeps its token in it.
SETTINGS = st.builds(
    Settings,
    header_fields(),
    FORM,
    st.dictionaries(st.sampled_from(["s", "t"]), st.sampled_from(["1", '"x;y"'])),
    st.booleans(),
)

# --- By which doors -------------------------------------------------------------------------


def through_auth(session: requests.Session, stack: contextlib.ExitStack) -> None:
    session.auth = CaveAuth()


def through_mount(session: requests.Session, stack: contextlib.ExitStack) -> None:
    mount(session)


def through_adapter(session: requests.Session, stack: contextlib.ExitStack) -> None:
    for prefix in ("https://", "http://"):
        session.mount(prefix, CaveAdapter())


def through_install(session: requests.Session, stack: contextlib.ExitStack) -> None:
    stack.enter_context(installed())


def through_all(session: requests.Session, stack: contextlib.ExitStack) -> None:
    for door in (through_auth, through_adapter, through_mount, through_install):
        door(session, stack)


DOORS = [through_auth, through_mount, through_adapter, through_install, through_all]


@pytest.fixture(scope="module")
def servers(authority: Authority) -> Iterator[list[Recorder]]:
    """Two hosts over http and one over https; a redirect leads from any to any."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.ca.issue_cert("127.0.0.1").configure_cert(context)
    with Recorder() as one, Recorder() as two, Recorder(context) as three:
        for server in (one, two, three):
            server.servers = [one, two, three]
        yield [one, two, three]


@pytest.fixture
def a_token_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    """A token for CAVE, netrc for all hosts, and a fixed boundary for multipart bodies."""
    TokenStore().save(TOKEN)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login netrc password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    monkeypatch.setattr(urllib3.filepost, "choose_boundary", lambda: "boundary")


@contextlib.contextmanager
def netrc_as_with(auth: bool) -> Iterator[None]:
    """Each auth object of requests turns netrc off, so compare without netrc."""
    with pytest.MonkeyPatch.context() as patch:
        if auth:
            patch.setenv("NETRC", os.devnull)
        yield


Outcome = tuple[list[object], list[list[Received]]]


def outcome_of(
    calls: list[Call], settings: Settings, servers: list[Recorder], door: Callable[..., None] | None
) -> Outcome:
    """What the caller received, and what each server received on each connection."""
    for server in servers:
        server.clear()
    with contextlib.ExitStack() as stack:
        session = stack.enter_context(requests.Session())
        settings.apply(session)
        if door is not None:
            door(session, stack)
        got = [call.send(session.request, servers) for call in calls]
    return got, [server.requests_by_connection() for server in servers]


@pytest.mark.usefixtures("a_token_is_there")
def test_a_session_sends_the_same_bytes_with_and_without_us(servers: list[Recorder]) -> None:
    sent = 0

    @examples(200)
    @given(SETTINGS, st.lists(calls(), min_size=1, max_size=2), st.sampled_from(DOORS))
    def check(settings: Settings, made: list[Call], door: Callable[..., None]) -> None:
        nonlocal sent
        with netrc_as_with(door in (through_auth, through_all)):
            without = outcome_of(made, settings, servers, None)
            received = sum(map(len, without[1]))
            event(f"{received} requests")
            sent += received
            assert outcome_of(made, settings, servers, door) == without

    check()
    assert sent > 200


@pytest.mark.usefixtures("a_token_is_there")
def test_the_functions_send_the_same_bytes_with_and_without_us(servers: list[Recorder]) -> None:
    """Each function makes a new session, which only `install` and `auth=` reach."""
    sent = 0

    def outcome(call: Call) -> tuple[object, list[list[Received]]]:
        for server in servers:
            server.clear()
        got = call.send(requests.request, servers)
        return got, [server.requests_by_connection() for server in servers]

    @examples(120)
    @given(calls(), st.booleans())
    def check(call: Call, with_auth: bool) -> None:
        nonlocal sent
        without = outcome(call)
        sent += sum(map(len, without[1]))
        with installed():
            assert outcome(call) == without
        if with_auth and call.options["auth"] is None:
            signed = call._replace(options={**call.options, "auth": CaveAuth()})
            with netrc_as_with(auth=True):
                without = outcome(call)
                with installed():
                    assert outcome(signed) == without

    check()
    assert sent > 100
