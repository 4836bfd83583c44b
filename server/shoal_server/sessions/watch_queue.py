"""Turns for watches: in each turn of the event loop few of them write, so that whatever else there is to do is done.

A write copies its message, and holds the loop while it does. A thousand watchers that are told of a version at once
would hold it for a second.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Protocol

from shoal_server.clustering.state import Snapshot

# Bytes that are written in a turn of the loop: less than a millisecond of it.
TURN_BYTES = 1024 * 1024
# What a message counts for besides its bytes: to write 100 bytes takes as long as to copy half of this (150 µs,
# measured), and the way of a watch to its next turn as long again.
MESSAGE_BYTES = 512 * 1024
# Turns of the loop from one that has writes to the next. Another call needs a dozen turns: most are without writes.
TURNS_BETWEEN = 3
# Bytes of a version that takes long to encode: its watches take their turns one by one, and wait for it together.
LARGE = 64 * 1024


class Waiting(Protocol):
    """What waits for a turn."""

    def give_turn(self, size: int) -> None:
        """Let it go on; `size` is what to give back."""
        ...


class WatchScheduler:
    """Gives turns to the watches of all sessions, to one session after another."""

    def __init__(self) -> None:
        self._rotation: deque[WatchQueue] = deque()  # those with a watch that may go on
        self._bytes = 0  # that are being written
        self._is_serving = False

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

    def _serve_soon(self) -> None:
        if self._rotation and not self._is_serving:
            self._is_serving = True
            asyncio.get_running_loop().call_soon(self._serve, TURNS_BETWEEN)

    def _serve(self, turns: int) -> None:
        if turns > 1:
            asyncio.get_running_loop().call_soon(self._serve, turns - 1)
            return
        self._is_serving = False
        while self._rotation and self._bytes < TURN_BYTES:
            self._rotation.popleft().give_turn()


class WatchQueue:
    """The watches of one session: those that wait for news, and those that wait for their turn."""

    def __init__(self, scheduler: WatchScheduler) -> None:
        self.scheduler = scheduler
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
        """Let the watch go on that has waited longest."""
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
        """Let others go on where one at a time may."""
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
