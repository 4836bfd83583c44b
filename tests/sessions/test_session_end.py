"""The end of a session that is deleted or expires."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from shoal_server.errors import DomainError, Kind
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import EndReason, WatchOptions
from shoal_server.sessions.refusals import session_gone
from shoal_server.sessions.session import Session
from shoal_server.sessions.work import MIN_BATCH_BYTES
from tests.sessions.clock import until_quiet
from tests.sessions.engines import StagedEngine
from tests.sessions.producer_builders import stamp
from tests.sessions.refusing import refusal_of
from tests.sessions.session_builders import (
    model_changes,
    outcome_of,
    points,
    push,
    session_deps,
    started,
    submit,
    submit_batch,
    unreadable,
)
from tests.sessions.watched import short_text

DROP = model_changes(on_invalid="drop")


async def test_ending_a_session_refuses_waiting_batches_and_answers_the_one_being_applied(
    session: Session, engine: StagedEngine
) -> None:
    engine.close_gate()
    applied = await submit(session, 1.0)
    await engine.arrival()
    waiting = await submit(session, 2.0)
    change = asyncio.create_task(session.change(DROP, ""))
    await until_quiet()

    ending = asyncio.create_task(session.end("deleted"))
    refused = [await refusal_of(waiting.result()), await refusal_of(change)]
    early = ending.done()
    engine.open_gate()
    await ending

    for error in refused:
        assert (error.kind, error.reason, error.session) == (Kind.NOT_FOUND, "SESSION_NOT_FOUND", "pixels")
    assert not early
    assert (await applied.result()).version == session.version == 1
    assert session.describe().queued_bytes == 0


async def test_an_ended_session_accepts_nothing_more(session: Session) -> None:
    await push(session, 1.0, stamp=stamp(1))

    await session.end("deleted")
    refused = [
        await refusal_of(submit_batch(session, points(1.0), None)),
        await refusal_of(submit_batch(session, points(1.0), stamp(1))),
        await refusal_of(session.change(DROP, "")),
        await refusal_of(submit_batch(session, unreadable(), stamp(2))),
    ]

    assert {error.reason for error in refused} == {"SESSION_NOT_FOUND"}
    assert session.version == 1
    assert session.describe().queued_bytes == 0


async def test_ending_a_session_refuses_producers_that_wait_for_room(deps: SessionDeps, engine: StagedEngine) -> None:
    narrow = session_deps(deps.compute, engine, queue_bytes=2 * MIN_BATCH_BYTES)
    async with started(narrow) as session:
        engine.close_gate()
        applied = await submit(session, 1.0)
        await engine.arrival()
        waiting = [asyncio.create_task(push(session, 2.0)) for _ in range(5)]
        await until_quiet()

        ending = asyncio.create_task(session.end("deleted"))
        refused = await asyncio.gather(*waiting, return_exceptions=True)
        engine.open_gate()
        await ending

    assert [error.refusal.reason for error in refused if isinstance(error, DomainError)] == ["SESSION_NOT_FOUND"] * 5
    assert (await applied.result()).version == 1
    assert session.describe().queued_bytes == 0


@pytest.mark.parametrize("reason", ["deleted", "expired"])
async def test_watchers_of_an_ending_session_get_the_last_version_and_then_the_end(
    session: Session, engine: StagedEngine, reason: EndReason
) -> None:
    engine.close_gate()
    await submit(session, 1.0)
    await engine.arrival()
    with session.watch(WatchOptions(delta=True)) as watch:
        events = watch.events()
        first = await anext(events)

        ending = asyncio.create_task(session.end(reason))
        await until_quiet()
        engine.open_gate()
        rest = [short_text(event) async for event in events]

    await ending
    assert short_text(first) == "0"
    assert rest == ["1 after 0", f"{reason} at 1"]


async def test_a_session_ends_only_after_the_batch_being_applied(session: Session, engine: StagedEngine) -> None:
    engine.close_gate()
    await submit(session, 1.0)
    await engine.arrival()

    ending = asyncio.create_task(session.end("deleted"))
    await until_quiet()
    meanwhile = session.ended
    engine.open_gate()
    await ending

    assert (meanwhile, session.ended) == (None, "deleted")


async def test_a_cancelled_end_still_ends_the_session(session: Session, engine: StagedEngine) -> None:
    engine.close_gate()
    applied = await submit(session, 1.0)
    await engine.arrival()
    ending = asyncio.create_task(session.end("deleted"))
    await until_quiet()

    with session.watch(WatchOptions(after_version=0)) as watch:
        ending.cancel()
        engine.open_gate()
        events = [short_text(event) async for event in watch.events()]

    assert (await applied.result()).version == 1
    assert events == ["1", "deleted at 1"]


async def test_ending_a_session_stops_a_dispatch_after_its_current_batch(
    session: Session, engine: StagedEngine
) -> None:
    engine.close_gate()
    receipt = [await submit(session, value) for value in (1.0, 2.0, 3.0)]
    change = asyncio.create_task(session.change(DROP, ""))
    await engine.arrival()

    asyncio.get_running_loop().call_soon(engine.open_gate)
    await session.end("deleted")

    assert outcome_of(receipt[0]).version == session.version == 1
    refused = [await refusal_of(each.result()) for each in receipt[1:]]
    assert {error.reason for error in [*refused, await refusal_of(change)]} == {"SESSION_NOT_FOUND"}
    assert session.describe().queued_bytes == 0


async def test_a_dispatch_that_waits_for_a_thread_does_not_begin_after_the_end(
    session: Session, deps: SessionDeps, engine: StagedEngine
) -> None:
    async with started(deps) as first, started(deps) as second:
        engine.close_gate()
        for busy in (first, second):
            await submit(busy, 1.0)
            await engine.arrival()
        batch = await submit(session, 1.0)
        assigning = asyncio.create_task(session.assign(np.zeros((1, 1))))
        asyncio.get_running_loop().call_soon(engine.open_gate)

        await session.end("deleted")

        assert (await refusal_of(batch.result())).reason == "SESSION_NOT_FOUND"
        assert (await refusal_of(assigning)).reason == "SESSION_NOT_FOUND"
    assert session.version == 0


def test_the_error_for_an_unknown_session_quotes_at_most_the_length_of_a_name() -> None:
    error = session_gone("x" * 10_000)

    assert error.session == "x" * 128
    assert len(error.message) < 500
