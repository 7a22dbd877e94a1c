"""``doctor``'s checks of variables, netrc and proxies."""

from __future__ import annotations

import importlib.util
import netrc
import os
import re
from collections.abc import Iterator
from pathlib import Path

from requests.utils import NETRC_FILES

from ..errors import InvalidToken
from ..hosts import KnownHosts, wrongly_named_hosts
from ..service.unreachable import BUNDLES, PROXIES
from ..shells import assignment, unset
from ..tokens import check_token
from .findings import Finding
from .secret_files import content


def look_around() -> Iterator[Finding]:
    """Check everything except the secret files."""
    yield from _tokens()
    yield from _hosts()
    yield from _bundles()
    yield from _proxies()
    yield from _netrc()
    for name in ("CAVE_AUTH_DISABLE", "CAVE_AUTH_ACCOUNT", "CAVE_TOKEN_COMMAND"):
        if os.environ.get(name):
            yield Finding("note", f"{name} is set: {_MEANS[name]}")


_MEANS = {
    "CAVE_AUTH_DISABLE": "cave-auth run, enable and install() sign nothing.",
    "CAVE_AUTH_ACCOUNT": "tokens are read from the secret files under that key.",
    "CAVE_TOKEN_COMMAND": "the token that the command prints outranks every secret file.",
}


def _tokens() -> Iterator[Finding]:
    if token := os.environ.get("CAVE_TOKEN"):
        try:
            check_token(token, "The variable CAVE_TOKEN")
            yield Finding("note", "CAVE_TOKEN is set: it outranks every secret file.")
        except InvalidToken as error:
            yield Finding("problem", str(error))
    if named := os.environ.get("CAVE_TOKEN_FILE"):
        path = Path(os.path.expanduser(named))
        if not path.exists():
            yield Finding("problem", f"CAVE_TOKEN_FILE names {path}, which does not exist.")
            return
        yield Finding("note", f"CAVE_TOKEN_FILE is set: {path} outranks all other secret files.")
        if path.suffix == ".json":  # it may also hold the bare token
            yield from content(path)


def _hosts() -> Iterator[Finding]:
    hosts = os.environ.get("CAVE_AUTH_HOSTS", "").strip(", ")
    if re.search(r"[^,\s]\s*[;\s]\s*[^,\s]", hosts):
        fixed = ",".join(filter(None, re.split(r"[,;\s]+", hosts)))
        yield Finding(
            "problem",
            "CAVE_AUTH_HOSTS must have commas between the hosts: "
            + assignment("CAVE_AUTH_HOSTS", fixed),
        )
        return
    for wrong in wrongly_named_hosts():
        yield Finding("problem", f"CAVE_AUTH_HOSTS: {wrong}")


def _bundles() -> Iterator[Finding]:
    for name in BUNDLES:
        bundle = os.environ.get(name)
        if bundle and not os.path.exists(bundle):
            yield Finding(
                "problem",
                f"{name} names {bundle}, which does not exist, so no https request works. Name an "
                f"existing CA bundle, or {unset(name)}.",
            )


def _proxies() -> Iterator[Finding]:
    for name in PROXIES:
        for spelling in (name.lower(), name):
            is_socks = os.environ.get(spelling, "").lower().startswith("socks")
            if is_socks and importlib.util.find_spec("socks") is None:
                yield Finding(
                    "problem",
                    f"{spelling} names a SOCKS proxy, which needs a package that is not installed: "
                    'pip install "requests[socks]"',
                )


def _netrc() -> Iterator[Finding]:
    """Warn of passwords in netrc: requests sends them instead of a token, without this plugin."""
    named = os.environ.get("NETRC")
    places = [named] if named else [f"~/{name}" for name in NETRC_FILES]
    path = next((p for p in map(os.path.expanduser, places) if os.path.exists(p)), None)
    if path is None:
        return
    try:
        machines = netrc.netrc(path).hosts
    except netrc.NetrcParseError as error:
        yield Finding("note", f"{path} can't be read in line {error.lineno}: {error.msg}.")
        return
    except (OSError, ValueError):
        yield Finding("note", f"{path} can't be read.")
        return
    known = KnownHosts()
    matching = [host for host in machines if known.trusted_origin(f"https://{host}/")]
    for entry in [*(["default"] if "default" in machines else []), *matching]:
        named_there = "every host that it does not name" if entry == "default" else entry
        yield Finding(
            "note",
            f"{path} has a password for {named_there} (entry {entry!r}). cave-auth-adapter "
            "replaces it at trusted hosts; programs without it send it there, and CAVE refuses it.",
        )
