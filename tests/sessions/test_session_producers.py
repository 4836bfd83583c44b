"""Named producers: a batch that they send twice counts once."""

from __future__ import annotations

import asyncio

from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import Position, Producer
from shoal_server.sessions.session import Session
from shoal_server.sessions.work import MIN_BATCH_BYTES
from tests.sessions.clock import until_quiet
from tests.sessions.engines import StagedEngine
from tests.sessions.producer_builders import stamp
from tests.sessions.refusing import refusal_of
from tests.sessions.session_builders import points, push, session_deps, started, submit, submit_batch


async def test_a_repeated_batch_gets_the_same_result_and_counts_once(session: Session) -> None:
    first = await submit(session, 4.0, stamp=stamp(1))
    outcome = await first.result()

    again = await submit(session, 4.0, stamp=stamp(1))

    assert (first.duplicate, again.duplicate) == (False, True)
    assert await again.result() == outcome._replace(duplicate=True)
    assert session.describe().points_accepted == 1
    assert session.describe().queued_bytes == 0


async def test_a_batch_repeated_while_it_waits_counts_once(session: Session, engine: StagedEngine) -> None:
    engine.close_gate()
    receipt = [await submit(session, 4.0, stamp=stamp(1)) for _ in range(3)]
    await engine.arrival()

    engine.open_gate()
    versions = [(await each.result()).version for each in receipt]

    assert versions == [1, 1, 1]
    assert [each.duplicate for each in receipt] == [False, True, True]
    assert session.version == 1


async def test_the_same_batch_sent_twice_at_once_counts_once(session: Session) -> None:
    receipt = await asyncio.gather(*(submit(session, 4.0, stamp=stamp(1)) for _ in range(2)))

    assert [each.duplicate for each in receipt] == [False, True]
    assert [(await each.result()).version for each in receipt] == [1, 1]


async def test_the_same_batch_waiting_twice_for_room_counts_once(deps: SessionDeps, engine: StagedEngine) -> None:
    narrow = session_deps(deps.compute, engine, queue_bytes=MIN_BATCH_BYTES)
    async with started(narrow) as session:
        engine.close_gate()
        await submit(session, 1.0)
        await engine.arrival()
        waiting = [asyncio.create_task(submit(session, 4.0, stamp=stamp(1))) for _ in range(2)]
        await until_quiet()

        engine.open_gate()
        receipt = [await each for each in waiting]
        versions = [(await each.result()).version for each in receipt]

    assert [each.duplicate for each in receipt] == [False, True]
    assert versions == [2, 2]
    assert session.describe().points_accepted == 2


async def test_a_push_cancelled_while_it_waits_for_room_uses_no_sequence(
    deps: SessionDeps, engine: StagedEngine
) -> None:
    narrow = session_deps(deps.compute, engine, queue_bytes=MIN_BATCH_BYTES)
    async with started(narrow) as session:
        engine.close_gate()
        await submit(session, 1.0)
        await engine.arrival()
        waiting = asyncio.create_task(submit(session, 4.0, stamp=stamp(1)))
        await until_quiet()

        waiting.cancel()
        engine.open_gate()
        outcome = await push(session, 5.0, stamp=stamp(1, fingerprint=7))

    assert outcome.version == 2


async def test_a_newer_epoch_fences_a_batch_that_waits_for_room(deps: SessionDeps, engine: StagedEngine) -> None:
    narrow = session_deps(deps.compute, engine, queue_bytes=MIN_BATCH_BYTES)
    async with started(narrow) as session:
        engine.close_gate()
        session.open_producer(Producer("p"))
        await submit(session, 1.0, stamp=stamp(1, epoch=1))
        await engine.arrival()
        waiting = asyncio.create_task(submit_batch(session, points(2.0), stamp(2, epoch=1)))
        await until_quiet()

        position = session.open_producer(Producer("p"))
        engine.open_gate()
        error = await refusal_of(waiting)
        successor = await push(session, 3.0, stamp=stamp(2, epoch=2))

    assert position == Position(epoch=2, last_sequence=1)
    assert error.reason == "PRODUCER_FENCED"
    assert successor.version == 2


async def test_unnamed_producers_need_no_sequence(session: Session) -> None:
    receipt = [await submit(session, 4.0) for _ in range(3)]

    assert [each.duplicate for each in receipt] == [False] * 3
    assert [(await each.result()).version for each in receipt] == [1, 2, 3]
