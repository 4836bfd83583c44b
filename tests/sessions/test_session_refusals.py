"""Batches that can't be applied: each gets its own error, and nothing else changes."""

from __future__ import annotations

import asyncio
import gc
import weakref

import numpy as np
import pytest
import structlog

from shoal_server.clustering.state import Batch
from shoal_server.errors import DomainError, Kind
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.session import Session
from shoal_server.sessions.work import MIN_BATCH_BYTES
from tests.sessions.engines import FAULTY, PATIENCE, StagedEngine
from tests.sessions.producer_builders import stamp
from tests.sessions.refusing import refusal_of
from tests.sessions.session_builders import kept_for, points, push, started, submit, submit_batch, unreadable, warming

TOO_WIDE = Batch(np.zeros((1, 101)))


async def test_a_refused_batch_changes_nothing(session: Session) -> None:
    await push(session, 1.0)
    before, snapshot = session.describe(), session.snapshot

    error = await refusal_of(push(session, 1.0, np.nan))

    assert (error.reason, error.session) == ("NOT_FINITE", "pixels")
    assert session.snapshot is snapshot
    assert session.describe() == before


async def test_a_refused_batch_uses_its_sequence(session: Session) -> None:
    await refusal_of(push(session, np.nan, stamp=stamp(1)))

    outcome = await push(session, 1.0, stamp=stamp(2))

    assert outcome.version == 1


async def test_a_repeated_refused_batch_is_refused_again(session: Session) -> None:
    await refusal_of(push(session, np.nan, stamp=stamp(1)))

    again = await submit(session, np.nan, stamp=stamp(1))

    assert again.duplicate
    assert (await refusal_of(again.result())).reason == "NOT_FINITE"


async def test_an_engine_failure_fails_only_its_batch_and_the_session_continues(session: Session) -> None:
    with structlog.testing.capture_logs() as logs:
        error = await refusal_of(push(session, FAULTY, stamp=stamp(1)))

    assert (error.kind, error.reason, error.session) == (Kind.INTERNAL, "INTERNAL", "pixels")
    (logged,) = logs
    assert (logged["event"], logged["session"]) == ("bug", "pixels")
    assert isinstance(logged["exc_info"], ZeroDivisionError)
    assert session.version == 0
    assert (await push(session, 1.0, stamp=stamp(2))).version == 1


async def test_the_result_of_a_failed_batch_holds_none_of_its_points(session: Session) -> None:
    batch = points(FAULTY)
    receipt = await submit_batch(session, batch, stamp(1))
    held = weakref.ref(batch.points)
    del batch

    for _ in range(2):
        await refusal_of(receipt.result())

    async with asyncio.timeout(PATIENCE):
        while held() is not None:
            gc.collect()
            await asyncio.sleep(0)
    assert (await refusal_of(push(session, FAULTY, stamp=stamp(1)))).reason == "INTERNAL"  # the answer is kept


async def test_each_waiting_caller_gets_its_own_exception_of_a_refusal(session: Session) -> None:
    receipt = await submit(session, np.nan)

    errors = await asyncio.gather(receipt.result(), receipt.result(), return_exceptions=True)

    assert errors[0] is not errors[1]  # an exception holds the frames that it passed
    assert [error.refusal for error in errors if isinstance(error, DomainError)] == [
        result.refusal for result in receipt.results()
    ] * 2


async def test_a_failure_within_a_dispatch_affects_only_its_batch(session: Session, engine: StagedEngine) -> None:
    engine.close_gate()
    receipt = [await submit(session, value) for value in (1.0, 2.0, FAULTY, np.nan, 5.0)]
    await engine.arrival()

    engine.open_gate()
    answers = await asyncio.gather(*(each.result() for each in receipt), return_exceptions=True)

    assert [answer.refusal.reason for answer in answers if isinstance(answer, DomainError)] == [
        "INTERNAL",
        "NOT_FINITE",
    ]
    assert [answer.version for answer in answers if not isinstance(answer, BaseException)] == [1, 2, 3]


async def test_a_failed_assignment_leaves_the_session_working(session: Session) -> None:
    with pytest.raises(ZeroDivisionError):
        await session.assign(np.array([[FAULTY]]))

    assert (await push(session, 1.0)).version == 1


async def test_a_refused_assignment_names_the_session(session: Session) -> None:
    error = await refusal_of(session.assign(np.zeros((1, 2))))

    assert (error.reason, error.session) == ("N_FEATURES_MISMATCH", "pixels")


async def test_points_too_wide_for_a_new_session_are_refused_at_once(deps: SessionDeps) -> None:
    async with started(deps, kept_for(None, warming())) as session:
        wide = await submit_batch(session, TOO_WIDE, stamp(1))
        at_once = wide.completion.done()
        error = await refusal_of(wide.result())
        await push(session, 1.0, stamp=stamp(2))

    assert at_once
    assert (error.kind, error.reason, error.session) == (Kind.RESOURCE_EXHAUSTED, "TOO_MANY_VALUES", "pixels")
    assert session.describe().n_features == 1
    assert session.describe().queued_bytes == 0


async def test_points_with_too_many_columns_are_refused_with_the_sessions_number_of_columns(session: Session) -> None:
    wide = await submit_batch(session, TOO_WIDE, None)

    assert (await refusal_of(wide.result())).reason == "N_FEATURES_MISMATCH"


async def test_an_unreadable_batch_is_refused_in_order(session: Session) -> None:

    first = await submit_batch(session, unreadable(), stamp(1))
    again = await submit_batch(session, unreadable(), stamp(1))
    second = await push(session, 1.0, stamp=stamp(2))

    assert (first.duplicate, again.duplicate) == (False, True)
    for receipt in (first, again):
        error = await refusal_of(receipt.result())
        assert (error.reason, error.message, error.session) == ("SHAPE_INVALID", "no good", "pixels")
    assert second.version == 1


async def test_an_unreadable_batch_needs_the_next_sequence(session: Session) -> None:

    assert (await refusal_of(submit_batch(session, unreadable(), stamp(2)))).reason == "SEQUENCE_GAP"
    assert not (await submit_batch(session, unreadable(), None)).duplicate


async def test_a_batch_refused_for_a_gap_releases_its_queue_bytes(session: Session) -> None:
    error = await refusal_of(submit_batch(session, points(1.0), stamp(2), 5000))

    assert error.reason == "SEQUENCE_GAP"
    assert session.describe().queued_bytes == 0


async def test_a_refusal_of_a_cancelled_push_affects_no_other_batch(session: Session) -> None:
    await submit(session, np.nan)

    assert (await push(session, 1.0)).version == 1


async def test_refused_batches_that_wait_behind_a_valid_one_take_room_in_the_queue(
    session: Session, engine: StagedEngine
) -> None:
    engine.close_gate()
    running = await submit(session, 1.0)
    await engine.arrival()

    await session.submit([points(1.0), *[unreadable()] * 255], None)

    assert session.describe().queued_bytes >= 256 * MIN_BATCH_BYTES
    engine.open_gate()
    await running.result()
