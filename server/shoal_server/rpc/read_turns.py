"""Turns for large messages of streams: gRPC copies each in one piece on the event loop, for some milliseconds.

Streams whose messages are complete at the same moment would be copied one after another before anything else is done.
So each of them waits, complete as it is, for a turn of the event loop in which little has been copied yet.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Generator
from contextlib import suppress
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")

SMALL_MESSAGE = 64 * 1024  # bytes, up to which a message is copied in no time
MAX_BYTES = 1024 * 1024  # that are copied in a turn of the event loop, if they are of several messages


class ReadTurns:
    """Lets only so many bytes of large messages be copied in one turn of the event loop."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._copied: int | None = None  # bytes, in this turn; None: nobody has been here in it

    async def read(self, reading: Coroutine[Any, Any, T], size: int) -> T:
        """Return what a coroutine of gRPC reads.

        Parameters
        ----------
        reading
            Waits for the message to be complete, and then copies it.
        size
            Bytes that it is likely to have.
        """
        return await self._in_turn(reading, size)

    @coroutine
    def _in_turn(self, reading: Coroutine[Any, Any, T], size: int) -> Generator[Any, Any, T]:
        steps = reading.__await__()
        try:
            complete = next(steps)
            while True:
                try:
                    yield complete
                except BaseException as error:  # noqa: BLE001  (it is the coroutine's: the call has been cancelled)
                    complete = steps.throw(error)
                    continue
                try:
                    yield from self._turn(size).__await__()
                except BaseException:
                    _finish(steps)
                    raise
                complete = next(steps)
        except StopIteration as end:
            message: T = end.value
            return message

    async def _turn(self, size: int) -> None:
        """Wait for a turn of the event loop in which so many bytes may be copied."""
        loop = asyncio.get_running_loop()
        if self._copied is None:
            self._copied = 0
            loop.call_soon(self._begin_turn)
        if not self._waiting and self._has_room():
            self._copied += size
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append((turn, size))
        await turn

    def _has_room(self) -> bool:
        return (self._copied or 0) < MAX_BYTES

    def _begin_turn(self) -> None:
        if not self._waiting:
            self._copied = None
            return
        self._copied = 0
        asyncio.get_running_loop().call_soon(self._begin_turn)
        while self._waiting and self._has_room():
            turn, size = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._copied += size


def _finish(steps: Generator[Any, Any, Any]) -> None:
    """Let a coroutine take a message that is complete and no longer wanted: else gRPC would keep it for ever."""
    with suppress(Exception):  # StopIteration has the message; the cancellation is raised, and not another error
        next(steps)
