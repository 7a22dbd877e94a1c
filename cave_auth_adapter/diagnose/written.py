"""What was ever written on this computer, as ``doctor`` lists it, and what removes each."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from .. import programs
from ..bridges import keyring
from ..errors import CaveAuthError, TokenFileError
from ..store import TokenStore
from ..store.files import names_in
from .findings import Finding

_OURS = (".lock", ".held")  # beside a secret file, while it is written and after


def look_at_what_was_written(store: TokenStore) -> Iterator[Finding]:
    """Each thing that this package may have written, with the command that removes it."""
    with contextlib.suppress(TokenFileError):  # told before
        yield from _secret_files(store)
    hook = programs.hook_file()
    if hook.exists():
        yield _to_remove(hook, "cave-auth disable")
    if os.environ.get("CAVE_AUTH_KEYRING"):
        yield from _keyring(store)


def _secret_files(store: TokenStore) -> Iterator[Finding]:
    own = store.own_files()
    for server, path in sorted(own.items()):
        yield _to_remove(path, f"cave-auth logout {server} --revoke")
    default = store.path_for()
    if default.exists():
        yield _to_remove(default, _remove(default))
    for name in sorted(names_in(store.directory)):
        if name.startswith(".") and "cave-secret.json." in name and _is_ours(name):
            yield _to_remove(store.directory / name, _remove(store.directory / name))


def _is_ours(name: str) -> bool:
    return name.endswith(_OURS) or ".json.new-" in name


def _keyring(store: TokenStore) -> Iterator[Finding]:
    for server in (*store.own_files(), None):
        entry = server or keyring.ANY_SERVER
        try:
            is_there = keyring.has(server)
        except CaveAuthError:
            return  # told where the token is looked for
        if is_there:
            command = f"keyring del {keyring.SERVICE} {shlex.quote(entry)}"
            yield Finding("ok", f"The keyring has an entry {entry!r}. To remove it: {command}")


def _to_remove(path: Path, command: str) -> Finding:
    return Finding("ok", f"{path} is there. To remove it: {command}")


def _remove(path: Path) -> str:
    return f'del "{path}"' if os.name == "nt" else f"rm {shlex.quote(str(path))}"
