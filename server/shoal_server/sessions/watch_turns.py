"""The turns of watches: which of them may write next.

In each turn of the event loop few watches write, so that whatever else there is to do is done. A write copies its
message, and holds the loop while it does: a thousand watches that write at once would hold it for a second.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Protocol

from shoal_server.clustering.state import Snapshot
from shoal_server.sessions.sent_versions import SentVersions

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


class WatchQueue:
    """The watches of one session: those that wait for news, and those that wait for their turn."""

    def __init__(self, scheduler: WatchScheduler, sent: SentVersions) -> None:
        self.scheduler = scheduler
        self.sent = sent
        self._announced = -1  # the newest version that was
        self._last_event = 0  # that was announced
        self._snapshot_bytes = 0  # of it
        self._idle: OrderedDict[Waiting, None] = OrderedDict()
        self._following: OrderedDict[Waiting, None] = OrderedDict()  # that wait for events, beside anything else
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

    def wait_for_events(self, watch: Waiting) -> None:
        """Give a watch its turn after the next event too."""
        self._following[watch] = None

    def wait_for_turn(self, watch: Waiting) -> None:
        """Give a watch its turn, after those that wait already."""
        self.leave(watch)
        self._ready[watch] = None
        self._join_rotation()

    def is_ready(self, watch: Waiting) -> bool:
        """Return whether a watch waits for its turn."""
        return watch in self._ready

    def leave(self, watch: Waiting) -> None:
        """Give a watch no turn."""
        for group in (self._idle, self._following, self._resting, self._ready):
            group.pop(watch, None)

    def announce(self, newest: Snapshot | None, last_event: int = 0) -> None:
        """Give a turn to all that wait for news: a version, or the number of an event, that is newer than before.

        It takes no longer the more of them haven't had theirs yet.
        """
        if newest is not None and newest.version != self._announced:
            self._announced = newest.version
            self._snapshot_bytes = newest.centroids.nbytes
            self._wake(self._idle)
        if last_event > self._last_event:
            self._last_event = last_event
            self._wake(self._following)

    def wake_all(self) -> None:
        """Give a turn to those that rest too."""
        for group in (self._idle, self._resting):
            self._wake(group)

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

    def _wake(self, group: OrderedDict[Waiting, None]) -> None:
        self._ready.update(group)
        for other in (self._idle, self._resting) if group is self._following else (self._following,):
            if other:
                for watch in group:
                    other.pop(watch, None)
        group.clear()
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
