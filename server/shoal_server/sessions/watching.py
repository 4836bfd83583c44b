"""Watches: each sees the newest version as soon as it can, and holds nobody up.

A watcher's mailbox has one slot, and the slot is the session's own snapshot: what is kept for a watcher is its place
in a queue. It looks at the session when it has its turn, so a slow one gets the newest version.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from shoal_server.clustering.state import Snapshot, Warming, largest_shift
from shoal_server.errors import Reason, invalid
from shoal_server.sessions.event_log import EventLog
from shoal_server.sessions.port import (
    End,
    EndReason,
    NewEvents,
    Progress,
    PublishedEvent,
    SentVersion,
    Update,
    WatchEvent,
    WatchOptions,
)
from shoal_server.sessions.watch_turns import WatchQueue
from shoal_server.shared_results import SharedResults

# Events in a message: some milliseconds of encoding at most.
MAX_SENT_EVENTS = 256


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
        """The session's unique id."""
        ...

    @property
    def event_log(self) -> EventLog:
        """What has happened."""
        ...


class Watch:
    """One watcher's view of a session.

    Raises
    ------
    DomainError
        VERSION_IN_FUTURE: after_version is newer than the session's version; EVENT_IN_FUTURE: so is after_event.
    """

    def __init__(self, session: Watched, options: WatchOptions, queue: WatchQueue, shared: SharedResults) -> None:
        if options.after_version is not None:
            _refuse_future(options.after_version, session.version)
        self._session = session
        self._options = options
        self._queue = queue
        self._shared = shared
        self._seen = -1 if options.after_version is None else options.after_version
        self._last_event = options.after_event  # number of the last one that was sent; None: none are wanted
        if self._last_event is not None:
            session.event_log.check(self._last_event, "after_event")
        self._sent: int | None = None  # the version that the queue keeps for it
        self._not_before = self._quiet_since = asyncio.get_running_loop().time()
        self._turn: asyncio.Future[None] | None = None  # that is waited for
        self._timer: asyncio.TimerHandle | None = None
        self._has_turn = False
        self._size = self._counted = 0  # bytes that it may write in its turn, and that the scheduler counts now

    @property
    def session_uid(self) -> str:
        """The uid of the session that is watched."""
        return self._session.uid

    async def events(self) -> AsyncIterator[WatchEvent]:
        """Yield each newer version as it comes, what has happened before it, signs of life between, and the end.

        What is yielded has to be written, if at all, right after a call of `begin_write`.
        """
        now = asyncio.get_running_loop().time
        try:
            while True:
                await self._wait_for_turn()
                if events := self._next_events():
                    yield NewEvents(events)
                    del events
                    self._quiet_since = now()
                elif (now() >= self._not_before or self._session.ended) and (update := await self._next_update()):
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
        self._queue.sent.replace(self._sent, None)
        self._sent = None
        self._end_turn()

    def begin_write(self) -> None:
        """Count what is written before the loop turns next; then others have their turns."""
        if self._has_turn:
            self._count(self._size)
            loop = asyncio.get_running_loop()
            loop.call_soon(self._end_write, loop.time())

    def _end_write(self, begin: float) -> None:
        self._queue.scheduler.rest_after(asyncio.get_running_loop().time() - begin)
        self._end_turn()

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
        """Wait for the turn if there is something to send, and otherwise for the time at which there may be."""
        if self._queue.is_ready(self):
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        is_resting = now < self._not_before
        has_news = self._has_events() or (self._has_newer() and not is_resting)
        if self._session.ended or now >= self._progress_due or has_news:
            self._queue.wait_for_turn(self)
            return
        if is_resting or self._options.events_only:
            self._queue.rest(self)
        else:
            self._queue.wait_for_news(self)
        if self._last_event is not None:
            self._queue.wait_for_events(self)
        due = min(self._not_before, self._progress_due) if is_resting else self._progress_due
        self._timer = loop.call_at(due, self._wait)

    def _has_newer(self) -> bool:
        snapshot = self._session.snapshot
        return snapshot is not None and snapshot.version > self._seen and not self._options.events_only

    def _has_events(self) -> bool:
        return self._last_event is not None and self._session.event_log.newest > self._last_event

    def _next_events(self) -> Sequence[PublishedEvent]:
        if self._last_event is None or not self._has_events():
            return ()
        events = self._session.event_log.after(self._last_event, MAX_SENT_EVENTS)
        self._last_event = events[-1].event.number
        return events

    async def _next_update(self) -> Update | None:
        snapshot = self._session.snapshot
        if snapshot is None or not self._has_newer():
            return None
        self._seen = snapshot.version
        options, sent = self._options, self._queue.sent
        base = sent.get(self._sent)
        if base is not None and base.centroids.shape != snapshot.centroids.shape:
            base = None  # the number of clusters has changed: nothing of the update before is left
        if base is not None and options.min_shift and await self._shift(base, snapshot) < options.min_shift:
            return None
        if options.delta or options.min_shift:
            sent.replace(self._sent, snapshot)
            self._sent = snapshot.version
        return Update(snapshot, base if options.delta else None)

    async def _shift(self, before: SentVersion, after: Snapshot) -> float:
        """Return how far the centroid that moved most has moved; computed once for all watchers."""
        self._give_back()
        size, key = after.centroids.nbytes, ("shift", before.version)
        return await self._shared.get(after, size, key, lambda: largest_shift(before.centroids, after.centroids))

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
