"""A session's queue: bounded in bytes, first come first served, taken by work."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

from shoal_server.budget import Reservation

T = TypeVar("T")


class Taken(NamedTuple, Generic[T]):
    """Items taken from a queue."""

    items: list[T]
    size: int  # bytes that they hold
    work: int


class ByteQueue(Generic[T]):
    """A queue that makes those who put wait while it holds more than `max_bytes`.

    Bytes count from `reserve` until `release`, so what is being worked on counts too. An item larger than the whole
    queue gets in when the queue is empty.

    Parameters
    ----------
    max_bytes
        That it holds before those who put wait.
    memory
        Has the same bytes of the process's budget, and those that wait for room: all of them have been received.
    """

    def __init__(self, max_bytes: int, memory: Reservation) -> None:
        self._max_bytes = max_bytes
        self._memory = memory
        self._bytes = 0
        self._items: deque[tuple[T, int, int]] = deque()
        self._entry = asyncio.Lock()  # serves in the order of asking
        self._room = asyncio.Event()
        self._filled = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def bytes(self) -> int:
        """Bytes reserved and not released."""
        return self._bytes

    async def reserve(self, size: int, admit: Callable[[], Awaitable[object]] | None = None) -> None:
        """Wait for room and take it. A cancelled wait takes nothing.

        Parameters
        ----------
        size
            Bytes.
        admit
            Waits for what else must be there first, while those behind it wait, too; it takes nothing if it fails.
        """
        self._memory.add(size)
        try:
            async with self._entry:
                while self._bytes and self._bytes + size > self._max_bytes:
                    self._room.clear()
                    await self._room.wait()
                if admit is not None:
                    await admit()
                self._bytes += size
        except BaseException:
            self._memory.add(-size)
            raise

    def put(self, item: T, size: int, work: int) -> None:
        """Append an item whose bytes are reserved, and that makes so much work."""
        self._items.append((item, size, work))
        self._filled.set()

    async def take(self, max_work: int) -> Taken[T]:
        """Wait for an item; take the first ones, that make work up to `max_work`, or one.

        No items: the queue is closed.
        """
        while not self._items and not self._closed:
            self._filled.clear()
            await self._filled.wait()
        return self._take_now(max_work)

    def take_all(self) -> list[T]:
        """Take what is there, without waiting."""
        items = [item for item, _, _ in self._items]
        self.release(sum(size for _, size, _ in self._items))
        self._items.clear()
        return items

    def close(self) -> None:
        """Let whoever takes know that nothing more comes."""
        self._closed = True
        self._filled.set()

    def release(self, size: int) -> None:
        """Give room back."""
        self._bytes -= size
        self._memory.add(-size)
        self._room.set()

    def _take_now(self, max_work: int) -> Taken[T]:
        items: list[T] = []
        taken_size = taken_work = 0
        while self._items and (not items or taken_work + self._items[0][2] <= max_work):
            item, size, work = self._items.popleft()
            items.append(item)
            taken_size += size
            taken_work += work
        return Taken(items, taken_size, taken_work)
