"""One writer, one order: batches and changes come to pass as they were taken."""

from __future__ import annotations

import asyncio

import numpy as np

from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.session import Session
from shoal_server.sessions.work import MAX_DISPATCH_WORK, MIN_BATCH_BYTES
from tests.sessions.clock import until_quiet
from tests.sessions.engines import StagedEngine
from tests.sessions.refusing import refusal_of
from tests.sessions.session_builders import (
    centroid,
    model_changes,
    points,
    push,
    session_deps,
    started,
    submit,
    submit_batch,
)

A_DISPATCH = MAX_DISPATCH_WORK // 16  # bytes of float64 against one centroid that are work for about one dispatch


async def test_a_batch_makes_the_next_version(session: Session) -> None:
    outcomes = [await push(session, 4.0), await push(session, 6.0, 8.0)]

    assert [(outcome.version, outcome.accepted) for outcome in outcomes] == [(1, 1), (2, 2)]
    assert centroid(session) == 6.0
    assert session.describe().points_accepted == 3


async def test_batches_are_applied_in_the_order_in_which_they_were_accepted(
    session: Session, engine: StagedEngine
) -> None:
    receipt = [await submit(session, float(value)) for value in range(50)]

    outcomes = [await each.result() for each in receipt]

    assert [outcome.version for outcome in outcomes] == list(range(1, 51))
    assert [await engine.arrival() for _ in range(50)] == list(range(50))


async def test_batches_that_wait_for_the_writer_are_applied_together_in_order(
    session: Session, engine: StagedEngine
) -> None:
    engine.close_gate()
    first = await submit(session, 1.0)
    await engine.arrival()
    rest = [await submit(session, value) for value in (2.0, 3.0)]

    engine.open_gate()

    assert [(await each.result()).version for each in (first, *rest)] == [1, 2, 3]
    assert [await engine.arrival() for _ in range(2)] == [2.0, 3.0]


async def test_a_change_is_applied_in_order_with_the_batches(session: Session, engine: StagedEngine) -> None:
    engine.close_gate()
    first = await submit(session, 1.0)
    before = await submit(session, 1.0, np.nan)
    change = asyncio.create_task(session.change(model_changes(on_invalid="drop"), etag=""))
    await until_quiet()
    after = await submit(session, 1.0, np.nan)

    engine.open_gate()

    assert (await first.result()).version == 1
    assert (await refusal_of(before.result())).reason == "NOT_FINITE"
    assert (await change).config.model.on_invalid == "drop"
    assert (await after.result()).dropped == 1


async def test_a_change_waits_for_the_batches_before_it(session: Session, engine: StagedEngine) -> None:
    engine.close_gate()
    batch = await submit(session, 1.0)
    change = asyncio.create_task(session.change(model_changes(on_invalid="drop"), etag=""))
    await engine.arrival()

    waiting = session.describe()
    engine.open_gate()
    changed = await change

    assert waiting.config.model.on_invalid == "reject"
    assert (changed.config.model.on_invalid, changed.version) == ("drop", 1)
    assert (await batch.result()).version == 1


async def test_a_batch_of_more_work_than_a_dispatch_is_applied(session: Session) -> None:
    receipt = [await submit(session, value, size=size) for value, size in ((1.0, 1), (2.0, A_DISPATCH + 1), (3.0, 1))]

    assert [(await each.result()).version for each in receipt] == [1, 2, 3]


async def test_a_queue_of_several_dispatches_is_applied_in_order(deps: SessionDeps, engine: StagedEngine) -> None:
    roomy = session_deps(deps.compute, engine, queue_bytes=100 * A_DISPATCH)
    async with started(roomy) as session:
        receipt = [await submit(session, float(value), size=A_DISPATCH // 3) for value in range(20)]

        versions = [(await each.result()).version for each in receipt]

    assert versions == list(range(1, 21))
    assert [await engine.arrival() for _ in range(20)] == list(range(20))


async def test_a_full_queue_makes_its_producers_wait_and_keeps_their_order(
    deps: SessionDeps, engine: StagedEngine
) -> None:
    narrow = session_deps(deps.compute, engine, queue_bytes=2 * MIN_BATCH_BYTES)
    async with started(narrow) as session:
        engine.close_gate()
        await submit(session, 1.0)
        await engine.arrival()
        pushes = [asyncio.create_task(push(session, float(value))) for value in range(8)]
        await until_quiet()

        full = session.describe()
        engine.open_gate()
        versions = [(await each).version for each in pushes]

    assert (full.queued_batches, full.queued_bytes) == (1, 2 * MIN_BATCH_BYTES)
    assert versions == list(range(2, 10))
    assert session.describe().queued_bytes == 0


async def test_queue_bytes_count_until_a_batch_is_applied(session: Session, engine: StagedEngine) -> None:
    engine.close_gate()
    first = await submit(session, 1.0, size=5000)
    await engine.arrival()
    second = await submit(session, 1.0, size=1)

    computing = session.describe()
    engine.open_gate()
    await first.result()
    await second.result()
    await until_quiet()

    assert (computing.queued_batches, computing.queued_bytes) == (1, 5000 + MIN_BATCH_BYTES)
    assert session.describe().queued_bytes == 0


async def test_a_push_cancelled_while_it_waits_for_room_is_not_applied(deps: SessionDeps, engine: StagedEngine) -> None:
    narrow = session_deps(deps.compute, engine, queue_bytes=MIN_BATCH_BYTES)
    async with started(narrow) as session:
        engine.close_gate()
        first = await submit(session, 1.0)
        waiting = asyncio.create_task(submit_batch(session, points(2.0), None))
        await engine.arrival()

        waiting.cancel()
        engine.open_gate()
        await first.result()
        last = await push(session, 3.0)

    assert waiting.cancelled()
    assert last.version == 2
    assert session.describe().points_accepted == 2


async def test_a_push_cancelled_while_it_waits_for_its_result_is_still_applied(
    session: Session, engine: StagedEngine
) -> None:
    engine.close_gate()
    pushes = [asyncio.create_task(push(session, value)) for value in (1.0, 2.0)]
    await engine.arrival()

    for each in pushes:
        each.cancel()
    await asyncio.wait(pushes)
    engine.open_gate()
    last = await push(session, 3.0)

    assert last.version == 3
