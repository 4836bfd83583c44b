"""What a comparison has computed and nobody has read yet: so much, and for so long."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from shoal_server.errors import Reason, refused

T = TypeVar("T")

# Bytes of events that wait; most comparisons are smaller in all, and are computed whoever reads them.
MAX_BYTES = 4 << 20
# Seconds in which a reader reads something while anything waits for it.
PATIENCE = 60.0


class EventBuffer(Generic[T]):
    """Events between who computes them and who reads them; both are on the event loop."""

    def __init__(self) -> None:
        self._events: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._ended = False
        self._news = asyncio.Event()
        self._read = asyncio.Event()

    async def put(self, event: T, size: int) -> None:
        """Let an event wait, of so many bytes, once there is room; one is let in however large it is.

        Raises
        ------
        DomainError
            COMPARISON_NOT_READ.
        """
        while self._events and self._bytes + size > MAX_BYTES:
            await self._reading()
        self._events.append((event, size))
        self._bytes += size
        self._news.set()

    async def all_read(self) -> None:
        """Wait until nothing waits; raises as put does."""
        while self._events:
            await self._reading()

    def end(self) -> None:
        """Say that nothing more comes."""
        self._ended = True
        self._news.set()

    async def take(self) -> T | None:
        """Return the next event once there is one, None after the last."""
        while not self._events:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        event, size = self._events.popleft()
        self._bytes -= size
        self._read.set()
        return event

    async def _reading(self) -> None:
        """Wait until something is read; if that takes too long forget what waits."""
        self._read.clear()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._read.wait()
        except TimeoutError:
            self._events.clear()
            raise refused(
                Reason.COMPARISON_NOT_READ,
                f"nothing of the comparison was read for {PATIENCE:.0f} seconds, and the server keeps it no longer: "
                f"compare again, and read the steps as they come",
            ) from None
