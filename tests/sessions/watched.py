"""A scripted session for a watch, and the responses of the watch with their times."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from shoal_server.budget import MIB, MemoryBudget
from shoal_server.clustering.state import Snapshot, Warming, read_only_snapshot
from shoal_server.sessions.compute import ComputePool
from shoal_server.sessions.event_log import EventLog
from shoal_server.sessions.port import End, EndReason, NewEvents, Progress, Update, WatchEvent, WatchOptions
from shoal_server.sessions.sent_versions import SentVersions
from shoal_server.sessions.watch_turns import WatchQueue, WatchScheduler
from shoal_server.sessions.watching import Watch
from shoal_server.shared_results import SharedResults
from tests.sessions.clock import jumping_loop

NOW = datetime(2026, 1, 1, tzinfo=UTC)

SHARED = SharedResults(ComputePool(1).begin)  # the pool starts no thread until it has work


@dataclass
class PlayedSession:
    """The part of a session that a watch needs."""

    snapshot: Snapshot | None = None
    warming: Warming | None = None
    ended: EndReason | None = None
    uid: str = "uid"
    event_log: EventLog = field(default_factory=lambda: EventLog(1000, lambda: NOW))

    @property
    def version(self) -> int:
        """The newest version's number."""
        return self.snapshot.version if self.snapshot else 0


class Stage:
    """A played session and one watch of it."""

    def __init__(
        self,
        options: WatchOptions | None = None,
        version: int | None = None,
        *,
        delta: bool = True,
        log: EventLog | None = None,
    ) -> None:
        self.session = PlayedSession(None if version is None else snapshot(version))
        self.session.event_log = log or self.session.event_log
        self.budget = MemoryBudget(MIB)
        self.queue = WatchQueue(WatchScheduler(), SentVersions(self.budget))
        self.watch = Watch(self.session, replace(options or WatchOptions(), delta=delta), self.queue, SHARED)

    def publish(self, version: int, *centroids: float) -> Snapshot:
        """Make a version, whose centroid is at its number unless it is said where."""
        self.session.snapshot = newest = snapshot(version, *centroids)
        self.queue.announce(newest)
        return newest

    def end(self, reason: EndReason = "deleted") -> None:
        """End the session."""
        self.session.ended = reason
        self.queue.wake_all()

    def play(self, versions: Mapping[float, int], end: float) -> None:
        """Publish versions at their seconds, and end the session."""
        loop = jumping_loop()
        for second, version in versions.items():
            loop.call_at(second, self.publish, version)
        loop.call_at(end, self.end)

    async def timeline(self) -> list[tuple[float, str]]:
        """Watch to the end."""
        return [(jumping_loop().time(), short_text(event)) async for event in self.watch.events()]

    def events(self) -> AsyncIterator[WatchEvent]:
        """Watch event by event."""
        return self.watch.events()


def snapshot(version: int, *centroids: float) -> Snapshot:
    """Return a version of one feature."""
    values = np.array(centroids or (float(version),))[:, None]
    nothing = np.zeros(len(values))
    return read_only_snapshot(version, values, nothing, 0.0, nothing, version, 1)


def short_text(event: WatchEvent) -> str:
    """Return a short form of a response to a watcher."""
    match event:
        case Update(newest, base):
            return f"{newest.version}" + (f" after {base.version}" if base else "")
        case NewEvents(events):
            return f"events {events[0].event.number} to {events[-1].event.number}"
        case Progress(version, warming):
            return f"still {version}" + (f", {warming.seen} of {warming.needed}" if warming else "")
        case End(reason, version):
            return f"{reason} at {version}"
