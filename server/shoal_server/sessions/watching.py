"""Watches: each sees the newest version as soon as it can, and holds nobody up.

A watcher's mailbox has one slot, and the slot is the session's own snapshot: what is kept for a watcher is its place
in a queue. It looks at the session when it has its turn, so a slow one gets the newest version.

In each turn of the event loop few watches write, so that whatever else there is to do is done. A write copies its
message, and holds the loop while it does: a thousand watches that write at once would hold it for a second.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from typing import Protocol

from shoal_server.clustering.state import Snapshot, Warming, largest_shift
from shoal_server.errors import Reason, invalid
from shoal_server.sessions.port import End, EndReason, Progress, SentVersion, Update, WatchOptions
from shoal_server.sessions.sent_versions import SentVersions
from shoal_server.shared_results import SharedResults

# Bytes that are written in a turn of the loop: less than a millisecond of it.
TURN_BYTES = 1024 * 1024
# What a message counts for besides its bytes: to write 100 bytes takes as long as to copy half of this (150 µs,
# measured), and the way of a watch to its next turn as long again.
MESSAGE_BYTES = 512 * 1024
# Turns of the loop from one that has writes to the next. Another call needs a dozen turns: most are without writes.
TURNS_BETWEEN = 3
# How many times as long as the writes of a turn took no other begins: large ones wait for memory to be mapped.
REST = 1.0
# Bytes of a version that takes long to encode: its watches take their turns one by one, and wait for it together.
LARGE = 64 * 1024


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


class WatchQueue:
    """The watches of one session: those that wait for news, and those that wait for their turn."""

    def __init__(self, scheduler: WatchScheduler, sent: SentVersions) -> None:
        self.scheduler = scheduler
        self.sent = sent
        self._announced = -1  # the newest version that was
        self._snapshot_bytes = 0  # of it
        self._idle: OrderedDict[Waiting, None] = OrderedDict()
        self._resting: OrderedDict[Waiting, None] = OrderedDict()  # for them only the end is news
        self._ready: OrderedDict[Waiting, None] = OrderedDict()
        self._in_turn = 0
        self._is_in_rotation = False

    def wait_for_news(self, watch: Waiting) -> None:
        """Give a watch its turn after the next `announce`."""
        self._resting.pop(watch, None)
        self._idle[watch] = None

    def rest(self, watch: Waiting) -> None:
        """Give a watch its turn after the next `wake_all`."""
        self._resting[watch] = None

    def wait_for_turn(self, watch: Waiting) -> None:
        """Give a watch its turn, after those that wait already."""
        self._idle.pop(watch, None)
        self._resting.pop(watch, None)
        self._ready[watch] = None
        self._join_rotation()

    def is_ready(self, watch: Waiting) -> bool:
        """Return whether a watch waits for its turn."""
        return watch in self._ready

    def leave(self, watch: Waiting) -> None:
        """Give a watch no turn."""
        for group in (self._idle, self._resting, self._ready):
            group.pop(watch, None)

    def announce(self, newest: Snapshot | None) -> None:
        """Give a turn to all that wait for news, if there is a newer version than before.

        It takes no longer the more of them haven't had theirs yet.
        """
        if newest is not None and newest.version != self._announced:
            self._announced = newest.version
            self._snapshot_bytes = newest.centroids.nbytes
            self._wake()

    def wake_all(self) -> None:
        """Give a turn to those that rest too."""
        self._idle.update(self._resting)
        self._resting.clear()
        self._wake()

    def give_turn(self) -> None:
        """Give the turn to the watch that has waited longest."""
        self._is_in_rotation = False
        if not self._ready:
            return
        watch, _ = self._ready.popitem(last=False)
        self._in_turn += 1
        size = MESSAGE_BYTES + self._snapshot_bytes
        self.scheduler.take(size)
        watch.give_turn(size)
        self._join_rotation()

    def end_turn(self) -> None:
        """Count the turn as over; where watches go one at a time, the next gets its turn."""
        self._in_turn -= 1
        self._join_rotation()

    def _wake(self) -> None:
        self._ready.update(self._idle)
        self._idle.clear()
        self._join_rotation()

    def _join_rotation(self) -> None:
        may_go_on = self._ready and not (self._in_turn and self._snapshot_bytes >= LARGE)
        if may_go_on and not self._is_in_rotation:
            self._is_in_rotation = True
            self.scheduler.add(self)


class WatchScheduler:
    """Gives turns to the watches of all sessions, to one session after another."""

    def __init__(self) -> None:
        self._rotation: deque[WatchQueue] = deque()  # those with a watch that may go on
        self._bytes = 0  # that are being written
        self._is_serving = False
        self._rests_until = 0.0  # on the loop's clock

    def add(self, queue: WatchQueue) -> None:
        """Put a session's queue behind those of the others."""
        self._rotation.append(queue)
        self._serve_soon()

    def take(self, size: int) -> None:
        """Count what is going to be written."""
        self._bytes += size

    def give_back(self, size: int) -> None:
        """Count it no longer."""
        self._bytes -= size
        self._serve_soon()

    def rest_after(self, seconds: float) -> None:
        """Leave the loop to others for a while after writes that took so many seconds."""
        self._rests_until = max(self._rests_until, asyncio.get_running_loop().time() + REST * seconds)

    def _serve_soon(self) -> None:
        if self._rotation and not self._is_serving:
            self._is_serving = True
            asyncio.get_running_loop().call_soon(self._serve, TURNS_BETWEEN)

    def _serve(self, turns: int) -> None:
        loop = asyncio.get_running_loop()
        if turns > 1:
            loop.call_soon(self._serve, turns - 1)
        elif loop.time() < self._rests_until:
            loop.call_at(self._rests_until, self._serve, 1)
        else:
            self._is_serving = False
            while self._rotation and self._bytes < TURN_BYTES:
                self._rotation.popleft().give_turn()


class Waiting(Protocol):
    """What waits for a turn."""

    def give_turn(self, size: int) -> None:
        """Go on; `size` is what to give back."""
        ...


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
