"""`python -m cave_auth_adapter.sandbox`: run the sandbox till Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from typing import Any

from .. import shells
from .options import SERVERS
from .process import Sandbox

_GREETING = """\
A small CAVE deployment is running on this computer.

  auth and info service  {sandbox.auth_server}
  identity provider      {sandbox.identity_provider}
  data services          {sandbox.data_server}
                         {sandbox.other_data_server}
  not CAVE               {sandbox.foreign_server}
  not CAVE, without TLS  {sandbox.plain_server}

  datastacks             {sandbox.datastack}, {sandbox.datastack_middleauth}
  with terms to accept   {sandbox.datastack_terms}
  segmentation           {sandbox.graphene_path}
  volume                 {sandbox.volume_path_middleauth}
  token                  {sandbox.token}
  certificate to trust   {sandbox.ca_bundle}

Try it in another terminal. The second line keeps your own tokens out of it. Your browser warns of
the certificate: go on, and log in as anybody.

  {trusting}
  {elsewhere}
  cave-auth login --trust-data-servers {sandbox.auth_server}
  cave-auth check {sandbox.data_server}/echo
  {curl} -H 'Authorization: Bearer {sandbox.token}' {sandbox.data_server}/echo
  python -c "from caveclient import CAVEclient; print(CAVEclient(server_address=\
'{sandbox.auth_server}', auth_token='{sandbox.token}').info.get_datastacks())"

Ctrl-C ends it."""

_HELP = f"""\
Run a small CAVE deployment on this computer, to try and to test tools without the real one.

Its servers are {", ".join(SERVERS)}. Each gets a loopback address and
a free port unless you choose.
"""


def main() -> int:
    """Print where everything is, wait for Ctrl-C or SIGTERM, and return the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell has its background jobs ignore SIGINT
        signal.signal(number, signal.default_int_handler)
    parser = _parser()
    chosen = parser.parse_args()
    try:
        with Sandbox(names=dict(chosen.names), ports=dict(chosen.ports)) as sandbox:
            print(_greeting(sandbox), flush=True)
            while True:
                time.sleep(3600)
    except KeyboardInterrupt:
        return 0
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    except ValueError as error:
        parser.error(str(error))


def _greeting(sandbox: Sandbox) -> str:
    elsewhere, curl = "export CLOUD_VOLUME_DIR=$(mktemp -d)", "curl -s --cacert $REQUESTS_CA_BUNDLE"
    if shells.WINDOWS:
        elsewhere = '$env:CLOUD_VOLUME_DIR = "$env:TEMP\\cave-sandbox"'
        curl = "curl.exe -s --cacert $env:REQUESTS_CA_BUNDLE"
    trusting = shells.assignment("REQUESTS_CA_BUNDLE", sandbox.ca_bundle)
    return _GREETING.format(sandbox=sandbox, trusting=trusting, elsewhere=elsewhere, curl=curl)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cave_auth_adapter.sandbox",
        description=_HELP,
        epilog="You have to make a name lead to this computer yourself, in the file hosts "
        r"(/etc/hosts; on Windows C:\Windows\System32\drivers\etc\hosts).",
    )
    options: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument(
        "--port", dest="ports", metavar="SERVER=PORT", type=_server_and_port, **options
    )
    parser.add_argument(
        "--name", dest="names", metavar="SERVER=HOST[:PORT]", type=_server_and_name, **options
    )
    return parser


def _server_and_name(text: str) -> tuple[str, str]:
    server, _, name = text.partition("=")
    return server, name


def _server_and_port(text: str) -> tuple[str, int | str]:
    server, _, port = text.partition("=")
    return server, int(port) if port.isdecimal() else port


if __name__ == "__main__":
    sys.exit(main())
