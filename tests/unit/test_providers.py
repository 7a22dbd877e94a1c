"""Tokens from the caller's functions: ``source=``, ``set_token_source()``, ``tokens_changed()``."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from cave_auth_adapter import CaveAuth, providers, set_token_source, tokens_changed
from cave_auth_adapter.origins import Origin

from ..support.stub import OTHER_TOKEN, TOKEN, Clock, Write

HOST = Origin("https", "minnie.microns-daf.com", 443)
URL = "https://minnie.microns-daf.com/x"


@pytest.fixture(autouse=True)
def no_source_left() -> Iterator[None]:
    yield
    set_token_source(None)


class Source:
    """A source that counts how often it is asked, and with what."""

    def __init__(self, *answers: Any):
        self.answers = list(answers)
        self.asked: list[tuple[str, str | None]] = []

    def __call__(self, server: str, refused: str | None) -> Any:
        self.asked.append((server, refused))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


def at_the_top(server: str, refused: str | None) -> str | None:
    return TOKEN


def by_object(source: Any) -> CaveAuth:
    return CaveAuth(source=source)


def by_process(source: Any) -> CaveAuth:
    set_token_source(source)
    return CaveAuth()


both = pytest.mark.parametrize("provide", [by_object, by_process])
Provide = Callable[[Any], CaveAuth]


@both
def test_a_source_is_asked_once_for_each_server(provide: Provide) -> None:
    source = Source(TOKEN)
    auth = provide(source)
    assert source.asked == []
    assert [auth.token_for(URL) for _ in range(3)] == [TOKEN] * 3
    assert CaveAuth(hosts=["localhost:8443"], source=source).token_for("https://localhost:8443/")
    assert source.asked == [(HOST.host, None), ("localhost:8443", None)]


@both
@pytest.mark.parametrize("lower", ["CAVE_TOKEN", "CAVE_TOKEN_FILE", "cave-secret.json"])
def test_a_source_outranks_variables_and_files(
    provide: Provide, write: Write, monkeypatch: pytest.MonkeyPatch, lower: str
) -> None:
    path = write("cave-secret.json", token=OTHER_TOKEN)
    if lower.isupper():
        monkeypatch.setenv(lower, OTHER_TOKEN if lower == "CAVE_TOKEN" else str(path))
    assert provide(Source(TOKEN)).token_for(URL) == TOKEN
    assert provide(Source(None)).token_for(URL) == OTHER_TOKEN


def test_a_token_or_file_in_code_outranks_a_source(write: Write) -> None:
    path = write("cave-secret.json", token=TOKEN, key=TOKEN)
    set_token_source(Source(OTHER_TOKEN))
    assert CaveAuth(TOKEN).token_for(URL) == TOKEN
    assert CaveAuth(token_file=path).token_for(URL) == TOKEN
    assert CaveAuth(token_key="key").token_for(URL) == TOKEN


def test_a_source_of_one_object_outranks_the_process_source() -> None:
    set_token_source(Source(OTHER_TOKEN))
    assert CaveAuth(source=Source(TOKEN)).token_for(URL) == TOKEN
    assert CaveAuth(source=Source(None)).token_for(URL) == OTHER_TOKEN


@both
def test_a_source_is_asked_again_after_a_refusal(provide: Provide) -> None:
    source = Source(TOKEN, OTHER_TOKEN)
    credentials = provide(source).credentials
    refused = credentials.token_for(HOST)
    assert refused is not None
    token = credentials.after_refusal(HOST, refused)
    assert token is not None
    assert token.value == OTHER_TOKEN
    assert source.asked == [(HOST.host, None), (HOST.host, TOKEN)]


@both
def test_a_source_is_asked_again_after_tokens_changed(provide: Provide) -> None:
    source = Source(TOKEN, OTHER_TOKEN)
    auth = provide(source)
    assert auth.token_for(URL) == TOKEN
    tokens_changed()
    assert auth.token_for(URL) == OTHER_TOKEN


@both
@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (RuntimeError(f"with {OTHER_TOKEN}"), "failed (RuntimeError)"),
        (OTHER_TOKEN.encode(), "is not a string but bytes"),
        ("", "is empty"),
        (f"{OTHER_TOKEN}\n", "has a line break in it"),
    ],
)
def test_a_bad_answer_warns_once_and_the_next_source_is_used(
    provide: Provide, write: Write, caplog: pytest.LogCaptureFixture, bad: Any, problem: str
) -> None:
    write("cave-secret.json", token=TOKEN)
    auth = provide(Source(bad))
    for _ in range(3):
        assert auth.token_for(URL) == TOKEN
        tokens_changed()
    (warning,) = caplog.messages
    assert problem in warning
    assert "Source" in warning
    assert OTHER_TOKEN not in warning


@both
def test_a_repeated_refused_token_warns_once_and_the_next_source_is_used(
    provide: Provide, write: Write, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    write("cave-secret.json", token=TOKEN)
    credentials = provide(Source(OTHER_TOKEN)).credentials
    refused = credentials.token_for(HOST)
    for _ in range(3):
        token = credentials.after_refusal(HOST, refused)
        assert token is not None
        assert token.value == TOKEN
        clock.advance(100)
    (warning,) = caplog.messages
    assert f"returned the token that {HOST.host} refused" in warning
    assert OTHER_TOKEN not in warning


@both
def test_a_refused_token_stays_in_use_if_there_is_no_other(provide: Provide) -> None:
    auth = provide(Source(OTHER_TOKEN))
    refused = auth.credentials.token_for(HOST)
    assert auth.credentials.after_refusal(HOST, refused) is None
    assert auth.token_for(URL) == OTHER_TOKEN


@both
def test_a_source_that_hangs_is_given_up(
    provide: Provide,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(providers, "LIMIT", 0.05)
    write("cave-secret.json", token=TOKEN)
    go = threading.Event()
    asked = []

    def hang(server: str, refused: str | None) -> None:
        asked.append(server)
        go.wait()

    auth = provide(hang)
    for _ in range(3):
        assert auth.token_for(URL) == TOKEN
        tokens_changed()
    go.set()
    assert asked == [HOST.host]  # no second thread, as long as the first is at work
    (warning,) = caplog.messages
    assert "hang did not return" in warning


@both
def test_threads_ask_a_source_once(provide: Provide) -> None:
    source = Source(TOKEN)

    def slow(server: str, refused: str | None) -> Any:
        time.sleep(0.05)
        return source(server, refused)

    auth, found = provide(slow), []
    threads = [
        threading.Thread(target=lambda: found.append(auth.token_for(URL))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [TOKEN] * 16
    assert len(source.asked) == 1


@both
def test_a_source_that_needs_a_token_does_not_deadlock(provide: Provide, write: Write) -> None:
    write("cave-secret.json", token=OTHER_TOKEN)
    auths: list[CaveAuth] = []

    def asks(server: str, refused: str | None) -> str:
        assert auths[0].token_for(URL) is None  # no token was known before
        return TOKEN

    auths.append(provide(asks))
    started = time.monotonic()
    assert auths[0].token_for(URL) == TOKEN
    assert time.monotonic() - started < 5


def test_a_refused_request_waits_for_a_new_token() -> None:
    source = Source(TOKEN, TOKEN, TOKEN, OTHER_TOKEN)
    set_token_source(source, wait=20)
    credentials = CaveAuth().credentials
    refused = credentials.token_for(HOST)
    threading.Timer(0.3, tokens_changed).start()
    threading.Timer(0.6, tokens_changed).start()
    token = credentials.after_refusal(HOST, refused)
    assert token is not None
    assert token.value == OTHER_TOKEN


def test_a_refused_request_waits_no_longer_than_allowed(clock: Clock) -> None:
    source = Source(TOKEN)
    set_token_source(source, wait=20)
    credentials = CaveAuth().credentials
    refused = credentials.token_for(HOST)
    started = clock.now
    assert credentials.after_refusal(HOST, refused) is None
    assert 20 <= clock.now - started < 21
    assert 15 < len(source.asked) < 25  # once a second
    assert credentials.after_refusal(HOST, refused) is None  # it has just waited without success
    assert clock.now - started < 21


@pytest.mark.parametrize("bad", ["a token", 7, TOKEN])
def test_a_source_that_is_not_a_function_is_refused(bad: Any) -> None:
    for use in (set_token_source, by_object):
        with pytest.raises(TypeError, match="a token source is a function") as caught:
            use(bad)
        assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf")])
def test_a_wait_that_is_not_a_number_of_seconds_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="a number of seconds"):
        set_token_source(at_the_top, wait=bad)


class TestConfiguration:
    def test_equal_sources_make_equal_objects(self) -> None:
        assert CaveAuth(source=at_the_top) == CaveAuth(source=at_the_top)
        assert hash(CaveAuth(source=at_the_top)) == hash(CaveAuth(source=at_the_top))
        assert CaveAuth(source=at_the_top) != CaveAuth()
        assert CaveAuth(source=at_the_top) != CaveAuth(source=Source(TOKEN))

    def test_a_pickle_has_the_name_of_the_function(self) -> None:
        auth = CaveAuth(source=at_the_top)
        assert pickle.loads(pickle.dumps(auth)) == auth
        assert TOKEN.encode() not in pickle.dumps(auth)
        assert b"at_the_top" in pickle.dumps(auth)

    @pytest.mark.parametrize("source", [Source(TOKEN), lambda server, refused: TOKEN])
    def test_a_function_without_a_module_name_is_not_pickled(self, source: Any) -> None:
        with pytest.raises(pickle.PicklingError, match="at the top level of a module"):
            pickle.dumps(CaveAuth(source=source))

    @pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
    def test_a_copy_has_the_same_source(self, make: Callable[[CaveAuth], CaveAuth]) -> None:
        auth = CaveAuth(source=Source(TOKEN))
        assert make(auth) == auth

    def test_a_source_may_be_unhashable(self) -> None:
        @dataclass
        class Vault:
            token: str

            def __call__(self, server: str, refused: str | None) -> str:
                return self.token

        one, other = CaveAuth(source=Vault(TOKEN)), CaveAuth(source=Vault(TOKEN))
        assert one == other
        assert hash(one) == hash(other)
        assert one.token_for(URL) == TOKEN

    def test_repr_names_the_source(self) -> None:
        assert repr(CaveAuth(source=at_the_top)) == "CaveAuth(source='at_the_top')"
        assert TOKEN not in repr(CaveAuth(source=Source(TOKEN)))
