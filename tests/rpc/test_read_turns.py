"""Large messages that are complete at once: only few of them are copied in one turn of the event loop."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from shoal_server.rpc.read_turns import MAX_BYTES, ReadTurns


class Messages:
    """Messages that gRPC has received completely at the same moment, and copies when their streams go on."""

    def __init__(self) -> None:
        self.turns = ReadTurns()
        self.copied: list[tuple[int, int]] = []  # in which turn of the event loop, and which
        self.complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turn = 0
        self._ticking: asyncio.Handle = asyncio.get_running_loop().call_soon(self._tick)

    def stop(self) -> None:
        self._ticking.cancel()

    async def copy(self, number: int) -> bytes:
        await asyncio.shield(self.complete)
        self.copied.append((self._turn, number))
        return bytes(number)

    def read(self, number: int, size: int) -> asyncio.Task[bytes]:
        return asyncio.create_task(self.turns.read(self.copy(number), size))

    async def reading(self, count: int, size: int) -> list[asyncio.Task[bytes]]:
        tasks = [self.read(number, size) for number in range(count)]
        for _ in range(3):  # until all of them wait
            await asyncio.sleep(0)
        self.complete.set_result(None)
        return tasks

    def _tick(self) -> None:
        self._turn += 1
        self._ticking = asyncio.get_running_loop().call_soon(self._tick)


@pytest.mark.parametrize(("size", "a_turn"), [(2 * MAX_BYTES, 1), (MAX_BYTES, 1), (MAX_BYTES // 4, 4)])
async def test_a_turn_of_the_event_loop_copies_few_large_messages_in_the_order_of_their_streams(
    size: int, a_turn: int
) -> None:
    messages = Messages()

    contents = await asyncio.gather(*await messages.reading(12, size))
    messages.stop()

    assert contents == [bytes(number) for number in range(12)]
    assert [number for _, number in messages.copied] == list(range(12))
    assert max(Counter(turn for turn, _ in messages.copied).values()) == a_turn


async def test_a_stream_cancelled_while_it_waits_for_its_turn_takes_its_message_and_keeps_no_other_waiting() -> None:
    messages = Messages()
    tasks = await messages.reading(6, MAX_BYTES)
    await tasks[0]

    for task in tasks[2:4]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    messages.stop()

    assert [isinstance(each, asyncio.CancelledError) for each in outcomes] == [False, False, True, True, False, False]
    assert sorted(number for _, number in messages.copied) == [*range(6)]  # gRPC has let go of all of them


async def test_a_read_that_fails_raises_its_error_and_keeps_no_other_waiting() -> None:
    messages = Messages()

    async def fail() -> bytes:
        await messages.complete
        raise ConnectionError

    failing = asyncio.create_task(messages.turns.read(fail(), MAX_BYTES))
    (other,) = await messages.reading(1, MAX_BYTES)

    with pytest.raises(ConnectionError):
        await failing
    assert await other == b""
    messages.stop()


async def test_a_message_that_is_there_at_once_needs_no_turn() -> None:
    async def copy() -> bytes:
        return b"there"

    assert await ReadTurns().read(copy(), MAX_BYTES) == b"there"
