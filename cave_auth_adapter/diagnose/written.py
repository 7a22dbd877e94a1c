"""What was ever written on this computer and at the servers, and the command that removes each."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from .. import programs
from ..bridges import keyring
from ..errors import CaveAuthError, TokenFileError, TokenRefused
from ..saving import named
from ..service import ApiKey, AuthServer
from ..service.keynames import was_made_here
from ..shells import quoted, removal
from ..sources.endings import ENDS_FILE
from ..store import TokenStore
from ..store.files import names_in
from ..words import printable, span
from .findings import Finding
from .status import Holding, Status, is_404

_OURS = (".lock", ".held")  # beside a secret file, while it is written and after


def look_at_what_was_written(
    store: TokenStore, asked: list[tuple[Holding, Status]]
) -> Iterator[Finding]:
    """Each thing that this package may have written, with the command that removes it.

    Keys at a server come first: to end them takes a token, which the other commands remove.

    :param asked: the tokens that are in use, and what their servers say of each.
    """
    yield from _keys(asked)
    with contextlib.suppress(TokenFileError):  # told before
        yield from _secret_files(store)
    hook = programs.hook_file()
    if hook.exists() or hook.with_suffix(".start").exists():
        yield _to_remove(hook, "cave-auth disable")
    if os.environ.get("CAVE_AUTH_KEYRING"):
        yield from _keyring(store)


def _keys(asked: list[tuple[Holding, Status]]) -> Iterator[Finding]:
    """The keys that were made on this computer, the number of the others, the tokens in use.

    The token in use comes last: to end the others takes one that works.
    """
    listed = {(status.server, status.key_id) for _, status in asked}
    for _, status in asked:
        keys = [key for key in status.keys if (status.server, key.id) not in listed]
        listed.update((status.server, key.id) for key in keys)
        yield from _not_in_use(status.server, keys)
    for holding, status in asked:
        if status.error is None:
            yield _in_use(holding, status)
        elif status.source is not None and not is_404(status.error):
            yield Finding("note", _not_listed(status.server, status.error))


def _in_use(holding: Holding, status: Status) -> Finding:
    server = status.server
    what = f"the API key {printable(status.key or status.key_id, 60)!r}"
    if status.expires_in is not None:
        what = f"the login token, for {span(status.expires_in)} more"
    saved_for = server if server in holding.servers else holding.servers[0]
    command = f"cave-auth logout {saved_for} --revoke"
    return Finding("ok", f"This computer uses {what}, at {server}. To end it: {command}")


def _not_in_use(server: str, keys: list[ApiKey]) -> Iterator[Finding]:
    made_here = [key for key in keys if was_made_here(key.description)]
    for key in made_here:
        yield Finding(
            "ok",
            f"{server} has a key that was made here, {printable(key.description)!r}. To end it: "
            f"cave-auth keys revoke {key.id} --server {server}",
        )
    if others := len(keys) - len(made_here):
        yield Finding(
            "ok",
            f"{server} has {others} more key{'s' * (others != 1)} of your account. To list them: "
            f"cave-auth keys list --server {server}",
        )


def _not_listed(server: str, error: CaveAuthError) -> str:
    """What to say of the keys at a server that did not list them; the reason was told before."""
    how = f"To list them later: cave-auth keys list --server {server}"
    if isinstance(error, TokenRefused):
        how = f"They are on this page: {AuthServer(server).settings_page}"
    return f"Your keys at {server} can't be listed now. {how}"


def _secret_files(store: TokenStore) -> Iterator[Finding]:
    own = store.own_files()
    for server, path in sorted(own.items()):
        yield from _own_file(store, server, path)
    default, ends = store.path_for(), store.directory / ENDS_FILE
    for path in (default, ends):
        if path.exists():
            yield _to_remove(path, removal(path))
    # The lock of a link is beside the file that it leads to.
    places = {Path(os.path.realpath(path)).parent for path in (*own.values(), default, ends)}
    for directory in sorted({Path(os.path.realpath(store.directory)), *places}):
        for name in sorted(names_in(directory)):
            if _is_beside(name):
                yield _to_remove(directory / name, removal(directory / name))


def _own_file(store: TokenStore, server: str, path: Path) -> Iterator[Finding]:
    """Each token in the file of a server; the whole file, if there is none."""
    names: dict[str, str] = {}
    token = None
    with contextlib.suppress(TokenFileError):
        names, token = named(server), store.load(server)
    for name in names:
        command = f"cave-auth logout {server} --as {quoted(name)} --revoke"
        text = f"{path} has the account {printable(name)!r}."
        yield Finding("ok", f"{text} To remove it: {command}")
    if token is not None and token not in names.values():
        yield _to_remove(path, f"cave-auth logout {server} --revoke")
    elif not names:
        yield _to_remove(path, removal(path))


def _is_beside(name: str) -> bool:
    """Whether a file is a lock, or a new file that a killed process has left behind."""
    of_ours = name.startswith(".") and ("cave-secret.json." in name or ENDS_FILE in name)
    return of_ours and (name.endswith(_OURS) or ".json.new-" in name)


def _keyring(store: TokenStore) -> Iterator[Finding]:
    for server in (*store.own_files(), None):
        entry = server or keyring.ANY_SERVER
        try:
            is_there = keyring.has(server)
        except CaveAuthError:
            return  # told where the token is looked for
        if is_there:
            command = f"keyring del {keyring.SERVICE} {quoted(entry)}"
            yield Finding("ok", f"The keyring has an entry {entry!r}. To remove it: {command}")


def _to_remove(path: Path, command: str) -> Finding:
    return Finding("ok", f"{path} is there. To remove it: {command}")
