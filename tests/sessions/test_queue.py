"""The queue of a session: in order, bounded in bytes, fair to waiting producers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from shoal_server.budget import MemoryBudget
from shoal_server.sessions.queue import ByteQueue
from tests.sessions.clock import until_quiet

PLENTY = 1000


def filled(queue: ByteQueue[str], items: str, size: int = 1) -> ByteQueue[str]:
    """Put letters into a queue, without a wait for room."""
    for item in items:
        queue.put(item, size, work=size)
    return queue


async def test_queue_items_are_taken_in_order_of_arrival() -> None:
    queue = filled(ByteQueue[str](PLENTY, MemoryBudget(PLENTY).open()), "abc")

    items, _, _ = await queue.take(PLENTY)

    assert items == ["a", "b", "c"]


async def test_a_take_is_bounded_in_work_and_says_how_much_it_got() -> None:
    queue = filled(ByteQueue[str](PLENTY, MemoryBudget(PLENTY).open()), "abcde", size=10)

    takes = [await queue.take(25) for _ in range(3)]

    assert takes == [(["a", "b"], 20, 20), (["c", "d"], 20, 20), (["e"], 10, 10)]


async def test_the_bytes_of_a_take_are_those_of_its_items_whatever_their_work() -> None:
    queue = ByteQueue[str](PLENTY, MemoryBudget(PLENTY).open())
    queue.put("a", 100, work=1)
    queue.put("b", 200, work=2)
    queue.put("c", 1, work=50)

    assert await queue.take(10) == (["a", "b"], 300, 3)


async def test_an_item_of_more_work_than_a_take_comes_alone() -> None:
    queue = filled(ByteQueue[str](PLENTY, MemoryBudget(PLENTY).open()), "a", size=30)
    filled(queue, "b", size=1)

    assert await queue.take(25) == (["a"], 30, 30)
    assert await queue.take(25) == (["b"], 1, 1)


async def test_items_without_work_join_a_full_take() -> None:
    queue = filled(ByteQueue[str](PLENTY, MemoryBudget(PLENTY).open()), "a", size=25)
    filled(queue, "bc", size=0)
    filled(queue, "d", size=1)

    assert await queue.take(25) == (["a", "b", "c"], 25, 25)


async def test_a_take_of_an_empty_queue_waits_for_an_item() -> None:
    queue = ByteQueue[str](PLENTY, MemoryBudget(PLENTY).open())
    take = asyncio.ensure_future(queue.take(PLENTY))
    await until_quiet()
    assert not take.done()

    queue.put("a", 1, work=1)

    assert await take == (["a"], 1, 1)


async def test_queue_bytes_count_from_reserve_until_release() -> None:
    queue = ByteQueue[str](PLENTY, MemoryBudget(PLENTY).open())

    await queue.reserve(40)
    reserved = queue.bytes
    queue.put("a", 40, work=40)
    _, size, _ = await queue.take(PLENTY)
    taken = queue.bytes
    queue.release(size)

    assert (reserved, taken, queue.bytes) == (40, 40, 0)


async def test_the_length_of_the_queue_counts_waiting_items() -> None:
    queue = filled(ByteQueue[str](PLENTY, MemoryBudget(PLENTY).open()), "abc", size=10)

    await queue.take(10)

    assert len(queue) == 2


async def test_the_queue_has_room_up_to_its_last_byte() -> None:
    queue = ByteQueue[str](100, MemoryBudget(PLENTY).open())
    await queue.reserve(60)

    await queue.reserve(40)

    assert queue.bytes == 100


@pytest.mark.parametrize("released", [1, 59])
async def test_reserve_waits_until_there_is_enough_room(released: int) -> None:
    queue = ByteQueue[str](100, MemoryBudget(PLENTY).open())
    await queue.reserve(100)
    waiting = asyncio.create_task(queue.reserve(60))

    queue.release(released)
    await until_quiet()
    early = waiting.done()
    queue.release(60 - released)
    await waiting

    assert not early
    assert queue.bytes == 100


async def test_an_item_larger_than_the_queue_gets_in_when_the_queue_is_empty() -> None:
    queue = ByteQueue[str](100, MemoryBudget(PLENTY).open())
    await queue.reserve(1)
    large = asyncio.create_task(queue.reserve(500))
    await until_quiet()
    assert not large.done()

    queue.release(1)
    await large

    assert queue.bytes == 500


async def test_an_item_larger_than_the_queue_stays_alone_in_it() -> None:
    queue = ByteQueue[str](100, MemoryBudget(PLENTY).open())
    await queue.reserve(500)
    small = asyncio.create_task(queue.reserve(1))
    await until_quiet()
    assert not small.done()

    queue.release(500)
    await small

    assert queue.bytes == 1


async def test_a_small_item_does_not_overtake_a_large_one_that_waits() -> None:
    queue = ByteQueue[str](100, MemoryBudget(PLENTY).open())
    await queue.reserve(90)
    order: list[str] = []
    waiting = [asyncio.create_task(reserving(queue, size, order.append)) for size in (50, 5, 95)]
    await until_quiet()
    assert order == []

    for size in (90, 50, 5):
        queue.release(size)
        await until_quiet()

    assert order == ["50", "5", "95"]
    await asyncio.gather(*waiting)


@pytest.mark.parametrize("cancelled", [0, 1, 2])
async def test_a_cancelled_wait_for_room_reserves_nothing_and_lets_others_pass(cancelled: int) -> None:
    queue = ByteQueue[str](100, MemoryBudget(PLENTY).open())
    await queue.reserve(100)
    waiting = [asyncio.create_task(queue.reserve(50)) for _ in range(3)]
    await until_quiet()

    waiting[cancelled].cancel()
    await until_quiet()
    still_full = queue.bytes
    queue.release(100)
    await asyncio.wait(waiting)

    assert still_full == queue.bytes == 100
    assert [task.cancelled() for task in waiting] == [index == cancelled for index in range(3)]


async def test_a_wait_cancelled_just_as_it_gets_room_reserves_nothing() -> None:
    queue = ByteQueue[str](100, MemoryBudget(PLENTY).open())
    await queue.reserve(100)
    waiting = [asyncio.create_task(queue.reserve(100)) for _ in range(2)]
    await until_quiet()

    queue.release(100)
    waiting[0].cancel()
    await asyncio.wait(waiting)

    assert waiting[0].cancelled()
    assert queue.bytes == 100


async def reserving(queue: ByteQueue[str], size: int, note: Callable[[str], None]) -> None:
    """Reserve, and note when it was done."""
    await queue.reserve(size)
    note(str(size))


async def test_what_waits_to_be_admitted_keeps_its_place_and_takes_nothing_if_that_fails() -> None:
    budget, admitted = MemoryBudget(PLENTY), asyncio.Event()
    queue = ByteQueue[str](PLENTY, budget.open())

    async def fail() -> None:
        await admitted.wait()
        raise ValueError

    first = asyncio.create_task(queue.reserve(10, fail))
    await until_quiet()
    second = asyncio.create_task(queue.reserve(1))
    await until_quiet()
    assert not second.done()
    admitted.set()
    await second

    assert isinstance(first.exception(), ValueError)
    assert (queue.bytes, budget.used) == (1, 1)
