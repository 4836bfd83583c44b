"""All sessions when the server stops."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import structlog

from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import SessionConfig
from shoal_server.sessions.registry import Sessions
from tests.sessions.clock import until, until_quiet
from tests.sessions.engines import StagedEngine
from tests.sessions.refusing import refusal_of
from tests.sessions.session_builders import given_centroids, kept_for, outcome_of, submit, warming

PLAIN = SessionConfig(given_centroids())
NOTHING_DRAWN = replace(warming(), random_state=None)


async def test_stopping_applies_the_accepted_batches_of_every_session(deps: SessionDeps, engine: StagedEngine) -> None:
    async with Sessions(deps) as sessions:
        receipt = [await submit(sessions.create(name, PLAIN), 1.0) for name in ("a", "b", "c")]

        with structlog.testing.capture_logs() as logs:
            await sessions.stop(math.inf)

    assert logs == []
    assert [outcome_of(each).version for each in receipt] == [1, 1, 1]
    assert await engine.arrival() == 1.0


async def test_all_sessions_refuse_batches_that_have_not_begun_at_the_deadline(
    deps: SessionDeps, engine: StagedEngine
) -> None:
    async with Sessions(deps) as sessions:
        engine.close_gate()
        both = [sessions.create(name, PLAIN) for name in ("a", "b")]
        begun = [await submit(session, 1.0) for session in both]
        await engine.arrival()
        await engine.arrival()
        waiting = [await submit(session, 2.0) for session in both for _ in range(3)]

        with structlog.testing.capture_logs() as logs:
            stopping = asyncio.create_task(sessions.stop(10))
            await until(9.9)
            early = [each.completion.done() for each in waiting]
            await until(10.1)
            refused = [await refusal_of(each.result()) for each in waiting]
            engine.open_gate()
            await stopping

    assert not any(early)
    assert {error.reason for error in refused} == {"SERVER_DRAINING"}
    assert [outcome_of(each).version for each in begun] == [1, 1]
    assert logs == [{"event": "batches not applied", "batches": 6, "log_level": "warning"}]


async def test_leaving_the_registry_without_a_stop_waits_only_for_the_running_batch(
    deps: SessionDeps, engine: StagedEngine
) -> None:
    async with Sessions(deps) as sessions:
        session = sessions.create("pixels", PLAIN)
        engine.close_gate()
        begun, waiting = await submit(session, 1.0), await submit(session, 2.0)
        await engine.arrival()
        asyncio.get_running_loop().call_later(1, engine.open_gate)

    assert outcome_of(begun).version == 1
    assert (await refusal_of(waiting.result())).reason == "SERVER_DRAINING"


async def test_leaving_the_registry_waits_for_sessions_that_are_being_deleted(
    deps: SessionDeps, engine: StagedEngine
) -> None:
    async with Sessions(deps) as sessions:
        session = sessions.create("pixels", PLAIN)
        engine.close_gate()
        batch = await submit(session, 1.0)
        await engine.arrival()
        deleting = asyncio.create_task(sessions.delete("pixels"))
        await until_quiet()
        deleting.cancel()
        asyncio.get_running_loop().call_soon(engine.open_gate)

    assert session.ended == "deleted"
    assert outcome_of(batch).version == 1


async def test_leaving_the_registry_ends_the_expiry_task(deps: SessionDeps) -> None:
    async with Sessions(deps) as sessions:
        session = sessions.create("pixels", kept_for(100))

    await until(1000)

    assert session.ended is None
    assert sessions.get("pixels") is session


async def test_batches_not_applied_are_logged_once(deps: SessionDeps, engine: StagedEngine) -> None:
    with structlog.testing.capture_logs() as logs:
        async with Sessions(deps) as sessions:
            session = sessions.create("pixels", PLAIN)
            engine.close_gate()
            for value in (1.0, 2.0):
                await submit(session, value)
            await engine.arrival()
            asyncio.get_running_loop().call_later(11, engine.open_gate)

            await sessions.stop(10)

    assert [log["batches"] for log in logs if log["event"] == "batches not applied"] == [1]
