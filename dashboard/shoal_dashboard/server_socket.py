"""The socket on which the page is served, its URL, and the line that announces it."""

from __future__ import annotations

import errno
import os
import socket

_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (read, not listened on)


class ListenError(Exception):
    """The address can't be listened on; the message says why, and what would be right."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Connections made from now on wait until the page is ready.

    Parameters
    ----------
    host
        A name or an address, of which IPv6 is understood; 0.0.0.0 for all.
    port
        0 for a free one.

    Raises
    ------
    ListenError
        If another process has the port, or the address isn't of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ListenError(_told(error, address_of(host, port))) from None


def url_of(listening: socket.socket) -> str:
    """Return the page's URL as a browser on this machine opens it."""
    host, port, *_ = listening.getsockname()
    return f"http://{address_of(_EVERYWHERE.get(host, host), port)}"


def address_of(host: str, port: int) -> str:
    """Return HOST:PORT, with brackets where the host is an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def tell_ready(descriptor: int, url: str) -> None:
    """Write the page's URL as a line, and close the descriptor."""
    with os.fdopen(descriptor, "w") as ready:
        ready.write(f"{url}\n")


def _told(error: OSError, address: str) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"{address} is in use: choose another port with --port, or 0 for a free one"
        case errno.EADDRNOTAVAIL | socket.EAI_NONAME:
            return f"can't listen on {address}: this machine has no such address"
        case code:
            return f"can't listen on {address}: {os.strerror(code or 0)}"
