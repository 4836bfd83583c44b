"""The memory budget of the process: refusals, waiting, and releases."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_server.budget import (
    MIB,
    PASSING_SHARE,
    PAUSED_SHARE,
    RETRY_AFTER,
    MemoryBudget,
    MemoryPlan,
    Reservation,
)
from shoal_server.errors import DomainError, Reason
from shoal_server.settings import Settings

TOTAL = 1000
STAYING = int(TOTAL * (1 - PASSING_SHARE))
PATIENCE = 60.0


@pytest.fixture
def budget() -> MemoryBudget:
    return MemoryBudget(TOTAL)


def test_a_reservation_above_what_is_left_is_refused_with_the_numbers_and_the_setting(budget: MemoryBudget) -> None:
    budget.reserve(600, "a message")

    with pytest.raises(DomainError) as caught:
        budget.reserve(401, "another message")

    refusal = caught.value.refusal
    assert (refusal.reason, refusal.retry_after) == (Reason.MEMORY_LIMIT_REACHED, RETRY_AFTER)
    for piece in ("another message needs 401 bytes; 400 are free", "SHOAL_MEMORY_LIMIT"):
        assert piece in refusal.message
    assert budget.used == 600


def test_a_reservation_above_the_total_is_refused_without_advice_to_try_again(budget: MemoryBudget) -> None:
    with pytest.raises(DomainError) as caught:
        budget.reserve(TOTAL + 1, "a message")

    assert caught.value.refusal.retry_after is None
    assert "try again" not in caught.value.refusal.message


def test_releasing_a_reservation_twice_returns_its_bytes_once(budget: MemoryBudget) -> None:
    reservation = budget.reserve(600, "a message")

    reservation.release()
    reservation.release()

    assert budget.used == 0


def test_lasting_reservations_leave_a_share_of_the_budget_free(budget: MemoryBudget) -> None:
    session = budget.open()

    with pytest.raises(DomainError):
        session.grow_to(STAYING + 1, "a session")
    session.grow_to(STAYING, "a session")

    assert session.bytes == STAYING
    assert budget.reserve(TOTAL - STAYING, "a message").bytes == TOTAL - STAYING


def test_growing_a_reservation_to_less_than_it_has_changes_nothing(budget: MemoryBudget) -> None:
    session = budget.open()
    session.grow_to(500, "a session")

    session.grow_to(400, "a session")

    assert budget.used == 500


def test_reclaimers_are_called_before_a_reservation_is_refused(budget: MemoryBudget) -> None:
    kept = [budget.reserve(300, "answers") for _ in range(3)]
    for reservation in kept:
        budget.add_reclaimer(reservation.release)

    budget.reserve(500, "a message")

    assert budget.used == 300 + 500  # no more than had to go


async def test_waiting_reservations_are_served_in_order_of_arrival(budget: MemoryBudget) -> None:
    first = budget.reserve(TOTAL, "a message")
    large = asyncio.create_task(budget.reserve_when_free(900, "a message", PATIENCE))
    small = asyncio.create_task(budget.reserve_when_free(200, "a message", PATIENCE))
    await asyncio.sleep(0)

    first.add(-200)
    await asyncio.sleep(0)
    assert not small.done()  # it would fit, and it isn't its turn
    first.release()
    (await large).release()
    (await small).release()

    assert budget.used == 0


async def test_a_reclaimer_called_for_a_waiting_reservation_reserves_its_bytes_once(budget: MemoryBudget) -> None:
    budget.reserve(580, "others")
    last = budget.reserve(10, "a message")
    answers = budget.reserve(400, "answers")
    waiting = asyncio.create_task(budget.reserve_when_free(100, "a message", PATIENCE))
    await asyncio.sleep(0)
    budget.add_reclaimer(answers.release)

    last.release()

    assert (await waiting).bytes == 100
    assert budget.used == 580 + 100


async def test_an_empty_budget_accepts_a_message_larger_than_itself(budget: MemoryBudget) -> None:
    other = budget.reserve(1, "a message")
    waiting = asyncio.create_task(budget.reserve_when_free(TOTAL + 1, "a message", PATIENCE))
    await asyncio.sleep(0)
    assert not waiting.done()

    other.release()

    assert (await waiting).bytes == TOTAL + 1


async def test_a_reservation_that_waits_too_long_is_refused_and_later_ones_continue(budget: MemoryBudget) -> None:
    budget.reserve(800, "a message")
    impatient = asyncio.create_task(budget.reserve_when_free(300, "a message", 0.0))
    behind = asyncio.create_task(budget.reserve_when_free(200, "a message", PATIENCE))

    with pytest.raises(DomainError) as caught:
        await impatient
    await behind

    assert caught.value.refusal.reason is Reason.MEMORY_LIMIT_REACHED
    assert budget.used == TOTAL


async def test_a_cancelled_wait_keeps_no_bytes_even_if_it_was_just_served(budget: MemoryBudget) -> None:
    first = budget.reserve(TOTAL, "a message")
    waiting = asyncio.create_task(budget.reserve_when_free(900, "a message", PATIENCE))
    await asyncio.sleep(0)

    first.release()
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting

    assert budget.used == 0


def test_the_computing_of_all_sessions_counts_as_the_largest_one(budget: MemoryBudget) -> None:
    budget.computing.change(0, 300, "one")
    budget.computing.change(0, 500, "another")
    assert budget.used == 500

    budget.computing.change(500, 0, "another")
    assert budget.used == 300
    budget.computing.change(300, 0, "one")

    assert budget.used == 0


def test_the_learning_of_all_sessions_counts_as_the_largest_of_each_thread_and_the_room_of_the_others() -> None:
    budget = MemoryBudget(TOTAL, threads=2)
    room = int(TOTAL * PAUSED_SHARE)
    assert budget.learning.room == room

    used = []
    for size in (100, 200, 150, 150, 50):
        budget.learning.change(0, size, "a session")
        used.append(budget.used)

    assert used == [100, 300, 450, 350 + room, 350 + room]


def test_no_more_sessions_count_for_learning_than_may_stand_still_besides_those_that_run() -> None:
    budget = MemoryBudget(TOTAL, threads=1, paused=2)

    for size in (10, 20, 30, 40):
        budget.learning.change(0, size, "a session")

    assert budget.used == 20 + 30 + 40


def test_a_share_that_does_not_fit_changes_nothing(budget: MemoryBudget) -> None:
    budget.learning.change(0, 500, "one")

    with pytest.raises(DomainError, match="another needs"):
        budget.learning.change(0, STAYING + 1, "another")
    with pytest.raises(DomainError, match="one needs"):
        budget.learning.change(500, STAYING + 1, "one")

    assert budget.used == 500
    budget.learning.change(500, 0, "one")
    assert budget.used == 0


@given(st.lists(st.tuples(st.sampled_from(["grow", "set", "drop", "share"]), st.integers(0, 1200))))
def test_reserved_bytes_count_until_they_are_released(steps: list[tuple[str, int]]) -> None:
    budget = MemoryBudget(TOTAL, threads=3, paused=2)
    kept: list[Reservation] = []
    shares: list[int] = []
    for what, size in steps:
        with suppress(DomainError):
            match what:
                case "grow":
                    reservation = budget.open()
                    reservation.grow_to(size, "a session")
                    kept.append(reservation)
                case "set" if kept:
                    kept[size % len(kept)].add(size)
                case "drop" if kept:
                    kept.pop(size % len(kept)).release()
                case "share":
                    before = shares[-1] if shares and size % 2 else 0
                    budget.learning.change(before, size, "a session")
                    if before:
                        shares.pop()
                    shares += [size] * (size > 0)
        shares.sort()
        others = min(sum(shares[-5:-3]), budget.learning.room)
        assert budget.used == sum(each.bytes for each in kept) + sum(shares[-3:]) + others
    for reservation in kept:
        reservation.release()
    for size in shares:
        budget.learning.change(size, 0, "a session")
    assert budget.used == 0


@pytest.mark.parametrize("max_message_bytes", [1024, 64 * MIB, 1024 * MIB])
def test_the_minimum_memory_limit_leaves_room_for_a_message(max_message_bytes: int) -> None:
    plan = MemoryPlan.of(MemoryPlan.minimum(max_message_bytes), max_message_bytes)

    assert plan.receiving >= max_message_bytes
    assert plan.total >= max_message_bytes
    assert plan.total + plan.receiving < plan.limit


def test_a_memory_limit_below_the_minimum_is_refused_with_the_minimum() -> None:
    least = MemoryPlan.minimum(1024 * 1024)
    sizes: dict[str, Any] = {"max_message_bytes": 1024 * 1024, "max_batch_bytes": 1024 * 1024}

    with pytest.raises(ValueError, match=f"the server needs {least:,} bytes"):
        Settings(memory_limit=least - 1, **sizes)

    assert Settings(memory_limit=least, **sizes).memory_plan().limit == least
