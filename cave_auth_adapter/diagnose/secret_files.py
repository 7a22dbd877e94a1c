"""``doctor``'s checks of the secret files and their directory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import CaveAuthError, TokenFileError
from ..origins import DEFAULT_DEPLOYMENT, HostSpec, auth_server_of, server_name, trusted_by_file
from ..store import DEPRECATED_FILE, TokenStore
from ..store.content import read_secrets, token_in
from ..store.ownership import ownership_of_default_file
from ..tokens import DEFAULT_KEY
from .findings import Finding, exposed

_SUFFIX = "-cave-secret.json"
#: Wrong names of secret files: from the token page's download, a second download, an editor.
_ALMOST = re.compile(
    r"(?P<server>.*?)(?:_sticky)?(?:_auth)?[-_ ]?cave[-_ ]?secrets?"
    r"(?: ?\(\d+\))?(?:\.json|\.txt)*\Z",
    re.IGNORECASE,
)


def look_at_files(store: TokenStore) -> Iterator[Finding]:
    """Check the directory and each of its files."""
    try:
        default = store.path_for()
    except TokenFileError as error:  # CLOUD_VOLUME_DIR is a relative path
        yield Finding("problem", str(error))
        return
    yield from _directory(store.directory)
    for path in _entries(store.directory):
        # cloud-volume keeps other services' secrets here, too; we leave them alone.
        if path.name.endswith(_SUFFIX) or path.name in (default.name, DEPRECATED_FILE):
            yield from exposed(path, 0o600, store.directory)
            yield from content(path)
            yield from _name(path, default)
        elif better := _almost(path.name):
            yield Finding("note", f"{path} is never read. To use it, rename it to {better}.")
    for doubt in _doubtful(store):
        yield Finding("problem", doubt)
    yield from _outranked(store)
    yield from _elsewhere(store)


def content(path: Path) -> Iterator[Finding]:
    """Check that a file has a token."""
    try:
        secrets = read_secrets(path) or {}
        token = token_in(secrets, DEFAULT_KEY, path)
    except TokenFileError as error:
        yield Finding("problem", str(error))
        return
    if token:
        yield Finding("ok", f"{path} has a token.")
        return
    others = ", ".join(repr(key) for key in secrets)
    named = f" It has {others}: name one with token_key=." if others else ""
    yield Finding("note", f"{path} has no token under the key {DEFAULT_KEY!r}.{named}")


def _directory(directory: Path) -> Iterator[Finding]:
    if not directory.exists():
        yield Finding("note", f"{directory} does not exist yet. Log in: cave-auth login")
    elif not directory.is_dir():
        yield Finding("problem", f"{directory} is not a directory. Move it away, and log in.")
    else:
        yield from exposed(directory, 0o700, directory)


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


# --- Names ---------------------------------------------------------------------------------


def _name(path: Path, default: Path) -> Iterator[Finding]:
    """Check that a file has a name that is read."""
    if path.name == DEPRECATED_FILE:
        yield _deprecated(path, default)
    elif path.name.endswith(_SUFFIX):
        server = path.name.removesuffix(_SUFFIX).replace("@", ":")
        if not trusted_by_file(server):
            yield Finding("note", f"{path} {_why_unread(server)}")


def _why_unread(server: str) -> str:
    if better := _almost(server + _SUFFIX, but_not=server):
        return f"is never read. To use it, rename it to {better}."
    try:
        proper = server_name(server)
    except CaveAuthError:
        return f"is never read: {server!r} is not the name of a server."
    if "." not in proper:
        return f"is never read: {server!r} has no dot, so it is not the name of a server."
    return "is never read: CAVE has given up that domain. Delete the file."


def _almost(name: str, but_not: str | None = None) -> str | None:
    """The right name for a file whose name is nearly right; None if it is not."""
    found = _ALMOST.match(name)
    if not found:
        return None
    server = found["server"].strip(" -_").lower()
    if server == but_not or (server and not trusted_by_file(server)):
        return None
    return f"{server}{_SUFFIX}" if server else _SUFFIX[1:]


def _deprecated(path: Path, new: Path) -> Finding:
    if os.path.lexists(new):
        return Finding("note", f"{path} is outdated: {new.name} is used instead. Delete it.")

    def fix() -> str:
        os.link(path, new)  # unlike rename(2), it never replaces another process's new file
        path.unlink()
        return f"{path} is now {new.name}."

    text = f"{path} has a deprecated name. Rename it to {new.name}."
    return Finding("problem", text, None if path.is_symlink() else fix)


def _elsewhere(store: TokenStore) -> Iterator[Finding]:
    """Secret files in likely places that are never read."""
    base = Path(os.path.expanduser("~/.cloudvolume"))
    for place in (base, base / "secrets", store.directory.parent):
        found = [p.name for p in _entries(place) if p.name.endswith(_SUFFIX[1:])]
        if found and not _is_same(place, store.directory):
            yield Finding(
                "note",
                f"{', '.join(found)} in {place} is not read: the directory of secret files is "
                f"{store.directory}. To use it, move it there.",
            )


def _is_same(place: Path, other: Path) -> bool:
    return os.path.realpath(place) == os.path.realpath(other)


# --- Which token counts --------------------------------------------------------------------


def _doubtful(store: TokenStore) -> list[str]:
    try:
        return [str(doubt) for doubt in store.doubtful()]
    except TokenFileError:
        return []  # the directory can't be listed, which is reported above


def _outranked(store: TokenStore) -> Iterator[Finding]:
    """Servers of a deployment whose own file has another token than the auth server's file."""
    for server in servers_of(store):
        home = auth_server_of(HostSpec.parse(server).origin)
        if home in (None, server):
            continue
        tokens = {load(store, server), load(store, home)} - {None}
        if len(tokens) > 1:
            yield Finding(
                "note",
                f"{store.path_for(server)} holds another token than {store.path_for(home).name}. "
                f"{server} gets the former. If it is old: cave-auth logout {server}",
            )


def look_at_default_file(store: TokenStore) -> Iterator[Finding]:
    """Say whose token ``cave-secret.json`` holds, and which hosts get it."""
    try:
        found, path = ownership_of_default_file(store), store.path_for()
    except TokenFileError:
        return  # reported above
    if found is None:
        return
    if found.deployments is None:
        yield Finding(
            "note",
            f"{path} holds the only token here, so every trusted host gets it, as with "
            "CAVEclient. To limit it to its deployment, log in: cave-auth login",
        )
        return
    whose = " and ".join(sorted(found.owners or found.deployments))
    yield Finding("ok", f"{path} holds a token of {whose}; only hosts of that deployment get it.")
    own = load(store, DEFAULT_DEPLOYMENT)
    if own and own != load(store, None):
        yield _stale(store, own, bool(found.owners))


def _stale(store: TokenStore, own: str, is_owned: bool) -> Finding:
    path, old = store.path_for(), load(store, None)

    def fix() -> str:
        assert old is not None  # noqa: S101 - else there is nothing stale
        store.replace(old, own, key=DEFAULT_KEY)
        return f"{path} now holds the token of {DEFAULT_DEPLOYMENT}."

    lost = "That token is also in the file of its server." if is_owned else "No other file has it."
    return Finding(
        "note",
        f"{path} holds another token than {store.path_for(DEFAULT_DEPLOYMENT).name}. CloudVolume "
        "uses it for each host without a file of its own. If it is old, replace it: "
        "cave-auth doctor --fix",
        fix,
        f"{path} holds another token. {lost} Replace it with the token of {DEFAULT_DEPLOYMENT}?",
    )


def load(store: TokenStore, server: str | None) -> str | None:
    """The token in a server's file; None if there is none, or the file can't be read."""
    try:
        return store.load(server)
    except TokenFileError:
        return None  # content() reports it


def servers_of(store: TokenStore) -> list[str]:
    """The servers that a file makes trusted; none if the directory can't be listed."""
    try:
        return store.servers()
    except TokenFileError:
        return []
