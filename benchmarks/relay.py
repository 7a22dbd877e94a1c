"""A TCP relay in a process of its own, which adds the delay of a network on each way.

The delay is on the path, so that every round trip pays it: those of a handshake, too.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def relaying(delay: float, ports: dict[int, int]) -> Iterator[None]:
    """A relay for the length of a `with` block.

    :param delay: seconds from one side to the other: half a round trip.
    :param ports: a port on this computer -> the one to which it leads.
    """
    pairs = [f"{entrance}:{exit_}" for entrance, exit_ in ports.items()]
    command = [sys.executable, "-m", __name__, str(delay), *pairs]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("The relay did not start; its message is above.")
            yield
        finally:
            process.kill()


def free_ports(count: int) -> list[int]:
    """Ports on which nothing listens at the moment."""
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("localhost", 0))) for _ in range(count)
        ]
        return [each.getsockname()[1] for each in sockets]


def main(delay: str, *pairs: str) -> None:
    for pair in pairs:
        entrance, exit_ = map(int, pair.split(":"))
        listener = socket.create_server(("localhost", entrance), backlog=256)
        _start(_accept, listener, exit_, float(delay))
    print("ready", flush=True)
    threading.Event().wait()


def _accept(listener: socket.socket, port: int, delay: float) -> None:
    while True:
        client, _ = listener.accept()
        _start(_relay, client, port, delay)


def _relay(client: socket.socket, port: int, delay: float) -> None:
    time.sleep(2 * delay)  # the handshake of TCP, which the kernel has done without a delay
    server = socket.create_connection(("localhost", port))
    for each in (client, server):
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for source, target in ((client, server), (server, client)):
        under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        _start(_take, source, under_way, delay)
        _start(_deliver, target, under_way)


def _take(source: socket.socket, under_way: queue.SimpleQueue, delay: float) -> None:
    data = b"start"
    while data:
        try:
            data = source.recv(1 << 20)
        except OSError:
            data = b""
        under_way.put((time.monotonic() + delay, data))


def _deliver(target: socket.socket, under_way: queue.SimpleQueue) -> None:
    with contextlib.suppress(OSError):
        while True:
            arrival, data = under_way.get()
            time.sleep(max(0.0, arrival - time.monotonic()))
            if not data:  # the other side has closed
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(data)


def _start(target, *arguments: object) -> None:
    threading.Thread(target=target, args=arguments, daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
