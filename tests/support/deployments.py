"""Two deployments of the table on this machine, each a sandbox with the real names."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cave_auth_adapter.sandbox import Sandbox

NAMES = {
    "global.daf-apis.com": {
        "auth_server": "global.daf-apis.com",
        "data_server": "minnie.microns-daf.com",
    },
    "proofreading.zetta.ai": {
        "auth_server": "proofreading.zetta.ai",
        "data_server": "data.proofreading.zetta.ai",
    },
}


@contextmanager
def two_deployments(directory: Path) -> Iterator[dict[str, Sandbox]]:
    """Auth server -> sandbox. Their names lead to this machine, and no other name leads anywhere.

    :param directory: where the file with their certificates goes.
    """
    bundle = directory / "ca.pem"
    ports: dict[str, int] = {}
    look_up = socket.getaddrinfo

    def here(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name in ports and str(port) == "443":
            return look_up("127.0.0.1", ports[name], *args, **kwargs)
        raise socket.gaierror(socket.EAI_NONAME, f"{name} is nowhere")

    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        found = {
            server: stack.enter_context(Sandbox(names=names)) for server, names in NAMES.items()
        }
        for server, sandbox in found.items():
            ports.update({name: sandbox.ports[of] for of, name in NAMES[server].items()})
        bundle.write_text("".join(Path(each.ca_bundle).read_text() for each in found.values()))
        patch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        patch.setattr(socket, "getaddrinfo", here)
        yield found
