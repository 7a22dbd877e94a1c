"""No token is left in pickles, caches, logs, tracebacks or processes."""

from __future__ import annotations

import http.client
import logging
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext as no_error
from pathlib import Path

import pytest
import requests
import requests_cache
import vcr

import cave_auth_adapter
from cave_auth_adapter import (
    AuthClient,
    CaveAdapter,
    CaveAuth,
    CAVEclient,
    InvalidToken,
    TokenRefused,
    TokenStore,
    install,
    mount,
    uninstall,
)

from .detector import any_found, found
from .places import EVIL, GLOBAL, TOKENS
from .world import Answer, World

TOKEN = TOKENS[GLOBAL]
URL = f"https://{GLOBAL}/x"
OUR_CODE = str(Path(cave_auth_adapter.__file__).parent)
HANG_UP, REFUSE = Answer(None), Answer(401, challenge='Bearer error="invalid_token"')

Sign = Callable[[requests.Session], object]
SIGN: dict[str, Sign] = {
    "auth": lambda session: setattr(session, "auth", CaveAuth()),
    "auth, token given": lambda session: setattr(session, "auth", CaveAuth(TOKEN)),
    "mount": mount,
    "mount, token given": lambda session: mount(session, CaveAuth(TOKEN)),
    "install": lambda session: install(),
    "install, token given": lambda session: install(CaveAuth(TOKEN)),
}
signs = pytest.mark.parametrize("sign", SIGN.values(), ids=SIGN)


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    yield
    uninstall()


def arrived(world: World) -> bool:
    """Whether the token arrived; otherwise a test would prove nothing."""
    return any(found(TOKEN, arrival.data) for arrival in world.arrivals)


def bytes_below(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


@signs
@pytest.mark.parametrize("hops", [0, 1, 2])
def test_a_pickled_response_and_its_history_hold_no_token(
    world: World, sign: Sign, hops: int
) -> None:
    with requests.Session() as session:
        sign(session)
        world.play([Answer(302, url) for url in (f"https://{EVIL}/y", URL)[:hops]])
        response = session.get(URL)

    assert arrived(world)
    assert len(response.history) == hops
    assert not found(TOKEN, pickle.dumps(response))
    for each in (response, *response.history):
        shown = each.request.headers, each.headers, each.url, vars(each), vars(each.request)
        assert not found(TOKEN, pickle.dumps(each), *shown)


@signs
def test_a_response_in_a_cache_on_disk_holds_no_token(
    world: World, sign: Sign, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    with requests_cache.CachedSession(str(cache / "name"), backend="filesystem") as session:
        sign(session)
        world.play([Answer(302, f"https://{EVIL}/y")])
        answers = [session.get(URL) for _ in range(2)]

    assert arrived(world)
    assert answers[1].from_cache
    assert not found(TOKEN, bytes_below(cache))


@signs
@pytest.mark.parametrize("filtered", [True, False])
def test_a_cassette_holds_no_token_where_its_headers_are_filtered(
    world: World, sign: Sign, tmp_path: Path, filtered: bool
) -> None:
    """Without the filter it records what is sent: a known limit, in docs/how-it-works.md."""
    cassette = tmp_path / "cassette.yaml"
    names = ["authorization", "cookie"] if filtered else []
    with vcr.use_cassette(str(cassette), filter_headers=names), requests.Session() as session:
        sign(session)
        world.play([])
        session.get(URL)

    assert arrived(world)
    assert found(TOKEN, cassette.read_bytes()) is not filtered


@signs
def test_logs_hold_no_token_at_any_level(
    world: World, sign: Sign, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "urllib3")
    with requests.Session() as session:
        sign(session)
        for script in ([REFUSE], [Answer(302, f"https://{EVIL}/y")], [HANG_UP] * 3):
            world.play(script)
            with pytest.raises(requests.ConnectionError) if script[0] is HANG_UP else no_error():
                session.get(URL)
            assert arrived(world)

    assert {"urllib3.connectionpool", "cave_auth_adapter"} <= {r.name for r in caplog.records}
    assert not found(TOKEN, caplog.text, *(vars(record) for record in caplog.records))


@signs
def test_the_debug_output_of_http_client_shows_the_token(
    world: World, sign: Sign, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A known limit, in docs/how-it-works.md: it prints the bytes that are sent."""
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    with requests.Session() as session:
        sign(session)
        world.play([])
        session.get(URL)

    assert found(TOKEN, capsys.readouterr().out)


def failure(world: World, session: requests.Session) -> requests.ConnectionError:
    """The error of a signed request that arrives and gets no answer."""
    world.play([HANG_UP] * 3)
    with pytest.raises(requests.ConnectionError) as caught:
        session.get(URL)
    assert arrived(world)
    return caught.value


@signs
def test_a_traceback_holds_no_token(world: World, sign: Sign) -> None:
    with requests.Session() as session:
        sign(session)
        error = failure(world, session)

    assert not found(TOKEN, "".join(traceback.format_exception(error)))
    assert not found(TOKEN, repr(error), str(error))


@signs
def test_a_traceback_with_the_locals_of_our_code_holds_no_token(world: World, sign: Sign) -> None:
    """The frames of requests and urllib3 are out of our control."""
    with requests.Session() as session:
        sign(session)
        error = failure(world, session)

    frames = locals_of_our_code(error)
    assert frames or session.auth is not None  # its work is done when the request is sent
    assert not found(TOKEN, *frames)


def locals_of_our_code(error: BaseException | None) -> list[object]:
    shown: list[object] = []
    while error is not None:
        summary = traceback.TracebackException.from_exception(error, capture_locals=True)
        for frame in summary.stack:
            if frame.filename.startswith(OUR_CODE) and not frame.filename.endswith("pool.py"):
                shown.append((frame.filename, frame.name, frame.locals))
        error = error.__context__
    return shown


def test_a_raised_refusal_holds_no_token(world: World) -> None:
    with requests.Session() as session:
        session.auth = CaveAuth(raise_errors=True)
        world.play([REFUSE])
        with pytest.raises(TokenRefused) as caught:
            session.get(URL)

    error = caught.value
    assert arrived(world)
    shown = repr(error), str(error), vars(error), traceback.format_exception(error)
    assert not found(TOKEN, *shown, *locals_of_our_code(error), pickle.dumps(error))


@pytest.mark.parametrize("bad", [f"{TOKEN}\n", f" {TOKEN}", f"{TOKEN}é", f"Bearer {TOKEN}"])
def test_a_malformed_token_is_not_shown(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAVE_TOKEN", bad)
    for use in (lambda: CaveAuth(bad), lambda: CaveAuth().token_for(URL)):
        with pytest.raises(InvalidToken) as caught:
            use()
        assert not found(
            TOKEN, str(caught.value), "".join(traceback.format_exception(caught.value))
        )


def test_our_objects_do_not_show_the_token(world: World) -> None:
    session = mount(requests.Session(), CaveAuth(TOKEN))
    client, auth_client = CAVEclient(auth_token=TOKEN), AuthClient(token=TOKEN)
    used, read = CaveAuth(TOKEN), CaveAuth()
    for auth in (used, read):
        assert auth.token_for(URL) == TOKEN
    install(used)

    shown = list(everything_in([used, read, CaveAdapter(used), session, client, auth_client]))

    assert len(shown) > 20
    assert not found(TOKEN, *shown, TokenStore(), cave_auth_adapter.install)


def everything_in(objects: list[object]) -> Iterator[str]:
    """The repr of objects and of all our objects that they hold."""
    met: dict[int, object] = {}
    while objects:
        each = objects.pop()
        if id(each) in met:
            continue
        met[id(each)] = each
        yield repr(each)
        if type(each).__module__.startswith(("cave_auth_adapter", "requests.")) and vars_of(each):
            yield repr(vars_of(each))
            objects += vars_of(each).values()
        elif isinstance(each, (dict, list, tuple)):
            objects += each.values() if isinstance(each, dict) else each


def vars_of(thing: object) -> dict[str, object]:
    return dict(getattr(thing, "__dict__", {}))


@pytest.mark.skipif(not os.path.exists("/proc/self/environ"), reason="Linux shows them")
def test_a_program_under_cave_auth_run_has_no_token_in_its_environment(
    running_world: World, tmp_path: Path
) -> None:
    listener = running_world.listener("localhost", 1)
    server = f"localhost:{listener.address[1]}"
    TokenStore().save(TOKEN, server)
    script = (
        "import requests, sys\n"
        "assert requests.get(sys.argv[1]).ok\n"
        "for name in ('environ', 'cmdline', 'status'):\n"
        "    sys.stdout.buffer.write(open(f'/proc/self/{name}', 'rb').read())\n"
    )
    running_world.play([])
    command = [
        sys.executable,
        "-m",
        "cave_auth_adapter",
        "run",
        "-c",
        script,
        f"https://{server}/x",
    ]
    bundle = {"REQUESTS_CA_BUNDLE": str(running_world.bundle)}
    result = subprocess.run(
        command, env={**os.environ, **bundle}, cwd=tmp_path, capture_output=True, timeout=60
    )

    assert result.returncode == 0, result.stderr
    assert arrived(running_world)
    assert b"PYTHONPATH=" in result.stdout
    assert not any_found(TOKENS.values(), result.stdout, result.stderr)
