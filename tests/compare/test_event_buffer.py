"""Events computed ahead of a reader: how many are kept, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from shoal_server.compare.service import MAX_UNREAD_BYTES, READ_PATIENCE, EventBuffer
from shoal_server.errors import DomainError, Kind
from tests.sessions.clock import JumpingLoop, until, until_quiet

HALF = MAX_UNREAD_BYTES // 2


def _run(test: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(test)


async def _put_all(ahead: EventBuffer[int], *sizes: int) -> None:
    try:
        for number, size in enumerate(sizes):
            await ahead.put(number, size)
    finally:
        ahead.end()


def test_event_buffer_returns_events_in_order_and_then_ends() -> None:
    async def test() -> None:
        ahead: EventBuffer[int] = EventBuffer()
        putting = asyncio.create_task(_put_all(ahead, HALF, HALF, HALF, 1))

        assert [await ahead.take() for _ in range(6)] == [0, 1, 2, 3, None, None]
        await putting

    _run(test())


@pytest.mark.parametrize(
    ("sizes", "let_in"),
    [((HALF, HALF, 1), 2), ((1, MAX_UNREAD_BYTES), 1), ((3 * MAX_UNREAD_BYTES, 1), 1), ((1, 1, 1), 3)],
)
def test_event_buffer_holds_a_bounded_number_of_bytes(sizes: tuple[int, ...], let_in: int) -> None:
    async def test() -> None:
        ahead: EventBuffer[int] = EventBuffer()
        put = []

        async def put_all() -> None:
            for number, size in enumerate(sizes):
                await ahead.put(number, size)
                put.append(number)

        putting = asyncio.create_task(put_all())
        await until_quiet()

        assert len(put) == let_in
        assert [await ahead.take() for _ in sizes] == list(range(len(sizes)))
        await putting

    _run(test())


def test_reading_an_event_in_time_restarts_the_time_limit() -> None:
    async def test() -> None:
        ahead: EventBuffer[int] = EventBuffer()
        putting = asyncio.create_task(_put_all(ahead, *5 * [MAX_UNREAD_BYTES]))

        for number in range(5):
            await until((number + 1) * (READ_PATIENCE - 1))
            assert await ahead.take() == number
        await putting

    _run(test())


def test_events_not_read_in_time_are_dropped_with_comparison_not_read() -> None:
    async def test() -> None:
        ahead: EventBuffer[int] = EventBuffer()

        with pytest.raises(DomainError, match="nothing of the comparison was read for 60 seconds") as refused:
            await _put_all(ahead, MAX_UNREAD_BYTES, MAX_UNREAD_BYTES)

        assert asyncio.get_running_loop().time() == READ_PATIENCE
        assert (refused.value.refusal.kind, refused.value.refusal.reason) == (
            Kind.RESOURCE_EXHAUSTED,
            "COMPARISON_NOT_READ",
        )
        assert await ahead.take() is None

    _run(test())


def test_a_finished_comparison_that_is_not_read_is_dropped_in_time_too() -> None:
    async def test() -> None:
        ahead: EventBuffer[int] = EventBuffer()
        await _put_all(ahead, 1, 1)
        await ahead.take()

        with pytest.raises(DomainError, match="compare again"):
            await ahead.all_read()

        assert await ahead.take() is None

    _run(test())
