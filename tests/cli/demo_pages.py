"""What tests read of a running demo: its lines, its page and its sessions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from http.client import HTTPConnection

import shoal

PATIENCE = 60.0  # seconds after which what is waited for won't come any more
WATCH = "watch it live: "
STAYS = "the page and the session on "


def noted(lines: Iterable[str], into: list[str]) -> Iterator[str]:
    """Yield the lines, and append each to a list, without its end."""
    for line in lines:
        into.append(line.rstrip("\n"))
        yield line


def said(lines: Iterator[str], beginning: str) -> str:
    """Return the rest of the first line that begins so."""
    return next(line for line in lines if line.startswith(beginning)).removeprefix(beginning).strip()


def status(url: str) -> int:
    """Return the status of the response to a GET request."""
    host, _, path = url.removeprefix("http://").partition("/")
    with closing(HTTPConnection(host, timeout=PATIENCE)) as connection:
        connection.request("GET", f"/{path}")
        return connection.getresponse().status


def names(target: str) -> list[str]:
    """Return the names of a server's sessions, sorted, without what a demo appends to its own."""
    with shoal.connect(target) as client:
        return sorted(session.name.rpartition("-")[0] for session in client.list_sessions())
