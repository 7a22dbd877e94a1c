"""The token store behaves as a dict does, whatever we and others do to the files in any order."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cave_auth_adapter import InvalidToken, TokenFileError, TokenStore

from .budget import examples

SERVERS = st.sampled_from([None, "localhost:8443", "[::1]:8443"])
NAMES = ("token", "ünï \U0001f9e0", "")
KEYS = st.sampled_from(NAMES)
TOKENS = st.sampled_from(["0123456789abcdef", "fedcba9876543210", "ab+/cd==", "a-b._~"])
NO_TOKENS = st.sampled_from(["", "a b", "a\n", "ü", "<html>", '"a"', None, 7, b"0123"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
VALUES: st.SearchStrategy[Any] = (
    TOKENS | st.sampled_from([7, True, [], {"token": "0123"}, "a b", "ü", None, ""]) | JSON
)
OBJECTS = st.dictionaries(KEYS | st.text(max_size=5), VALUES, max_size=4)
MALFORMED = st.sampled_from(
    [b"", b"{", b"[]", b"null", b'"0123"', b'{"token": "0123"', b"\xff\xfe{}", b"{}{}", b"{'a': 1}"]
)

happened: Counter[str] = Counter()


class Stores(RuleBasedStateMachine):
    """Two stores on one directory, other programs that write there, and the expected files.

    A file is a dict, or bytes where it is malformed. Only what a rule changes may change.
    """

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        os.environ["CLOUD_VOLUME_DIR"] = str(self.root / "volume")
        self.directory = self.root / "volume" / "secrets"
        self.stores = [TokenStore(), TokenStore(str(self.directory) + "/../secrets/")]
        self.files: dict[Path, dict[str, Any] | bytes] = {}  # by where links lead
        self.links: dict[Path, Path] = {}
        self.written_by_us: set[Path] = set()
        self.made_by_us = True

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    # --- What we do ---

    @rule(which=st.integers(0, 1), token=TOKENS, server=SERVERS, key=KEYS, overwrite=st.booleans())
    def save(self, which: int, token: str, server: str | None, key: str, overwrite: bool) -> None:
        path, target, content = self._look(server)
        before = self._snapshot()
        present = content.get(key) if isinstance(content, dict) else None
        replaces = present not in (None, "", token)
        if isinstance(content, bytes) or (replaces and not overwrite):
            self._count("save refused")
            with pytest.raises(TokenFileError):
                self.stores[which].save(token, server, key, overwrite=overwrite)
            assert self._snapshot() == before
            return
        saved = self.stores[which].save(token, server, key, overwrite=overwrite)
        assert saved.resolve() == path.resolve()
        if present == token:
            self._count("saved again")
            assert self._snapshot() == before
            return
        self._count("replaced" if replaces else "saved")
        self.files[target] = {**(content or {}), key: token}
        self.written_by_us.add(target)

    @rule(which=st.integers(0, 1), token=NO_TOKENS, server=SERVERS, overwrite=st.booleans())
    def save_what_is_no_token(
        self, which: int, token: Any, server: str | None, overwrite: bool
    ) -> None:
        before = self._snapshot()
        with pytest.raises(InvalidToken):
            self.stores[which].save(token, server, overwrite=overwrite)
        assert self._snapshot() == before
        self._count("no token")

    @rule(which=st.integers(0, 1), server=SERVERS, key=KEYS)
    def delete(self, which: int, server: str | None, key: str) -> None:
        path, target, content = self._look(server)
        before = self._snapshot()
        if isinstance(content, bytes):
            with pytest.raises(TokenFileError):
                self.stores[which].delete(server, key)
        elif content is None or key not in content:
            assert self.stores[which].delete(server, key) is False
        else:
            assert self.stores[which].delete(server, key) is True
            self._count("deleted")
            self._after_delete(path, target, {k: v for k, v in content.items() if k != key})
            return
        assert self._snapshot() == before

    def _after_delete(self, path: Path, target: Path, rest: dict[str, Any]) -> None:
        self.written_by_us.add(target)
        self.files[target] = rest
        if not rest and path in self.links:  # the link goes; its target stays, without a token
            del self.links[path]
        elif not rest:
            del self.files[target]
            self.written_by_us.discard(target)

    @rule(which=st.integers(0, 1), server=SERVERS)
    def load(self, which: int, server: str | None) -> None:
        _, _, content = self._look(server)
        before = self._snapshot()
        for key in NAMES:
            value = content.get(key) if isinstance(content, dict) else content
            if isinstance(content, bytes) or not is_loadable(value):
                self._count("malformed" if isinstance(content, bytes) else "no token to load")
                with pytest.raises(TokenFileError):
                    self.stores[which].load(server, key)
            else:
                self._count("loaded" if value else "nothing to load")
                assert self.stores[which].load(server, key) == (value or None)
        assert self._snapshot() == before

    # --- What others do ---

    @rule(server=SERVERS, content=OBJECTS, indent=st.none() | st.just(2), ascii_only=st.booleans())
    def somebody_rewrites_in_place(
        self, server: str | None, content: dict[str, Any], indent: int | None, ascii_only: bool
    ) -> None:
        text = json.dumps(content, indent=indent, ensure_ascii=ascii_only)
        self._write(server, text.encode())

    @rule(server=SERVERS, content=OBJECTS)
    def somebody_adds_a_key(self, server: str | None, content: dict[str, Any]) -> None:
        _, _, there = self._look(server)
        if isinstance(there, dict):
            self._write(server, json.dumps({**there, **content}).encode())

    @rule(server=SERVERS, content=MALFORMED)
    def somebody_breaks_a_file(self, server: str | None, content: bytes) -> None:
        self._write(server, content)

    @rule(server=SERVERS)
    def somebody_removes_a_file(self, server: str | None) -> None:
        _, target, content = self._look(server)
        if content is not None:
            target.unlink()
            del self.files[target]
            self.written_by_us.discard(target)

    @rule(server=SERVERS, name=st.sampled_from(["one", "two"]), chain=st.booleans())
    def somebody_links_a_file(self, server: str | None, name: str, chain: bool) -> None:
        """To a place outside, which may have no file yet, by one link or two."""
        path, _, content = self._look(server)
        if path in self.links or content is not None:
            return
        self._make_directory()
        outside = self.root / "mount" / name / "data"
        outside.parent.mkdir(parents=True, exist_ok=True)
        if chain:
            middle = Path(tempfile.mktemp(dir=outside.parent))
            middle.symlink_to("data")
            path.symlink_to(middle)
        else:
            path.symlink_to(outside)
        self.links[path] = outside
        self._count("linked")

    def _write(self, server: str | None, content: bytes) -> None:
        _, target, _ = self._look(server)
        self._make_directory()
        target.write_bytes(content)  # in place, not atomic, with any mode
        target.chmod(0o644)
        self.written_by_us.discard(target)
        self.files[target] = parsed(content)

    def _make_directory(self) -> None:
        if not self.directory.exists():
            self.directory.mkdir(parents=True)
            self.made_by_us = False

    # --- What must hold after each step ---

    @invariant()
    def every_file_holds_what_it_should(self) -> None:
        for path, content in self.files.items():
            there = path.read_bytes()
            if isinstance(content, dict):
                assert list(json.loads(there).items()) == list(content.items())
            else:
                assert there == content
        for path, target in self.links.items():
            assert path.is_symlink()
            assert path.resolve() == target

    @invariant()
    def what_we_wrote_is_closed_to_others(self) -> None:
        for path in self.written_by_us:
            assert path.stat().st_mode & stat.S_IRWXO == 0
        if self.directory.exists() and self.made_by_us:
            assert stat.S_IMODE(self.directory.stat().st_mode) == 0o700

    @invariant()
    def nothing_else_is_there_but_locks(self) -> None:
        known = {*self.files, *self.links}
        for path in self.directory.parent.rglob("*"):
            is_lock = path.name.startswith(".") and path.name.endswith(".lock")
            assert path in known or path == self.directory or is_lock, path
            assert not is_lock or path.stat().st_size == 0

    def _look(self, server: str | None) -> tuple[Path, Path, dict[str, Any] | bytes | None]:
        prefix = "" if server is None else f"{server}-"
        path = self.directory / f"{prefix}cave-secret.json"
        target = self.links.get(path, path)
        return path, target, self.files.get(target)

    def _snapshot(self) -> dict[str, bytes | str]:
        """Every byte in the tree, but for locks."""
        paths = [path for path in self.root.rglob("*") if not path.name.endswith(".lock")]
        return {
            str(path): os.readlink(path) if path.is_symlink() else path.read_bytes()
            for path in paths
            if path.is_symlink() or path.is_file()
        }

    def _count(self, what: str) -> None:
        happened[what] += 1


def is_loadable(value: object) -> bool:
    """Whether a value is a token, or one of the ways to write that there is none."""
    if value is None or value == "":
        return True
    allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/"
    bare = value.rstrip("=") if isinstance(value, str) else ""
    return bool(bare) and set(bare) <= set(allowed)


def parsed(content: bytes) -> dict[str, Any] | bytes:
    with contextlib.suppress(ValueError):
        value = json.loads(content)
        if isinstance(value, dict):
            return value
    return content


@pytest.fixture
def open_umask(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modes are set and not left to the umask."""
    monkeypatch.setenv("CLOUD_VOLUME_DIR", "set by each machine")
    umask = os.umask(0)
    yield
    os.umask(umask)


def test_the_store_behaves_as_a_dict_beside_other_writers(open_umask: None) -> None:
    happened.clear()
    run_state_machine_as_test(Stores, settings=examples(200, stateful_step_count=30))
    expected = {"saved", "saved again", "replaced", "save refused", "no token", "deleted"}
    expected |= {"loaded", "nothing to load", "malformed", "no token to load", "linked"}
    assert min(happened[what] for what in expected) >= 1, happened


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("act", ["save", "save first", "replace", "delete", "delete last", "link"])
def test_a_writer_killed_at_any_line_leaves_the_old_or_the_new_file(
    act: str, tmp_path: Path
) -> None:
    """tests/login kills at random instants; here every line that runs is one."""
    script = Path(__file__).with_name("killed_writers.py")
    result = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "secrets"), act],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    kills, old, new = map(int, result.stdout.split())
    assert kills == old + new
    assert kills > 20
    assert old > 0 < new
