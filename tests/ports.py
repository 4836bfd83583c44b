"""Ports for programs that are stopped and started again on the same port."""

from __future__ import annotations

import os
import socket

# Below those that the system hands out to whoever asks for any: another program would take the port meanwhile.
FIRST, COUNT = 20_000, 10_000


def spare_port() -> int:
    """Return a port of this machine on which nothing listens; another process begins its search elsewhere."""
    for step in range(COUNT):
        port = FIRST + (os.getpid() * 31 + step) % COUNT
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError(f"something listens on each port from {FIRST} to {FIRST + COUNT - 1}")
