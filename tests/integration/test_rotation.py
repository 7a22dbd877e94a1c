"""A long job survives token changes, and a dead token causes no flood of requests."""

from __future__ import annotations

import collections
import concurrent.futures
import json
import logging
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from cave_auth_adapter import CaveAuth, TokenFileError, TokenStore, install, installed, mount
from cave_auth_adapter.exchange import Exchange
from cave_auth_adapter.sandbox import Sandbox
from cave_auth_adapter.sources import reading
from cave_auth_adapter.store.content import read_secrets as secrets_in

from ..support.doors import Door

THREADS, REQUESTS = 64, 100  # each


class Store:
    """The secret file of the data server, rewritten in place as CAVEclient does."""

    def __init__(self, sandbox: Sandbox):
        self.sandbox = sandbox
        self.token = sandbox.create_token()
        self.path = TokenStore().save(self.token, sandbox.data_server)

    def rotate(self) -> None:
        """Write a new token to the file, and revoke the old one at the same time."""
        old, self.token = self.token, self.sandbox.create_token()
        self.path.write_text(json.dumps({"token": self.token}))
        self.sandbox.revoke(old)


@pytest.fixture
def store(sandbox: Sandbox) -> Store:
    return Store(sandbox)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> collections.Counter[str]:
    """How often each secret file that exists was read, and how often one that was half written."""
    counter: collections.Counter[str] = collections.Counter()
    real = secrets_in

    def read_secrets(path: Path) -> dict[str, object] | None:
        try:
            secrets = real(path)
        except TokenFileError:
            counter.update(["half written"])
            raise
        counter.update([path.name] if secrets is not None else [])
        return secrets

    monkeypatch.setattr(reading, "read_secrets", read_secrets)
    return counter


@pytest.fixture
def repeats(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many requests were sent again."""
    sent_again: list[int] = []
    real = Exchange._sign_again

    def sign_again(*args: Any) -> bool:
        signed = real(*args)
        sent_again.extend([1] if signed else [])
        return signed

    monkeypatch.setattr(Exchange, "_sign_again", sign_again)
    return lambda: len(sent_again)


def run_while_rotating(
    work: list[Callable[[], object]], requests_per_worker: int, rotate: Callable[[], None], n: int
) -> list[object]:
    """Do each work many times in its own thread, while the token changes n times."""
    done, lock = 0, threading.Condition()
    wrong: list[object] = []

    def worker(act: Callable[[], object]) -> None:
        nonlocal done
        for _ in range(requests_per_worker):
            try:
                outcome = act()
            except Exception as error:
                outcome = error
            with lock:
                done += 1
                wrong.extend([] if outcome == 200 else [outcome])
                lock.notify()

    threads = [threading.Thread(target=worker, args=[act]) for act in work]
    for thread in threads:
        thread.start()
    total = len(work) * requests_per_worker
    for change in range(1, n + 1):
        with lock:
            lock.wait_for(lambda part=total * change // (n + 1): done >= part, timeout=120)  # type: ignore[misc]
        rotate()
    for thread in threads:
        thread.join()
    assert done == total
    return wrong


def a_session() -> requests.Session:
    session = requests.Session()
    session.mount("https://", HTTPAdapter(pool_maxsize=THREADS))
    return session


def test_threads_and_cloudvolume_survive_fifty_changes(
    sandbox: Sandbox,
    store: Store,
    reads: collections.Counter[str],
    repeats: Callable[[], int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    from cloudvolume import CloudVolume

    changes, session = 50, a_session()
    sandbox.record_requests(False)
    try:
        with installed():
            # Made before the first change, so the token in its header soon is an old one.
            volume = CloudVolume(sandbox.graphene_path, use_https=True)
            roots = list(map(int, volume.get_roots(sandbox.supervoxels)))

            def by_session() -> object:
                return session.get(f"{sandbox.data_server}/echo").status_code

            def by_cloudvolume() -> object:
                found = list(map(int, volume.get_roots(sandbox.supervoxels)))
                return 200 if found == roots else found

            wrong = run_while_rotating(
                [by_session] * (THREADS - 1) + [by_cloudvolume], REQUESTS, store.rotate, changes
            )
    finally:
        sandbox.record_requests(True)

    assert wrong == []
    # The file is written in place; a look during that is one more.
    assert reads[store.path.name] <= changes + 1 + reads["half written"]
    assert repeats() <= THREADS * changes
    with capsys.disabled():
        print(
            f"\n{THREADS * REQUESTS} requests, {changes} token changes: 0 failed, "
            f"{reads[store.path.name]} file reads, {repeats()} requests sent again"
        )


def test_each_way_to_sign_survives_changes(
    sandbox: Sandbox, store: Store, door: Door, reads: collections.Counter[str]
) -> None:
    session = door()
    wrong = run_while_rotating(
        [lambda: session.get(f"{sandbox.data_server}/echo").status_code] * 8, 50, store.rotate, 5
    )

    assert wrong == []
    assert reads[store.path.name] <= 6 + reads["half written"]


def in_a_process(url: str, ca_bundle: str, number: int) -> list[int]:
    install()
    session = requests.Session()
    return [session.get(url, verify=ca_bundle).status_code for _ in range(number)]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_of_processes_survives_changes(sandbox: Sandbox, store: Store, method: str) -> None:
    context = multiprocessing.get_context(method)
    with (
        installed(),
        concurrent.futures.ProcessPoolExecutor(4, mp_context=context) as pool,
    ):
        url = f"{sandbox.data_server}/slow?seconds=0.005"
        jobs = [pool.submit(in_a_process, url, sandbox.ca_bundle, 100) for _ in range(4)]
        for _ in range(5):
            concurrent.futures.wait(jobs, timeout=0.2)
            store.rotate()
        assert [status for job in jobs for status in job.result(120)] == [200] * 400


def test_a_token_that_caveclient_saves_in_another_process_is_noticed(
    sandbox: Sandbox, store: Store, door: Door
) -> None:
    session, url = door(), f"{sandbox.data_server}/echo"
    assert session.get(url).status_code == 200
    new = sandbox.create_token()
    code = (
        "import sys; from caveclient.auth import AuthClient; "
        "AuthClient(server_address=sys.argv[1]).save_token(sys.argv[2], overwrite=True)"
    )
    subprocess.run([sys.executable, "-c", code, sandbox.data_server, new], check=True, timeout=60)
    sandbox.revoke(store.token)

    answer = session.get(url)
    assert answer.status_code == 200
    assert dict(answer.json()["headers"])["Authorization"] == f"Bearer {new}"
    assert answer.history == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("body", ["none", "bytes", "string", "file", "multipart"])
def test_a_refused_request_is_sent_again_with_its_body(
    sandbox: Sandbox, store: Store, door: Door, tmp_path: Path, body: str, stream: bool
) -> None:
    file = tmp_path / "body"
    file.write_bytes(b"before it|the body")
    session, url = door(), f"{sandbox.data_server}/echo"
    assert session.get(url).status_code == 200
    store.rotate()

    with file.open("rb") as opened:
        opened.seek(10)  # a file is sent from where it stands
        arguments: Any = {
            "none": {},
            "bytes": {"data": b"the body"},
            "string": {"data": "the body"},
            "file": {"data": opened},
            "multipart": {"files": {"part": ("name", b"the body")}},
        }[body]
        answer = session.post(url, stream=stream, **arguments)

    assert answer.status_code == 200
    arrived = answer.json()["body"]
    if body == "multipart":
        assert "the body" in arrived
    else:
        assert arrived == ("" if body == "none" else "the body")


def test_a_generator_is_not_sent_twice(
    sandbox: Sandbox, store: Store, door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    session, url = door(), f"{sandbox.data_server}/echo"
    session.get(url)
    store.rotate()
    sandbox.clear_requests()

    answer = session.post(url, data=iter([b"the ", b"body"]))

    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_token"
    assert len(sandbox.requests(sandbox.data_server)) == 1
    assert "can't be sent twice" in caplog.text


def test_a_thousand_threads_with_a_dead_token_cost_nothing_extra(
    sandbox: Sandbox, store: Store, door: Door, reads: collections.Counter[str]
) -> None:
    session, url = door(), f"{sandbox.data_server}/echo"
    sandbox.revoke(store.token)
    session.get(url)
    sandbox.clear_requests()
    before = reads.total()

    with concurrent.futures.ThreadPoolExecutor(1000) as pool:
        statuses = list(pool.map(lambda _: session.get(url).status_code, range(1000)))

    assert statuses == [401] * 1000
    assert len(sandbox.requests(sandbox.data_server)) == 1000
    assert sandbox.requests(sandbox.auth_server) == []
    assert reads.total() - before <= 1


def test_a_missing_token_causes_no_flood_of_requests(
    sandbox: Sandbox, door: Door, reads: collections.Counter[str]
) -> None:
    session = door(CaveAuth(hosts=[sandbox.data_server]))
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        url = f"{sandbox.data_server}/echo"
        statuses = list(pool.map(lambda _: session.get(url).status_code, range(200)))

    assert statuses == [401] * 200
    assert len(sandbox.requests(sandbox.data_server)) == 200


def test_a_token_that_is_not_ours_is_never_replaced(sandbox: Sandbox, store: Store) -> None:
    """CAVEclient's setup_token tries a pasted token just so: a bad one must fail."""
    from caveclient import CAVEclient

    TokenStore().save(sandbox.token, sandbox.auth_server)
    with installed():
        client = CAVEclient(server_address=sandbox.auth_server, auth_token="0" * 32)
        with pytest.raises(requests.HTTPError, match="401"):
            client.info.get_datastacks()


def test_a_client_made_before_the_change_continues(sandbox: Sandbox) -> None:
    from caveclient import CAVEclient

    old = sandbox.create_token()
    TokenStore().save(old, sandbox.auth_server)
    with installed():
        client = CAVEclient(server_address=sandbox.auth_server, auth_token=old)
        assert sandbox.datastack in client.info.get_datastacks()
        TokenStore().save(sandbox.token, sandbox.auth_server, overwrite=True)
        sandbox.revoke(old)

        assert sandbox.datastack in client.info.get_datastacks()


def test_a_repeat_leaves_no_trace_in_the_response(
    sandbox: Sandbox, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    session = mount(requests.Session())
    url = f"{sandbox.data_server}/echo"
    session.get(url)
    store.rotate()
    caplog.set_level(logging.DEBUG, "cave_auth_adapter")

    answer = session.get(url)

    assert answer.status_code == 200
    assert answer.history == []
    assert answer.elapsed.total_seconds() > 0
    adapter: Any = session.get_adapter(url)
    assert answer.connection is adapter.wrapped
    lines = [record.message for record in caplog.records if record.name == "cave_auth_adapter"]
    assert sum("sending it again" in line for line in lines) == 1
    assert store.token not in "".join(lines)
