"""The servers' side: seven servers in one process that obeys its parent's lines on stdin.

One JSON object a line comes in, one goes out. The process ends when stdin closes, and with it
when its parent is killed.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn, TextIO

import trustme
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from .accounts import Accounts
from .https import Server
from .record import Application, Log

NAMES = ("localhost", "127.0.0.1", "127.0.0.2", "::1")
HOSTS = {
    "auth_server": "localhost",
    "data_server": "localhost",
    "other_data_server": "127.0.0.1",
    "identity_provider": "127.0.0.1",
    "foreign_server": "127.0.0.1",
    "plain_server": "localhost",
    # Where the services ask the auth service, as within a real cluster; the other one then sees
    # its clients only.
    "internal": "localhost",
}


class Control:
    """What the parent may ask for: each public method is one request."""

    def __init__(self, options: dict[str, Any], ca_bundle: Path) -> None:
        self._options = options
        self._ca_bundle = str(ca_bundle)
        self._accounts = Accounts()
        self._log = Log()
        self._ca = trustme.CA()
        self._user = self._accounts.create_user(
            "Sandbox User",
            groups=["default", "sandbox"],
            permissions={"sandbox": ["view", "edit"], "sandbox_terms": ["view"]},
        )
        self._servers = self._start()

    def _start(self) -> dict[str, Server]:
        names, ports = self._options["names"], self._options["ports"]
        hosts = (name.partition(":")[0] for name in names.values())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*NAMES, *hosts).configure_cert(context)
        servers = {}
        for name in sorted(HOSTS, key=lambda name: name not in ports):  # then the free ports
            tls = None if name == "plain_server" else context
            servers[name] = server = Server(name, HOSTS[name], ports.get(name, 0), tls)
            server.public_name = names.get(name)
            _listen(server)
        self._ca.cert_pem.write_to_path(self._ca_bundle)
        os.environ.update(
            _environment(servers, self._options["cache_seconds"]),
            REQUESTS_CA_BUNDLE=self._ca_bundle,
        )
        self._mount(servers)
        for server in servers.values():
            threading.Thread(target=server.serve, daemon=True).start()
        return servers

    def _mount(self, servers: dict[str, Server]) -> None:
        # Imported here, since middle_auth_client reads the environment when it is imported.
        from .authservice import auth_app
        from .dataservice import data_app
        from .foreign import foreign_app
        from .identity import IdentityProvider
        from .infoservice import info_app
        from .protect import SERVICE_TOKEN
        from .stateservice import state_app

        service = self._accounts.create_user("Sandbox Service", parent=self._user.id)
        self._accounts.create_token(service, value=SERVICE_TOKEN)
        callback = servers["auth_server"].address + "/sticky_auth/api/v1/oauth2callback"
        identity = IdentityProvider(self._accounts, servers["identity_provider"].address, callback)
        self._auth = auth = auth_app(self._accounts, identity)
        data, foreign = data_app(), foreign_app()
        info = info_app(servers["data_server"].address)
        apps: dict[str, Application] = {
            "auth_server": DispatcherMiddleware(auth, {"/info": info, "/nglstate": state_app()}),
            "data_server": data,
            "other_data_server": data,
            "identity_provider": identity.app(),
            "foreign_server": foreign,
            "plain_server": foreign,
        }
        for name, app in apps.items():
            address = servers[name].address
            servers[name].wsgi_app = self._log.watch(address, app, body=app is foreign)
        servers["internal"].wsgi_app = auth

    def describe(self) -> dict[str, Any]:
        from .volume import LAYERS, layer_of, parents

        public = {name: each.address for name, each in self._servers.items() if name != "internal"}
        return {
            **public,
            "ports": {name: self._servers[name].bind_addr[1] for name in public},
            "ca_bundle": self._ca_bundle,
            "user": self._user.id,
            "token": self._accounts.create_token(self._user).token,
            "datastack": "minisandbox",
            "datastack_middleauth": "minisandbox_middleauth",
            "datastack_terms": "minisandbox_terms",
            "roots": sorted({each for each in parents().values() if layer_of(each) == LAYERS}),
            "supervoxels": sorted(each for each in parents() if layer_of(each) == 1),
        }

    def create_user(self, accepted_tos: list[int], **details: Any) -> int:
        return self._accounts.create_user(accepted_tos=set(accepted_tos), **details).id

    def create_token(self, user: int | None, ttl: float | None, value: str | None) -> str:
        owner = self._accounts.user(user) if user is not None else self._user
        return self._accounts.create_token(owner, ttl=ttl, value=value).token

    def revoke(self, token: str) -> None:
        from .protect import forget

        self._accounts.remove(token)
        forget(token)

    def clear_caches(self) -> None:
        from .protect import clear_caches

        clear_caches()

    def auth_service(self, *, down: bool) -> None:
        from .protect import line

        self._auth.config["DOWN"] = line.cut = down

    def issued_tokens(self) -> list[str]:
        return self._accounts.issued()

    def requests(self, server: str | None) -> list[dict[str, Any]]:
        return self._log.entries(server)

    def clear_requests(self) -> None:
        self._log.clear()

    def record_requests(self, enabled: bool) -> None:
        self._log.enabled = enabled

    def connections(self, server: str) -> int:
        accepted = {each.address: each.accepted for each in self._servers.values()}
        if server not in accepted:
            raise ValueError(f"No such server: {server}. The sandbox has: {', '.join(accepted)}")
        return accepted[server]


def _listen(server: Server) -> None:
    try:
        server.prepare()
    except OSError as error:  # the port is taken, or for root only; the error says which
        raise ValueError(f"{server.name}: {error}") from error


def _environment(servers: dict[str, Server], cache_seconds: int) -> dict[str, str]:
    def without_scheme(name: str) -> str:
        return servers[name].address.partition("://")[2]

    return {
        "AUTH_URL": without_scheme("internal") + "/auth",
        "STICKY_AUTH_URL": without_scheme("auth_server") + "/sticky_auth",
        "TOKEN_CACHE_TTL": str(cache_seconds),
    }


def _obey(control: Control, line: str) -> dict[str, Any]:
    request = json.loads(line)
    try:
        return {"result": getattr(control, request["method"])(**request["arguments"])}
    except (KeyError, ValueError) as error:
        return {"error": f"{request['method']}: {error}"}


def _reserve_stdout() -> TextIO:
    """Return stdout, and let nobody else print to it."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _serve(options: dict[str, Any], answers: TextIO) -> None:
    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    with tempfile.TemporaryDirectory(prefix="cave-sandbox-") as directory:
        try:
            control = Control(options, Path(directory, "ca.pem"))
        except ValueError as error:
            return say({"error": str(error)})
        say({"result": control.describe()})
        for line in sys.stdin:
            say(_obey(control, line))


def main(options: dict[str, Any]) -> NoReturn:
    """Serve until stdin closes or a signal comes, then end the process."""
    status = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: sys.exit())
        _serve(options, _reserve_stdout())
        status = 0
    except (BrokenPipeError, SystemExit):
        status = 0  # the parent is gone, or wants us to be
    except Exception:
        traceback.print_exc()
    finally:
        # Not sys.exit(): it would wait for the worker threads, and those for slow requests.
        os._exit(status)
