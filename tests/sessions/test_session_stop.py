"""Stopping a session with the server: accepted batches are applied, as far as there is time."""

from __future__ import annotations

import asyncio
import math

from shoal_server.errors import Kind
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import WatchOptions
from shoal_server.sessions.session import Session
from shoal_server.sessions.work import MIN_BATCH_BYTES
from tests.sessions.clock import until, until_quiet
from tests.sessions.engines import StagedEngine
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
)
from tests.sessions.watched import short_text

DROP = model_changes(on_invalid="drop")


async def test_stopping_a_session_applies_waiting_batches(session: Session, engine: StagedEngine) -> None:
    engine.close_gate()
    receipt = [await submit(session, value) for value in (1.0, 2.0)]
    change = asyncio.create_task(session.change(DROP, ""))
    await engine.arrival()

    stopping = asyncio.create_task(session.stop(math.inf))
    await until_quiet()
    early = stopping.done()
    refused = await refusal_of(submit_batch(session, points(3.0), None))
    engine.open_gate()
    not_applied = await stopping

    assert not early
    assert not_applied == 0
    assert [outcome_of(each).version for each in receipt] == [1, 2]
    assert (await change).config.model.on_invalid == "drop"
    assert (refused.kind, refused.reason, refused.session) == (Kind.UNAVAILABLE, "SERVER_DRAINING", "pixels")
    assert refused.retry_after


async def test_stopping_refuses_batches_that_have_not_begun_at_the_deadline(
    session: Session, engine: StagedEngine
) -> None:
    engine.close_gate()
    begun = await submit(session, 1.0)
    await engine.arrival()
    waiting = await submit(session, 2.0)
    change = asyncio.create_task(session.change(DROP, ""))

    stopping = asyncio.create_task(session.stop(10))
    await until(9.9)
    early = waiting.completion.done()
    await until(10.1)
    refused = [await refusal_of(waiting.result()), await refusal_of(change)]
    waits = not stopping.done()
    engine.open_gate()
    not_applied = await stopping

    assert not early
    assert {(error.reason, error.session) for error in refused} == {("SERVER_DRAINING", "pixels")}
    assert waits
    assert outcome_of(begun).version == session.version == 1
    assert not_applied == 1  # batch
    assert session.describe().queued_bytes == 0


async def test_stopping_refuses_producers_that_wait_for_room(deps: SessionDeps, engine: StagedEngine) -> None:
    narrow = session_deps(deps.compute, engine, queue_bytes=MIN_BATCH_BYTES)
    async with started(narrow) as session:
        engine.close_gate()
        await submit(session, 1.0)
        await engine.arrival()
        waiting = asyncio.create_task(push(session, 2.0))
        await until_quiet()

        stopping = asyncio.create_task(session.stop(10))
        await until(10.1)
        engine.open_gate()

        assert (await refusal_of(waiting)).reason == "SERVER_DRAINING"
        assert await stopping == 0


async def test_stopping_a_session_does_not_send_its_watchers_an_end(session: Session) -> None:
    with session.watch(WatchOptions(progress_interval=10)) as watch:
        events = watch.events()
        await anext(events)

        await session.stop(math.inf)

        assert short_text(await anext(events)) == "still 0"
    assert session.ended is None


async def test_stopping_a_session_twice_has_no_further_effect(session: Session) -> None:
    await session.stop(math.inf)
    await session.stop(math.inf)

    assert session.ended is None
