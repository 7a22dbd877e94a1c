"""The real requests-cache and CacheControl store answers, and no token with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cachecontrol
import pytest
import requests
import requests_cache
from cachecontrol.caches import FileCache

from cave_auth_adapter import CaveAdapter, CaveAuth, install, mount
from cave_auth_adapter.sandbox import Sandbox

from ..support.sandbox import Tokens
from .conftest import MakeServer, Python

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def url(sandbox: Sandbox, tokens: Tokens) -> str:
    """A protected address whose answer does not repeat the token."""
    return f"{sandbox.data_server}/volume/sandbox/info"


@pytest.fixture
def uncached() -> Iterator[None]:
    yield
    requests_cache.uninstall_cache()


def bytes_below(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def install_both(order: str, **options: object) -> None:
    if order == "ours first":
        install()
    requests_cache.install_cache(**options)  # type: ignore[arg-type]
    if order == "theirs first":
        install()


orders = pytest.mark.parametrize("order", ["ours first", "theirs first"])


@pytest.mark.parametrize("backend", ["sqlite", "filesystem"])
@pytest.mark.parametrize("make", ["install", "mount", "auth"])
def test_a_cached_session_requests_once_and_stores_no_token(
    url: str, sandbox: Sandbox, tokens: Tokens, cache: Path, backend: str, make: str
) -> None:
    session = requests_cache.CachedSession(str(cache / "name"), backend=backend)
    if make == "auth":
        session.auth = CaveAuth()
    else:
        install() if make == "install" else mount(session)
    sandbox.clear_requests()

    first, second = session.get(url), session.get(url)
    session.close()

    assert (first.status_code, first.from_cache, second.from_cache) == (200, False, True)
    assert len(sandbox.requests(sandbox.data_server)) == 1
    assert b"segmentation" in bytes_below(cache)
    assert not any(token.encode() in bytes_below(cache) for token in tokens)


def test_a_cache_stores_no_login_page_for_an_unusable_token(
    url: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, on: None
) -> None:
    session = requests_cache.CachedSession(backend="memory")
    monkeypatch.setenv("CAVE_TOKEN", f"{sandbox.token}\n")  # as `echo` leaves it
    refused = session.get(url)
    monkeypatch.setenv("CAVE_TOKEN", sandbox.token)
    answer = session.get(url)

    assert (refused.status_code, refused.headers["Content-Type"]) == (401, "application/json")
    assert (answer.status_code, answer.from_cache) == (200, False)


@pytest.mark.parametrize("match", [False, True, ["Authorization"]])
def test_a_cached_session_that_matches_headers_finds_its_entry(
    url: str, cache: Path, on: None, match: bool | list[str]
) -> None:
    session = requests_cache.CachedSession(str(cache / "name"), match_headers=match)

    assert [session.get(url).from_cache for _ in range(2)] == [False, True]


@orders
def test_an_installed_cache_serves_requests_get(
    url: str, sandbox: Sandbox, tokens: Tokens, cache: Path, uncached: None, order: str
) -> None:
    install_both(order, cache_name=str(cache / "name"), backend="filesystem")
    sandbox.clear_requests()

    answers = [requests.get(url) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len(sandbox.requests(sandbox.data_server)) == 1
    assert not any(token.encode() in bytes_below(cache) for token in tokens)


@orders
def test_after_the_cache_is_uninstalled_requests_are_signed(
    url: str, cache: Path, uncached: None, order: str
) -> None:
    install_both(order, backend="memory")
    requests_cache.uninstall_cache()

    assert requests.get(url).status_code == 200


def test_a_session_made_before_the_installed_cache_is_signed(url: str, uncached: None) -> None:
    before = requests.Session()
    install_both("theirs first", backend="memory")

    assert before.get(url).status_code == 200


@pytest.mark.parametrize("kind", ["before.get", "requests.get", "Original().get"])
def test_every_session_signs_after_a_first_import_under_an_installed_cache(
    url: str, python: Python, kind: str
) -> None:
    """`requests.Session` is then the cache's subclass, and not the class of all sessions."""
    script = f"""
        import sys, requests, requests_cache
        from requests import Session as Original
        before = requests.Session()
        requests_cache.install_cache(backend="memory")
        import cave_auth_adapter
        cave_auth_adapter.install()
        print({kind}(sys.argv[1], allow_redirects=False).status_code)
    """
    result = python(script, url)

    assert result.stdout.strip() == "200", result.stderr


CACHING = ("wrapper", "adapter", "mount", "CaveAdapter", "auth")


def with_cachecontrol(how: str, auth: CaveAuth | None, cache: Path) -> requests.Session:
    """A session with CacheControl and the plugin; without the plugin if there is no auth."""
    session, adapter = requests.Session(), cachecontrol.CacheControlAdapter(FileCache(str(cache)))
    if how == "wrapper":
        session = cachecontrol.CacheControl(session, cache=adapter.cache)
    else:
        session.mount("https://", adapter)
    if auth is None:
        return session
    if how in ("wrapper", "adapter"):
        install(auth)
    elif how == "mount":
        mount(session, auth)
    elif how == "CaveAdapter":
        session.mount("https://", CaveAdapter(auth, wrapped=adapter))
    else:
        session.auth = auth
    return session


@pytest.mark.parametrize("how", CACHING)
def test_cachecontrol_requests_once_and_stores_no_token(
    serve: MakeServer, tmp_path: Path, how: str
) -> None:
    server = serve(headers=("Cache-Control: max-age=600",))
    auth = CaveAuth(TOKEN, hosts=[server.host])
    session = with_cachecontrol(how, auth, tmp_path / "cache")

    assert [session.get(f"{server.url}/x").text for _ in range(3)] == ["GET /x "] * 3
    assert [seen.headers["authorization"] for seen in server.requests] == [f"Bearer {TOKEN}"]
    assert b"GET /x" in bytes_below(tmp_path / "cache")
    assert TOKEN.encode() not in bytes_below(tmp_path / "cache")


@pytest.mark.xfail(
    strict=True, reason="RFC 9111 has a cache keep the headers that an answer varies by; see docs"
)
@pytest.mark.parametrize("name", ["Authorization", "Cookie", "Accept, Cookie"])
def test_cachecontrol_stores_no_token_where_the_answer_varies_by_it(
    serve: MakeServer, tmp_path: Path, name: str
) -> None:
    server = serve(headers=("Cache-Control: max-age=600", f"Vary: {name}"))
    kept = FileCache(str(tmp_path / "cache"))
    session = cachecontrol.CacheControl(requests.Session(), cache=kept)
    install(CaveAuth(TOKEN, hosts=[server.host]))

    assert [session.get(f"{server.url}/x").text for _ in range(2)] == ["GET /x "] * 2
    assert b"GET /x" in bytes_below(tmp_path / "cache")
    assert TOKEN.encode() not in bytes_below(tmp_path / "cache")


@pytest.mark.parametrize("known", [True, False], ids=["token", "no token"])
@pytest.mark.parametrize("how", CACHING)
def test_cachecontrol_revalidates(serve: MakeServer, tmp_path: Path, how: str, known: bool) -> None:
    server = serve(headers=("Cache-Control: max-age=0", 'ETag: "1"'))
    auth = CaveAuth(TOKEN if known else None, hosts=[server.host])

    seen = []
    for each in (None, auth):
        session = with_cachecontrol(how, each, tmp_path / str(each is None))
        told = [session.get(f"{server.url}/x").request.headers for _ in range(2)]
        for headers in told:
            headers.pop("X-Requested-With", None)  # session.auth lets it be seen
        seen.append([dict(headers) for headers in told])

    sent = [each.headers.get("if-none-match") for each in server.requests]
    assert sent == [None, '"1"'] * 2
    assert seen[1][1]["If-None-Match"] == '"1"'
    assert seen[0] == seen[1]  # the same as without us, and no token


@pytest.mark.parametrize("make", [requests_cache.CachedSession, requests.Session])
def test_another_host_is_cached_as_without_us(
    make: Callable[..., requests.Session], sandbox: Sandbox, on: None
) -> None:
    options = {"backend": "memory"} if make is requests_cache.CachedSession else {}
    session = make(**options)

    bodies = [session.get(f"{sandbox.foreign_server}/x").json()["method"] for _ in range(2)]

    assert bodies == ["GET", "GET"]
    assert len(sandbox.requests(sandbox.foreign_server)) == (1 if options else 2)
