"""Closing a queue, and taking all its items."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from shoal_server.budget import MemoryBudget
from shoal_server.sessions.queue import ByteQueue
from tests.sessions.clock import until_quiet
from tests.sessions.session_builders import PLENTY


async def test_a_closed_queue_returns_its_items_and_then_none() -> None:
    queue = ByteQueue[str](100, MemoryBudget(PLENTY).open())
    queue.put("a", 1, work=1)

    queue.close()

    assert await queue.take(100) == (["a"], 1, 1)
    assert await queue.take(100) == ([], 0, 0)
    assert await queue.take(100) == ([], 0, 0)


async def test_closing_the_queue_ends_the_wait_for_an_item() -> None:
    queue = ByteQueue[str](100, MemoryBudget(PLENTY).open())
    take = asyncio.ensure_future(queue.take(100))
    await until_quiet()

    queue.close()

    assert await take == ([], 0, 0)


async def test_take_all_empties_the_queue_and_releases_its_bytes() -> None:
    queue = ByteQueue[str](100, MemoryBudget(PLENTY).open())
    for item in "abc":
        await queue.reserve(20)
        queue.put(item, 20, work=20)
    await queue.take(20)

    items = queue.take_all()

    assert items == ["b", "c"]
    assert len(queue) == 0
    assert queue.bytes == 20  # of what has been taken before and is not released


async def test_take_all_admits_items_that_wait_for_room() -> None:
    queue = ByteQueue[str](100, MemoryBudget(PLENTY).open())
    await queue.reserve(100)
    queue.put("a", 100, work=100)
    waiting = asyncio.create_task(queue.reserve(100))
    await until_quiet()

    queue.take_all()
    await waiting

    assert queue.bytes == 100


async def test_take_all_of_an_empty_queue_returns_nothing() -> None:
    assert ByteQueue[str](100, MemoryBudget(PLENTY).open()).take_all() == []


@given(sizes=st.lists(st.integers(0, 150), max_size=30), max_bytes=st.integers(0, 200))
async def test_the_queue_loses_nothing_and_keeps_its_bound_for_any_sizes(sizes: list[int], max_bytes: int) -> None:
    queue = ByteQueue[int](100, MemoryBudget(PLENTY).open())
    taken: list[int] = []
    most = 0

    async def put_all() -> None:
        for size in sizes:
            await queue.reserve(size)
            queue.put(size, size, work=size)
        queue.close()

    putting = asyncio.create_task(put_all())
    while (take := await queue.take(max_bytes))[0]:
        items, held, _ = take
        taken += items
        most = max(most, queue.bytes)
        assert held == sum(items)
        assert len(items) == 1 or held <= max_bytes
        queue.release(held)
    await putting

    assert taken == sizes
    assert most <= max([100, *sizes])
    assert queue.bytes == 0
