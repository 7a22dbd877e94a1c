"""Imported by every interpreter of a test: names of real servers lead to sandboxes on this machine.

So a page or a tool runs unchanged, and nothing leaves the machine.
"""

import json
import os
import socket
from typing import Any

#: host -> ports there -> the port on this machine that stands for it.
_PORTS = json.loads(os.environ.get("TEST_PORTS", "{}"))
_LOCAL = ("localhost", "127.0.0.1", "::1", "", None)
_getaddrinfo = socket.getaddrinfo


def _look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    if name in _PORTS:
        return _getaddrinfo("127.0.0.1", _PORTS[name][str(port)], *args, **kwargs)
    if name not in _LOCAL:
        raise socket.gaierror(socket.EAI_NONAME, f"{name} is not in the world of this test")
    return _getaddrinfo(host, port, *args, **kwargs)


if _PORTS:
    socket.getaddrinfo = _look_up
    socket.gethostname = lambda: "my-laptop"
