"""The caller's side: start the sandbox in a process of its own, talk to it, and stop it."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from .options import checked_cache_seconds, checked_names, checked_ports, checked_ttl
from .record import RecordedRequest

_EXTRA = ("cheroot", "flask", "middle_auth_client", "numpy", "trustme")

# Variables that change how the servers behave: proxies, other certificates, settings of
# middle_auth_client and of this package, systemd's socket activation (read by cheroot).
_UNWANTED_PREFIXES = ("CAVE_", "AUTH_", "STICKY_AUTH_", "MIDDLE_AUTH_", "TOKEN_", "LISTEN_")
_UNWANTED = {
    "curl_ca_bundle",
    "debug_override_dataset_lookup",
    "requests_ca_bundle",
    "ssl_cert_dir",
    "ssl_cert_file",
}


# As multiprocessing's "spawn" does: an interpreter of its own that imports from where we do.
_CHILD = (
    "import json, sys; path, options = map(json.loads, sys.argv[1:]); sys.path[:] = path; "
    f"from {__package__}.serve import main; main(options)"
)


class Sandbox:
    """A CAVE deployment on this computer, running as long as the `with` block.

    `cache_seconds` is how long its services remember the user of a token, or that it has none (300
    at the real ones): a token that a *client* revokes can live that long there.

    `names` maps servers ("data_server") to the names by which they call themselves, "host" or
    "host:port", instead of a loopback address and a port. Their certificate is good for these
    names. You have to make a name lead to the port yourself; `ports` tells which it is.

    `ports` maps servers to the ports that they listen on. The others get a free port.

    >>> import requests
    >>> with Sandbox() as sandbox:
    ...     response = requests.get(
    ...         sandbox.data_server + "/echo",
    ...         headers={"Authorization": "Bearer " + sandbox.token},
    ...         verify=sandbox.ca_bundle,
    ...     )
    >>> response.status_code
    200

    Raises ValueError if an option is wrong or a port is taken, ModuleNotFoundError if the extra
    `sandbox` is not installed.
    """

    auth_server: str  #: the global server: the auth service and the info service
    data_server: str  #: the `local_server` of all datastacks
    other_data_server: str  #: the same services under another host name and port
    identity_provider: str  #: where people say who they are, as at accounts.google.com
    foreign_server: str  #: not CAVE: records whatever it receives
    plain_server: str  #: the same without TLS
    ports: dict[str, int]  #: server -> its port on this computer
    ca_bundle: str  #: path of the PEM file with the certificate to trust
    token: str  #: an API key of the ordinary user, with access to the first two datastacks
    user: int  #: the id of the ordinary user
    datastack: str  #: its bulk data is at an `https://` path behind CAVE's login
    datastack_middleauth: str  #: its bulk data is at a `middleauth+https://` path
    datastack_terms: str  #: the ordinary user has yet to accept its terms of service
    roots: list[int]  #: the two root ids (neurons) of each datastack
    supervoxels: list[int]

    def __init__(
        self,
        *,
        cache_seconds: int = 300,
        names: Mapping[str, str] | None = None,
        ports: Mapping[str, int] | None = None,
    ) -> None:
        self._options = {
            "cache_seconds": checked_cache_seconds(cache_seconds),
            "names": checked_names(names),
            "ports": checked_ports(ports),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        state = f"at {self.auth_server}" if self._process else "not running"
        return f"<Sandbox {state}>"

    def __enter__(self) -> Sandbox:
        _require_extra()
        path = [os.path.abspath(each) for each in sys.path]
        arguments = map(json.dumps, (path, self._options))
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _CHILD, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_clean_environment(),
            # Ctrl-C is for the caller, who may go on; the child ends when its stdin closes.
            start_new_session=True,
        )
        try:
            for name, value in self._answer().items():
                setattr(self, name, value)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin and process.stdout:
            with suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
            if process.returncode and hasattr(self, "ca_bundle"):  # killed: it could not tidy up
                shutil.rmtree(os.path.dirname(self.ca_bundle), ignore_errors=True)

    @property
    def environ(self) -> dict[str, str]:
        """What the environment of a client needs to accept the sandbox's certificates."""
        names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
        return dict.fromkeys(names, self.ca_bundle)

    @property
    def graphene_path(self) -> str:
        """CloudVolume's path of the segmentation of `datastack`."""
        return f"graphene://{self.data_server}/segmentation/table/sandbox"

    @property
    def graphene_path_middleauth(self) -> str:
        """CloudVolume's path of the segmentation of `datastack_middleauth`."""
        return f"graphene://middleauth+{self.data_server}/segmentation/table/sandbox_middleauth"

    @property
    def volume_path(self) -> str:
        """CloudVolume's path of the supervoxels, as plain https (it answers after login only)."""
        return f"precomputed://{self.data_server}/volume/sandbox"

    @property
    def volume_path_middleauth(self) -> str:
        """The same volume, marked as one that needs a CAVE token."""
        return f"precomputed://middleauth+{self.data_server}/volume/sandbox"

    def create_user(
        self,
        name: str,
        *,
        groups: Iterable[str] = (),
        permissions: Mapping[str, Iterable[str]] | None = None,
        accepted_tos: Iterable[int] = (),
        admin: bool = False,
        datasets_admin: Iterable[str] = (),
        groups_admin: Iterable[str] = (),
        parent: int | None = None,
    ) -> int:
        """Create a user and return the id.

        `permissions` maps a dataset ("sandbox", "sandbox_terms", "sandbox_restricted") to
        "view" and "edit"; dataset "sandbox_terms" also needs the terms of service 1 accepted.
        With a `parent`, the id of a user, it is a service account, whose terms are its parent's.
        """
        user: int = self._call(
            "create_user",
            name=name,
            groups=list(groups),
            permissions={dataset: list(names) for dataset, names in (permissions or {}).items()},
            accepted_tos=list(accepted_tos),
            admin=admin,
            datasets_admin=list(datasets_admin),
            groups_admin=list(groups_admin),
            parent=parent,
        )
        return user

    def create_token(
        self, user: int | None = None, *, ttl: float | None = None, value: str | None = None
    ) -> str:
        """Create a token: a lasting API key, or a login token that lives `ttl` seconds.

        `user` is an id (default: the ordinary user). A `value` of 32 hex digits can be used
        before it is created: then a service remembers, for `cache_seconds`, that nobody has it.
        """
        token: str = self._call("create_token", user=user, ttl=checked_ttl(ttl), value=value)
        return token

    def revoke(self, token: str) -> None:
        """Revoke a token at once: no service keeps it in its cache."""
        self._call("revoke", token=token)

    def clear_caches(self) -> None:
        """Have the services forget what they remember: users, tables, the count of refusals.

        They remember for `cache_seconds` who has a token, and that nobody has it.
        """
        self._call("clear_caches")

    @contextmanager
    def auth_service_down(self) -> Iterator[None]:
        """For the time of a `with` block, the auth service answers 503 and serves nobody.

        The other services then answer 500 to a token whose user they do not remember.
        """
        self._call("auth_service", down=True)
        try:
            yield
        finally:
            self._call("auth_service", down=False)

    def issued_tokens(self) -> list[str]:
        """Return every token that the auth service ever made, valid or not."""
        tokens: list[str] = self._call("issued_tokens")
        return tokens

    def requests(self, server: str | None = None) -> list[RecordedRequest]:
        """Return what the servers (or one, by its address) received, oldest first.

        The last 50,000 requests are kept.
        """
        return [
            RecordedRequest(
                entry["server"],
                entry["method"],
                entry["url"],
                [(name, value) for name, value in entry["headers"]],
                base64.b64decode(entry["body"]),
            )
            for entry in self._call("requests", server=server)
        ]

    def clear_requests(self) -> None:
        """Forget the requests received so far."""
        self._call("clear_requests")

    def record_requests(self, enabled: bool) -> None:
        """Switch recording on (as it is at the start) or off, say for a benchmark."""
        self._call("record_requests", enabled=enabled)

    def connections(self, server: str) -> int:
        """Return how many TCP connections the server at that address has accepted."""
        count: int = self._call("connections", server=server)
        return count

    def _call(self, method: str, **arguments: Any) -> Any:
        with self._lock:
            if self._process is None or self._process.stdin is None:
                raise RuntimeError("The sandbox is not running: use it in a `with` block.")
            line = json.dumps({"method": method, "arguments": arguments})
            with suppress(BrokenPipeError):  # it has ended: the answer will tell
                self._process.stdin.write(line.encode() + b"\n")
                self._process.stdin.flush()
            return self._answer()

    def _answer(self) -> Any:
        line = self._process.stdout.readline() if self._process and self._process.stdout else b""
        if not line:
            raise RuntimeError("The sandbox has ended; see its messages above.")
        answer = json.loads(line)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["result"]


def _require_extra() -> None:
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f'The sandbox needs {", ".join(missing)}: pip install "cave-auth-adapter[sandbox]"'
        )


def _clean_environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_UNWANTED_PREFIXES)
        and not name.lower().endswith("_proxy")
        and name.lower() not in _UNWANTED
    }
