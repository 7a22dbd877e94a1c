"""`python -m cave_auth_adapter.sandbox`: run the sandbox till Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time

from .process import Sandbox

_GREETING = """\
A small CAVE deployment is running on this machine.

  auth and info service  {sandbox.auth_server}
  data services          {sandbox.data_server}
                         {sandbox.other_data_server}
  not CAVE               {sandbox.foreign_server}
  not CAVE, without TLS  {sandbox.plain_server}

  datastack              {sandbox.datastack}
  segmentation           {sandbox.graphene_path}
  volume                 {sandbox.volume_path_middleauth}
  token                  {sandbox.token}
  certificate to trust   {sandbox.ca_bundle}

Try it in another terminal:

  export REQUESTS_CA_BUNDLE={sandbox.ca_bundle}
  curl --cacert $REQUESTS_CA_BUNDLE -H 'Authorization: Bearer {sandbox.token}' \\
      {sandbox.data_server}/echo
  CAVE_TOKEN={sandbox.token} CAVE_AUTH_HOSTS={sandbox.data_server} \\
      cave-auth check {sandbox.data_server}/echo
  python -c "from caveclient import CAVEclient; print(CAVEclient(server_address=\
'{sandbox.auth_server}', auth_token='{sandbox.token}').info.get_datastacks())"

Ctrl-C ends it."""


def main() -> int:
    """Print where everything is, wait for Ctrl-C or SIGTERM, and return the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell has its background jobs ignore SIGINT
        signal.signal(number, signal.default_int_handler)
    try:
        with Sandbox() as sandbox:
            print(_GREETING.format(sandbox=sandbox), flush=True)
            while True:
                time.sleep(3600)
    except KeyboardInterrupt:
        return 0
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
