"""Watches: each sees the newest version as soon as it can, and holds nobody up.

A watcher's mailbox has one slot, and the slot is the session's own snapshot: what is kept for a watcher is its place
in a queue. It looks at the session when it has its turn, so a slow one gets the newest version.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol

from shoal_server.clustering.state import Snapshot, Warming, largest_shift
from shoal_server.errors import Reason, invalid
from shoal_server.sessions.watch_queue import WatchQueue
from shoal_server.shared_results import SharedResults

EndReason = Literal["deleted", "expired", "failed"]  # failed: by a bug


@dataclass(frozen=True)
class WatchOptions:
    """What a watcher wants to see. Times in seconds. The end and the version before it wait for no interval."""

    after_version: int | None = None
    min_interval: float = 0.0
    min_shift: float = 0.0
    progress_interval: float = 15.0


@dataclass(frozen=True)
class Update:
    """A newer version; `base` is what this watcher was sent before it."""

    snapshot: Snapshot
    base: Snapshot | None


@dataclass(frozen=True)
class Progress:
    """A sign of life on a quiet watch."""

    version: int
    warming: Warming | None


@dataclass(frozen=True)
class End:
    """There will be no newer version."""

    reason: EndReason
    version: int


class Watched(Protocol):
    """What a watch needs of a session."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest version, or None while there are no centroids."""
        ...

    @property
    def version(self) -> int:
        """The newest version's number."""
        ...

    @property
    def warming(self) -> Warming | None:
        """How far the warming is."""
        ...

    @property
    def ended(self) -> EndReason | None:
        """Why the session is no more."""
        ...

    @property
    def uid(self) -> str:
        """Tells it from other sessions that have had its name."""
        ...


class Watch:
    """One watcher's view of a session.

    Raises
    ------
    DomainError
        VERSION_IN_FUTURE: after_version is newer than the session's version.
    """

    def __init__(self, session: Watched, options: WatchOptions, queue: WatchQueue, shared: SharedResults) -> None:
        if options.after_version is not None:
            _refuse_future(options.after_version, session.version)
        self._session = session
        self._options = options
        self._queue = queue
        self._shared = shared
        self._seen = -1 if options.after_version is None else options.after_version
        self._sent: Snapshot | None = None
        self._not_before = self._quiet_since = asyncio.get_running_loop().time()
        self._turn: asyncio.Future[None] | None = None  # that is waited for
        self._timer: asyncio.TimerHandle | None = None
        self._has_turn = False
        self._size = 0  # bytes that it may write in its turn
        self._counted = 0  # of them, those that the scheduler counts now

    @property
    def session_uid(self) -> str:
        """The uid of the session that is watched."""
        return self._session.uid

    async def events(self) -> AsyncIterator[Update | Progress | End]:
        """Yield each newer version as it comes, signs of life between, and the end.

        What is yielded has to be written, if at all, right after a call of `begin_write`.
        """
        now = asyncio.get_running_loop().time
        try:
            while True:
                await self._wait_for_turn()
                if (now() >= self._not_before or self._session.ended) and (update := await self._next_update()):
                    self._give_back()  # while it is encoded others may write
                    yield update
                    del update  # it holds an older version
                    self._not_before = now() + self._options.min_interval
                    self._quiet_since = now()
                elif self._session.ended and not self._has_newer():
                    yield End(self._session.ended, self._session.version)
                    return
                elif now() >= self._progress_due:
                    yield Progress(self._session.version, self._session.warming)
                    self._quiet_since = now()
                self._end_turn()
        finally:
            self.close()

    def close(self) -> None:
        """Wait for nothing more, and let others have the turn."""
        self._queue.leave(self)
        self._end_turn()

    def begin_write(self) -> None:
        """Count what is written before the loop turns next; then others have their turns."""
        if self._has_turn:
            self._count(self._size)
            asyncio.get_running_loop().call_soon(self._end_turn)

    def give_turn(self, size: int) -> None:
        """Go on."""
        self._has_turn = True
        self._size = self._counted = size
        if self._turn and not self._turn.done():
            self._turn.set_result(None)

    @property
    def _progress_due(self) -> float:
        return self._quiet_since + self._options.progress_interval

    async def _wait_for_turn(self) -> None:
        loop = asyncio.get_running_loop()
        self._turn = loop.create_future()
        self._wait()
        try:
            await self._turn
        finally:
            self._turn = None
            if self._timer:
                self._timer.cancel()

    def _wait(self) -> None:
        """Wait for the turn if there is something to tell, and otherwise for the time at which there may be."""
        if self._queue.is_ready(self):
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        is_resting = now < self._not_before
        if self._session.ended or now >= self._progress_due or (self._has_newer() and not is_resting):
            self._queue.wait_for_turn(self)
        elif is_resting:
            self._queue.rest(self)
            self._timer = loop.call_at(min(self._not_before, self._progress_due), self._wait)
        else:
            self._queue.wait_for_news(self)
            self._timer = loop.call_at(self._progress_due, self._wait)

    def _has_newer(self) -> bool:
        snapshot = self._session.snapshot
        return snapshot is not None and snapshot.version > self._seen

    async def _next_update(self) -> Update | None:
        snapshot = self._session.snapshot
        if snapshot is None or snapshot.version <= self._seen:
            return None
        self._seen = snapshot.version
        if self._sent is not None and self._options.min_shift and await self._shift(snapshot) < self._options.min_shift:
            return None
        update = Update(snapshot, self._sent)
        self._sent = snapshot
        return update

    async def _shift(self, after: Snapshot) -> float:
        """Return how far the centroid that moved most has moved; computed once for all watchers."""
        before = self._sent
        if before is None:
            raise AssertionError("nothing has been sent from which something could have moved")
        self._give_back()
        size, key = after.centroids.nbytes, ("shift", before.version)
        return await self._shared.get(after, size, key, lambda: largest_shift(before, after))

    def _count(self, size: int) -> None:
        self._queue.scheduler.take(size - self._counted)
        self._counted = size

    def _give_back(self) -> None:
        if self._counted:
            self._queue.scheduler.give_back(self._counted)
            self._counted = 0

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._give_back()
            self._queue.end_turn()


def _refuse_future(after_version: int, version: int) -> None:
    if after_version < 0:
        raise invalid(
            Reason.VERSION_NEGATIVE, "after_version", f"after_version is {after_version}; versions count from 0"
        )
    if after_version > version:
        raise invalid(
            Reason.VERSION_IN_FUTURE,
            "after_version",
            f"after_version is {after_version} and the session is at version {version}; leave it out to begin with "
            f"the current one",
        )
