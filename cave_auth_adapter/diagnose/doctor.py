"""What is wrong with the set-up on this machine, and what of it can be mended safely."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib import metadata
from pathlib import Path

import requests

from .. import programs
from .._version import __version__
from ..errors import CaveAuthError, InvalidToken, TokenFileError
from ..hosts import wrongly_named_hosts
from ..origins import HostSpec, auth_server_of, server_name, trusted_by_file
from ..service import DEFAULT_SERVER
from ..store import DEPRECATED_FILE, TokenStore, read_secrets, token_in
from ..tokens import DEFAULT_KEY, check_token
from .check import unreachable

_SUFFIX = "-cave-secret.json"
_CLOCK = 300  # seconds; what Kerberos tolerates (RFC 4120, section 1.6), and most signatures do
_TIMEOUT = 10.0  # seconds
_VERSIONS = ("requests", "urllib3", "caveclient", "cloud-volume", "cloud-files")
_OLDEST_REQUESTS = (2, 32, 3)


@dataclass
class Finding:
    """Something that was looked at.

    :ivar level: ``"ok"``, ``"note"`` (worth knowing) or ``"problem"``.
    :ivar mend: does what is safe about it, and tells what it did.
    """

    level: str
    text: str
    mend: Callable[[], str] | None = None


def mended(finding: Finding) -> Finding:
    """Do what is safe about a finding, and return what is to say then."""
    if finding.mend is None:
        return finding
    try:
        return Finding("ok", finding.mend())
    except OSError as error:
        return Finding("problem", f"{finding.text} It can't be mended: {error.strerror}.")


def examine() -> Iterator[Finding]:
    """Look at everything, one thing after the other."""
    store = TokenStore()
    yield from _directory(store)
    yield from _files(store)
    yield from _conflicts(store)
    yield from _variables()
    yield from _servers(store)
    yield from _versions()
    enabled = programs.hook_file().exists()
    yield Finding("ok", f"cave-auth enable: {'on' if enabled else 'off'} in {sys.prefix}")


# --- Secret files --------------------------------------------------------------------------


def _directory(store: TokenStore) -> Iterator[Finding]:
    directory = store.directory
    if not directory.exists():
        yield Finding("note", f"{directory} does not exist yet. Log in: cave-auth login")
    elif not directory.is_dir():
        yield Finding("problem", f"{directory} is not a directory. Move it away, and log in.")
    else:
        yield from _permissions(directory, 0o700)


def _permissions(path: Path, wanted: int) -> Iterator[Finding]:
    """Whether others than the owner can do something with a path."""
    if os.name == "nt":  # access there is by lists that the mode bits don't show
        return
    try:
        state = path.stat()
    except OSError as error:
        yield Finding("problem", f"{path} can't be looked at: {(error.strerror or '').lower()}.")
        return
    mode = stat.S_IMODE(state.st_mode)

    def mend() -> str:
        path.chmod(mode & wanted)
        return f"{path} had mode {mode:04o}; it has {mode & wanted:04o} now."

    if mode & 0o077:
        mine = state.st_uid == os.geteuid()
        who = "others can use it" if mine else "and is not yours"
        yield Finding("problem", f"{path} has mode {mode:04o}: {who}.", mend if mine else None)


def _files(store: TokenStore) -> Iterator[Finding]:
    try:
        paths = sorted(store.directory.iterdir())
    except OSError:
        return
    for path in paths:
        # cloud-volume keeps other services' secrets here, which are none of our business.
        if path.name.endswith(_SUFFIX) or path.name in (store.path_for().name, DEPRECATED_FILE):
            yield from _permissions(path, 0o600)
            yield from _content(path)
            yield from _name(path, store)


def _content(path: Path) -> Iterator[Finding]:
    try:
        token = token_in(read_secrets(path) or {}, DEFAULT_KEY, path)
    except TokenFileError as error:
        yield Finding("problem", str(error))
        return
    has = "has a token" if token else f"has no token under the key {DEFAULT_KEY!r}"
    yield Finding("ok" if token else "note", f"{path} {has}.")


def _name(path: Path, store: TokenStore) -> Iterator[Finding]:
    """Whether anybody reads a file of that name."""
    if path.name == DEPRECATED_FILE:
        yield _deprecated(path, store.path_for())
    elif path.name.endswith(_SUFFIX):
        server = path.name.removesuffix(_SUFFIX)
        if trusted_by_file(server):
            return
        try:
            proper = server_name(server)
        except CaveAuthError:
            yield Finding("note", f"{path} is never read: {server!r} is not the name of a server.")
            return
        if proper == server and "." not in server:
            yield Finding(
                "note",
                f"{path} makes nobody trusted: a name without a dot may be a label. "
                f"If it is a server: export CAVE_AUTH_HOSTS={server}",
            )
        elif proper == server:
            yield Finding(
                "note", f"{path} makes nobody trusted: that domain is retired. Remove it."
            )
        else:
            yield Finding("note", f"{path} is never read: it would have to be {proper + _SUFFIX}.")


def _deprecated(path: Path, new: Path) -> Finding:
    if os.path.lexists(new):
        return Finding("note", f"{path} is an old name, and {new.name} outranks it. Remove it.")

    def mend() -> str:
        os.link(path, new)  # unlike rename(2), it never replaces a file that came meanwhile
        path.unlink()
        return f"{path} is now {new.name}."

    return Finding("problem", f"{path} has a deprecated name. Rename it to {new.name}.", mend)


def _conflicts(store: TokenStore) -> Iterator[Finding]:
    """Files that outrank each other with different tokens within one deployment."""
    for server in _servers_of(store):
        home = auth_server_of(HostSpec.parse(server).origin)
        if home in (None, server):
            continue
        tokens = {_load(store, server), _load(store, home)} - {None}
        if len(tokens) > 1:
            yield Finding(
                "note",
                f"{store.path_for(server)} holds another token than {store.path_for(home).name}, "
                f"and outranks it for {server}. If it is old: cave-auth logout {server}",
            )


def _load(store: TokenStore, server: str | None) -> str | None:
    try:
        return store.load(server)
    except TokenFileError:
        return None  # _content() tells of it


def _servers_of(store: TokenStore) -> list[str]:
    try:
        return store.servers()
    except TokenFileError:
        return []


# --- Variables -----------------------------------------------------------------------------


def _variables() -> Iterator[Finding]:
    if token := os.environ.get("CAVE_TOKEN"):
        try:
            check_token(token, "The variable CAVE_TOKEN")
            yield Finding("note", "CAVE_TOKEN is set: it outranks every secret file.")
        except InvalidToken as error:
            yield Finding("problem", str(error))
    if named := os.environ.get("CAVE_TOKEN_FILE"):
        path = Path(os.path.expanduser(named))
        yield Finding("note", f"CAVE_TOKEN_FILE is set: {path} outranks all other secret files.")
        if path.exists():
            yield from _content(path)
        else:
            yield Finding("problem", f"CAVE_TOKEN_FILE names {path}, which does not exist.")
    for wrong in wrongly_named_hosts():
        yield Finding("problem", f"CAVE_AUTH_HOSTS: {wrong}")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        bundle = os.environ.get(name)
        if bundle and not os.path.exists(bundle):
            yield Finding("problem", f"{name} names {bundle}, which does not exist.")


# --- Servers -------------------------------------------------------------------------------


def _servers(store: TokenStore) -> Iterator[Finding]:
    """Clock and certificates, as one request to each server shows them."""
    for server in _servers_of(store) or [server_name(DEFAULT_SERVER)]:
        url = f"https://{server}/"
        started = time.time()
        try:
            with requests.Session() as session:
                response = session.head(
                    url, timeout=_TIMEOUT, allow_redirects=False, auth=lambda request: request
                )
        except (requests.RequestException, OSError) as error:
            yield Finding("problem", str(unreachable(url, error)))
            continue
        yield Finding("ok", f"{server} is reached, and its certificate checks out.")
        yield from _clock(server, response.headers.get("Date"), started)


def _clock(server: str, date: str | None, now: float) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return
    if abs(theirs - now) > _CLOCK:
        slow = "slow" if theirs > now else "fast"
        minutes = abs(theirs - now) / 60
        yield Finding("problem", f"Your clock is {minutes:.0f} minutes {slow} against {server}.")


# --- Versions ------------------------------------------------------------------------------


def _versions() -> Iterator[Finding]:
    found = {"cave-auth-adapter": __version__}
    for name in _VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    python = ".".join(map(str, sys.version_info[:3]))
    listed = ", ".join(f"{name} {version}" for name, version in found.items())
    yield Finding("ok", f"Python {python}, {listed}")
    if _numbers(found["requests"]) < _OLDEST_REQUESTS:
        yield Finding("problem", "requests is too old: pip install 'requests>=2.32.3'")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
