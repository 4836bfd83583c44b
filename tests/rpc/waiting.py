"""Waits for states of the server by asking it: no test sleeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Never

from shoal.v1 import sessions_pb2
from tests.rpc.wire import PATIENCE, Wire

QUIET = 300  # answers of the server to something else, without any progress: then nothing moves


def until_queued(wire: Wire, name: str, batches: int) -> sessions_pb2.Session:
    """Ask until so many jobs wait."""
    while (session := wire.describe(name)).queued_batches < batches:
        pass
    return session


def until_queued_bytes(wire: Wire, name: str, size: int) -> None:
    """Ask until jobs of so many bytes wait or are being worked off."""
    while wire.describe(name).queued_bytes < size:
        pass


def until_version(wire: Wire, name: str, version: int) -> None:
    """Ask until the session has come so far."""
    while wire.describe(name).version < version:
        pass


def until_gone(wire: Wire, name: str) -> None:
    """Ask until the session is gone; listing it is not a use, and doesn't fail."""
    while any(session.name == name for session in _listed(wire)):
        pass


def until_unwatched(wire: Wire, name: str) -> None:
    """Ask until the session has no watchers."""
    while wire.describe(name).watchers:
        pass


def until_nothing_moves(wire: Wire, name: str, progress: Callable[[], int]) -> int:
    """Ask until the progress has long been the same; return the most bytes that were queued at any time."""
    most, quiet, last = 0, 0, -1
    while quiet < QUIET:
        most = max(most, wire.describe(name).queued_bytes)
        quiet = quiet + 1 if progress() == last else 0
        last = progress()
    return most


def forever(call: Callable[[], object]) -> Never:
    """Call again and again, until a call fails."""
    while True:
        call()


def _listed(wire: Wire) -> list[sessions_pb2.Session]:
    return list(wire.sessions.ListSessions(sessions_pb2.ListSessionsRequest(), timeout=PATIENCE).sessions)
